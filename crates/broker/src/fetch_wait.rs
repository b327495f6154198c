//! Waiting for data: a fetch that found too little sleeps until one of its partitions has more, or its time is over.

use std::sync::Arc;

use ottla_storage::{DataWatcher, Partition};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Wakes one waiting fetch.
#[derive(Debug, Default)]
struct WakeUp(Notify);

impl DataWatcher for WakeUp {
    fn data_available(&self) {
        self.0.notify_one();
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There may be data, or a topic was deleted: look again.
    Data,
    /// The time is over, or the broker stops: answer with what there is.
    Over,
}

/// A watch over partitions. Made before they are read, it misses nothing that comes after.
pub(crate) struct Watch {
    wake_up: Arc<WakeUp>,
}

impl Watch {
    /// Watches `partitions`. Each tells once.
    pub fn on(partitions: &[Arc<Partition>]) -> Watch {
        let wake_up = Arc::new(WakeUp::default());
        let watcher: Arc<dyn DataWatcher> = wake_up.clone();
        for partition in partitions {
            partition.watch(&watcher);
        }
        Watch { wake_up }
    }

    /// Waits until there is something to look at.
    pub async fn wait(&self, deadline: Instant, shutdown: &CancellationToken) -> Woken {
        tokio::select! {
            biased;
            () = self.wake_up.0.notified() => Woken::Data,
            () = shutdown.cancelled() => Woken::Over,
            () = tokio::time::sleep_until(deadline) => Woken::Over,
        }
    }
}
