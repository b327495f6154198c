//! What is known of redrives: those that live, those that ended lately, and which queues are busy.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ottla_dlq::redrive::task::LAST_ID_KEY;
use ottla_dlq::redrive::{State, Task};
use ottla_storage::{Store, StoreError, TopicId, Tree};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use super::meta_op;
use crate::clock::wall_ms;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::views::{KeptView, TaskView};
use crate::state::BrokerState;

/// Ended redrives that are remembered.
const REMEMBERED: usize = 100;
/// Topics whose redriven records are counted apart.
const MAX_COUNTED: usize = 1_000;

/// A redrive, live or ended.
pub(super) struct Live {
    pub id: u64,
    /// As its row is. Held while a chunk is on its way.
    pub task: tokio::sync::Mutex<Task>,
    /// As it is told.
    pub shown: watch::Sender<Arc<Shown>>,
    /// Wakes it from waiting.
    pub kick: Notify,
    /// Held by the one that runs it.
    pub runner: tokio::sync::Mutex<()>,
}

/// What is told of a redrive.
pub(super) struct Shown {
    pub task: Task,
    /// What it waits for.
    pub waiting: Option<String>,
}

impl Live {
    pub fn new(task: Task) -> Live {
        let shown = Shown {
            task: task.clone(),
            waiting: None,
        };
        Live {
            id: task.id,
            task: tokio::sync::Mutex::new(task),
            shown: watch::Sender::new(Arc::new(shown)),
            kick: Notify::new(),
            runner: tokio::sync::Mutex::new(()),
        }
    }

    pub fn show(&self, task: &Task, waiting: Option<String>) {
        self.shown.send_replace(Arc::new(Shown {
            task: task.clone(),
            waiting,
        }));
    }
}

/// All redrives.
pub(crate) struct Redrives {
    live: Mutex<BTreeMap<u64, Arc<Live>>>,
    /// Queues that a redrive is being started on, or that are being purged.
    claimed: Mutex<BTreeSet<TopicId>>,
    redriven: Mutex<BTreeMap<String, u64>>,
    wanted: mpsc::UnboundedSender<Arc<Live>>,
    /// Taken by the task that runs them.
    runs: Mutex<Option<mpsc::UnboundedReceiver<Arc<Live>>>>,
}

impl Default for Redrives {
    fn default() -> Redrives {
        let (wanted, runs) = mpsc::unbounded_channel();
        Redrives {
            live: Mutex::default(),
            claimed: Mutex::default(),
            redriven: Mutex::default(),
            wanted,
            runs: Mutex::new(Some(runs)),
        }
    }
}

/// A queue that nobody else starts anything on while this lives.
pub(super) struct Claim<'a> {
    redrives: &'a Redrives,
    queue: TopicId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.redrives.claimed.lock().remove(&self.queue);
    }
}

impl Redrives {
    /// All that are known, newest first.
    pub fn all(&self) -> Vec<TaskView> {
        let live = self.live.lock();
        live.values()
            .rev()
            .map(|l| view(&l.shown.borrow()))
            .collect()
    }

    /// One; waits at most `wait` for it to stop running.
    pub async fn status(&self, id: u64, wait: Duration) -> Result<TaskView, Problem> {
        let live = self.find(id)?;
        let mut shown = live.shown.subscribe();
        let stopped = shown.wait_for(|s| s.task.state != State::Running);
        // Whether it stopped or the time is over: this is how it stands.
        let _ = tokio::time::timeout(wait, stopped).await;
        let now = live.shown.borrow().clone();
        Ok(view(&now))
    }

    /// Records that were moved back since the broker started, by source topic; `other` stands for those beyond the bound.
    pub fn redriven(&self) -> BTreeMap<String, u64> {
        self.redriven.lock().clone()
    }

    pub(super) fn count(&self, source: &str, moved: u64) {
        if moved == 0 {
            return;
        }
        let mut redriven = self.redriven.lock();
        let label = if redriven.len() < MAX_COUNTED || redriven.contains_key(source) {
            source
        } else {
            "other"
        };
        *redriven.entry(label.to_owned()).or_default() += moved;
    }

    pub(super) fn find(&self, id: u64) -> Result<Arc<Live>, Problem> {
        self.live.lock().get(&id).cloned().ok_or_else(|| {
            Problem::not_found(
                "unknown_redrive",
                format!("there is no redrive {id} (any more): list them"),
            )
        })
    }

