//! The way to dead letters for HTTP, the command line and programs that hold a broker: look, move back, delete.

use std::sync::Arc;
use std::time::Duration;

use ottla_dlq::redrive::Selection;

use super::problem::Problem;
use super::views::{
    Purge, PurgeRequest, QueueDetail, QueueSummary, RecordPage, Redrive, RedriveRequest, TaskView,
};
use super::{browse, redrive};
use crate::state::BrokerState;

/// A broker's dead letter queues. Cheap to clone. `source` is always the topic whose dead letters are meant.
#[derive(Clone)]
pub struct Queues {
    broker: Arc<BrokerState>,
}

impl Queues {
    pub(crate) fn new(broker: Arc<BrokerState>) -> Queues {
        Queues { broker }
    }

    /// All queues, in the order of their sources' names. Reads them entirely.
    pub async fn list(&self) -> Result<Vec<QueueSummary>, Problem> {
        self.blocking(browse::list).await
    }

    /// One queue. Reads it entirely.
    pub async fn show(&self, source: &str) -> Result<QueueDetail, Problem> {
        let source = source.to_owned();
        self.blocking(move |broker| browse::show(broker, &source))
            .await
    }

    /// Records of a queue that `selection` means, at most `limit` (and about 1 MiB), from `cursor` on, which is [`RecordPage::next`] of the page before.
    pub async fn records(
        &self,
        source: &str,
        selection: Selection,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<RecordPage, Problem> {
        let source = source.to_owned();
        self.blocking(move |broker| {
            browse::records(broker, &source, &selection, limit, cursor.as_deref())
        })
        .await
    }

    /// Starts a redrive, or says what it would do. What is started is kept when this returns.
    pub async fn redrive(&self, source: &str, request: RedriveRequest) -> Result<Redrive, Problem> {
        redrive::start(&self.broker, source, request).await
    }

    /// Redrives that run, are paused, or ended lately; newest first.
    pub fn redrives(&self) -> Vec<TaskView> {
        self.broker.redrives.all()
    }

    /// One redrive; waits at most `wait` for it to stop running.
    pub async fn redrive_status(&self, id: u64, wait: Duration) -> Result<TaskView, Problem> {
        self.broker.redrives.status(id, wait).await
    }

    /// Stops a redrive until it is resumed.
    pub async fn pause(&self, id: u64) -> Result<TaskView, Problem> {
        redrive::change(&self.broker, id, redrive::Change::Pause).await
    }

    /// Lets a paused redrive go on.
    pub async fn resume(&self, id: u64) -> Result<TaskView, Problem> {
        redrive::change(&self.broker, id, redrive::Change::Resume).await
    }

    /// Ends a redrive. What it moved stays moved.
    pub async fn cancel(&self, id: u64) -> Result<TaskView, Problem> {
        redrive::change(&self.broker, id, redrive::Change::Cancel).await
    }

    /// Deletes records from a queue for good, or says which it would.
    pub async fn purge(&self, source: &str, request: PurgeRequest) -> Result<Purge, Problem> {
        let source = source.to_owned();
        self.blocking(move |broker| redrive::purge::run(broker, &source, &request))
            .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Arc<BrokerState>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        blocking(&self.broker, run).await
    }
}

/// Runs what reads files or commits off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    broker: &Arc<BrokerState>,
    run: impl FnOnce(&Arc<BrokerState>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || run(&broker))
        .await
        .map_err(Problem::defect)?
}
