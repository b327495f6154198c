//! Runs redrives, each in a task of its own: chunk after chunk, at its pace, until it is over or the broker stops.

use std::sync::Arc;
use std::time::Duration;

use ottla_dlq::redrive::{Pace, RangeSet, State, Task};
use ottla_storage::{StoreError, TopicId, Tree};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::TaskTracker;

use super::chunk::{self, Stop};
use super::front::trim;
use super::meta_op;
use super::service::Live;
use crate::clock::wall_ms;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::queues::blocking;
use crate::dead_letters::reading::load_gone;
use crate::state::BrokerState;

/// How long to wait until what was refused (a full disk) is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the redrives that were loaded, and all that are started, until the broker stops.
pub(crate) async fn serve(broker: Arc<BrokerState>, tasks: TaskTracker) {
    let Some(mut runs) = broker.redrives.runs() else {
        return;
    };
    loop {
        tokio::select! {
            () = broker.shutdown.cancelled() => return,
            live = runs.recv() => match live {
                Some(live) => drop(tasks.spawn(run(broker.clone(), live))),
                None => return,
            },
        }
    }
}

async fn run(broker: Arc<BrokerState>, live: Arc<Live>) {
    let _alone = live.runner.lock().await;
    let begun = Instant::now();
    let rate = live.task.lock().await.rate;
    let mut pace = Pace::new(rate, 0);
    let mut gone = None;
    loop {
        let due = begun + Duration::from_millis(pace.due_ms());
        tokio::select! {
            biased;
            () = broker.shutdown.cancelled() => return,
            () = live.kick.notified() => {}
            () = sleep_until(due) => {}
        }
        let mut task = live.task.lock().await;
        if task.state != State::Running {
            // What it moved until it was paused, cancelled or failed.
            return tidy(&broker, &task).await;
        }
        if Instant::now() < due {
            continue;
        }
        match one_chunk(&broker, &mut task, &mut gone, pace.chunk()).await {
            Ok(moved) => {
                pace.moved(moved);
                broker.redrives.count(&task.source, moved);
                if task.state != State::Running {
                    // Before it is told that it is done.
                    tidy(&broker, &task).await;
                    tracing::info!(
                        "redrive {} of {} is done: {} records moved to {}, {} stay",
                        task.id,
                        task.queue,
                        task.counts.moved,
                        task.target,
                        task.counts.kept
                    );
                }
                live.show(&task, None);
            }
            Err(Stop::Stopping) => return,
            Err(Stop::Wait(why)) => {
                if live.shown.borrow().waiting.as_ref() != Some(&why) {
                    tracing::warn!("redrive {} of {} waits: {why}", task.id, task.queue);
                }
                live.show(&task, Some(why));
                drop(task);
                tokio::select! {
                    () = broker.shutdown.cancelled() => return,
                    () = live.kick.notified() => {}
                    () = sleep(AGAIN) => {}
                }
            }
            Err(Stop::Fail(why)) => {
                tracing::error!("redrive {} of {} failed: {why}", task.id, task.queue);
                fail(&broker, &mut task, why).await;
                live.show(&task, None);
            }
        }
    }
}

/// The moved set of the partition that a redrive works on, between its chunks.
type Gone = Option<(i32, RangeSet)>;

/// Commits the next chunk and waits until it is kept. `task` is then as its row is. Returns how many records moved.
async fn one_chunk(
    broker: &Arc<BrokerState>,
    task: &mut Task,
    gone: &mut Gone,
    limit: u32,
) -> Result<u64, Stop> {
    let now = task.clone();
    // After an error it is loaded again.
    let known = gone.take();
    let advanced = blocking(broker, move |broker| {
        let partition = now.part().map_or(-1, |at| now.parts[at].partition);
        let mut set = match known {
            Some((of, set)) if of == partition => set,
            _ => load_gone(&broker.store, &now.queue_id, partition)?,
        };
        let done = chunk::advance(broker, &now, &mut set, limit);
        Ok(done.map(|done| (done, (partition, set))))
    })
    .await
    .map_err(|e| Stop::Wait(e.message))?;
    let (done, set) = advanced?;
    match broker.store.durable(done.commit).await {
        Ok(()) => {
            *task = done.task;
            *gone = Some(set);
            Ok(done.moved)
        }
        // The chunk was taken back, all of it.
        Err(error) => {
            reload(broker, task)?;
            Err(error.into())
        }
    }
}

/// What is stored is what counts.
fn reload(broker: &BrokerState, task: &mut Task) -> Result<(), Stop> {
    let row = broker.store.get(Tree::DeadLetters, &Task::key(task.id))?;
    match row.map(|row| Task::load(&row)) {
        Some(Ok(stored)) => {
            *task = stored;
            Ok(())
        }
        Some(Err(e)) => Err(Stop::Fail(e.to_string())),
        None => Err(Stop::Fail("its row is gone".to_owned())),
    }
}

async fn fail(broker: &BrokerState, task: &mut Task, why: String) {
    task.fail(why, wall_ms());
    let kept = match broker.store.commit(vec![meta_op(task.row())]) {
        Ok(commit) => broker.store.durable(commit).await,
        Err(e) => Err(e),
    };
    match kept {
        Ok(()) | Err(StoreError::Closed) => {}
        // With the next start it fails again.
        Err(e) => tracing::warn!("the end of redrive {} was not kept: {e}", task.id),
    }
}

/// Deletes the front of the queue that was moved entirely, when a redrive stops.
async fn tidy(broker: &Arc<BrokerState>, task: &Task) {
    let task = task.clone();
    let tidied = blocking(broker, move |broker| {
        for part in &task.parts {
            let gone = load_gone(&broker.store, &task.queue_id, part.partition)?;
            trim(
                &broker.store,
                &TopicId::from_bytes(task.queue_id),
                part.partition,
                &gone,
            )?;
        }
        Ok::<(), Problem>(())
    })
    .await;
    if let Err(e) = tidied {
        tracing::warn!("the front of a queue was not deleted, the next redrive will: {e}");
    }
}