    /// Keeps others off a queue. 409 if something runs there.
    pub(super) fn claim(&self, queue: &TopicId, name: &str) -> Result<Claim<'_>, Problem> {
        let mut claimed = self.claimed.lock();
        let busy = self.live.lock().values().find_map(|l| {
            let shown = l.shown.borrow();
            let same = shown.task.queue_id == *queue.as_bytes();
            (same && !shown.task.state.is_over()).then(|| (l.id, shown.task.state.name()))
        });
        if let Some((id, state)) = busy {
            return Err(Problem::conflict(
                "busy",
                format!(
                    "redrive {id} of {name} is {state}: wait for its end, or cancel it, before the next"
                ),
            ));
        }
        if !claimed.insert(*queue) {
            return Err(Problem::conflict(
                "busy",
                format!("{name} is being redriven or purged by somebody else: try again"),
            ));
        }
        Ok(Claim {
            redrives: self,
            queue: *queue,
        })
    }

    /// Makes known what is stored; what ran goes on as soon as [`run::serve`] does.
    pub fn load(&self, store: &Store) -> Result<(), StoreError> {
        for (_, row) in store.scan(Tree::DeadLetters, &[ottla_dlq::redrive::task::KEY])? {
            match Task::load(&row) {
                Ok(task) => self.add(Arc::new(Live::new(task))),
                Err(e) => tracing::error!("{e}"),
            }
        }
        Ok(())
    }

    /// Makes a stored task known, and runs it if it is to run.
    pub(super) fn add(&self, live: Arc<Live>) {
        self.live.lock().insert(live.id, live.clone());
        if live.shown.borrow().task.state == State::Running {
            self.run(live);
        }
    }

    /// Runs what takes all redrives away, between their chunks. If it does so, they end as cancelled ones do and are forgotten.
    pub async fn reset<T, E>(&self, run: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let all: Vec<Arc<Live>> = self.live.lock().values().cloned().collect();
        let mut tasks = Vec::with_capacity(all.len());
        for live in &all {
            tasks.push(live.task.lock().await);
        }
        let done = run.await?;
        for (live, task) in all.iter().zip(&mut tasks) {
            // One that is over stays as it is.
            if task.cancel(wall_ms()).is_ok() {
                live.show(task, None);
            }
            live.kick.notify_one();
            self.live.lock().remove(&live.id);
        }
        Ok(done)
    }

    pub(super) fn run(&self, live: Arc<Live>) {
        // Nobody listens any more when the broker stops: it goes on with the next start.
        let _ = self.wanted.send(live);
    }

    pub(super) fn runs(&self) -> Option<mpsc::UnboundedReceiver<Arc<Live>>> {
        self.runs.lock().take()
    }

    /// The id for the next task, and the ops that make it last and forget old tasks.
    pub(super) fn next_id(&self, store: &Store) -> Result<(u64, Vec<ottla_storage::Op>), Problem> {
        let stored = store.get(Tree::DeadLetters, &LAST_ID_KEY)?;
        let last = stored
            .and_then(|v| v[..].try_into().ok().map(u64::from_be_bytes))
            .unwrap_or(0);
        let mut live = self.live.lock();
        let id = last.max(live.keys().last().copied().unwrap_or(0)) + 1;
        let mut ops = vec![super::op(ottla_dlq::StoreOp::Put {
            key: LAST_ID_KEY.to_vec(),
            value: id.to_be_bytes().to_vec(),
        })];
        let over: Vec<u64> = live
            .values()
            .filter(|l| l.shown.borrow().task.state.is_over())
            .map(|l| l.id)
            .collect();
        for old in over.iter().rev().skip(REMEMBERED) {
            live.remove(old);
            ops.push(super::op(ottla_dlq::StoreOp::Delete {
                key: Task::key(*old),
            }));
        }
        Ok((id, ops))
    }
}

/// What people do to a redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Pause,
    Resume,
    Cancel,
}

/// Changes a redrive's state. Kept when this returns.
pub(crate) async fn change(
    broker: &Arc<BrokerState>,
    id: u64,
    change: Change,
) -> Result<TaskView, Problem> {
    let live = broker.redrives.find(id)?;
    let mut task = live.task.lock().await;
    let mut changed = task.clone();
    match change {
        Change::Pause => changed.pause(),
        Change::Resume => changed.resume(),
        Change::Cancel => changed.cancel(wall_ms()),
    }
    .map_err(|e| Problem::conflict("not_in_this_state", e.to_string()))?;
    if changed != *task {
        let store = &broker.store;
        let commit = store.commit(vec![meta_op(changed.row())])?;
        store.durable(commit).await?;
        *task = changed;
        live.show(&task, None);
        drop(task);
        if change != Change::Pause {
            // One that was paused has no runner, which would end it.
            broker.redrives.run(live.clone());
        }
        live.kick.notify_one();
    }
    let now = live.shown.borrow().clone();
    Ok(view(&now))
}

pub(super) fn view(shown: &Shown) -> TaskView {
    let task = &shown.task;
    let (looked_at, to_look_at) = task.progress();
    TaskView {
        id: task.id,
        source: task.source.clone(),
        queue: task.queue.clone(),
        target: task.target.clone(),
        for_group: task.for_group.clone(),
        selection: task.selection.clone(),
        edited: task.edit.is_some(),
        rate: task.rate,
        state: task.state.name(),
        error: match &task.state {
            State::Failed(why) => Some(why.clone()),
            _ => None,
        },
        waiting: shown.waiting.clone(),
        started: task.started_ms,
        ended: task.ended_ms,
        looked_at,
        to_look_at,
        moved: task.counts.moved,
        passed: task.counts.passed,
        kept: task.counts.kept,
        kept_records: task
            .kept
            .iter()
            .map(|k| KeptView::new(k.partition, k.offset, &k.why))
            .collect(),
        notes: super::start::notes(&task.source, &task.target, task.for_group.as_deref()),
    }
}
