//! Large appends go to their segments, and are synced there, before the journal names them. In a store that syncs each group, a thread of
//! its own does that, so that small commits to other partitions do not wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::core::Core;
use crate::error::GroupError;
use crate::fs::File;
use crate::partition::{Partition, PendingAppend};
use crate::queue::Job;
use crate::store::Inner;

/// What a commit brings to segments; the commit itself waits for its place in the journal.
struct Cargo {
    commit: u64,
    appends: Vec<PendingAppend>,
}

#[derive(Default)]
struct State {
    todo: Vec<Cargo>,
    is_working: bool,
    stop: bool,
}

/// The way to the segments.
#[derive(Default)]
pub(crate) struct LargeAppends {
    state: Mutex<State>,
    changed: Condvar,
}

impl LargeAppends {
    /// Sends the large appends of `job` on their way. [`crate::queue::Queue::arrived`] tells of their end.
    pub fn send(&self, job: &Job) {
        let large = job.appends().filter(|a| a.is_large());
        let cargo = Cargo {
            commit: job.seq,
            appends: large.cloned().collect(),
        };
        self.state.lock().todo.push(cargo);
        self.changed.notify_all();
    }

    /// Gives up what is not begun, and waits for the end of what is.
    pub fn give_up(&self) {
        let mut state = self.state.lock();
        state.todo.clear();
        while state.is_working {
            self.changed.wait(&mut state);
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }
}

impl Inner {
    /// The thread's life.
    pub(crate) fn large_loop(&self) {
        let large = &self.core.large;
        loop {
            {
                let mut state = large.state.lock();
                while state.todo.is_empty() && !state.stop {
                    large.changed.wait(&mut state);
                }
                if state.todo.is_empty() {
                    return;
                }
            }
            self.step_large();
        }
    }

    /// Writes and syncs what is on its way. Returns whether anything was.
    pub(crate) fn step_large(&self) -> bool {
        let large = &self.core.large;
        let cargo = {
            let mut state = large.state.lock();
            state.is_working = !state.todo.is_empty();
            std::mem::take(&mut state.todo)
        };
        if cargo.is_empty() {
            return false;
        }
        let appends = cargo.iter().flat_map(|c| &c.appends);
        let written = write(&self.core, appends).and_then(|segments| sync(&segments));
        let commits = cargo.iter().map(|c| c.commit).collect();
        self.core.queue.arrived(commits, written);
        large.state.lock().is_working = false;
        large.changed.notify_all();
        true
    }
}

/// Neighbouring bytes for one file.
struct Run<'a> {
    partition: &'a Arc<Partition>,
    segment: i64,
    position: u64,
    end: u64,
    bytes: Vec<&'a Bytes>,
}

/// Segments by the partition's number and their base offset.
pub(crate) type Segments = BTreeMap<(u64, i64), (Arc<Partition>, Arc<dyn File>)>;

/// Writes appends to their segments. Returns those.
pub(crate) fn write<'a>(
    core: &Core,
    appends: impl Iterator<Item = &'a PendingAppend>,
) -> Result<Segments, GroupError> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for append in appends {
        let place = &append.place;
        let end = place.position + append.bytes.len() as u64;
        let neighbour = runs.iter_mut().rev().find(|r| {
            r.segment == place.segment
                && r.end == place.position
                && Arc::ptr_eq(r.partition, &append.partition)
        });
        match neighbour {
            Some(run) => {
                run.bytes.push(&append.bytes);
                run.end = end;
            }
            None => runs.push(Run {
                partition: &append.partition,
                segment: place.segment,
                position: place.position,
                end,
                bytes: vec![&append.bytes],
            }),
        }
    }
    let mut written = Segments::new();
    for run in &runs {
        let bufs: Vec<&[u8]> = run.bytes.iter().map(|b| &b[..]).collect();
        let write = || {
            let file = run.partition.writable(run.segment)?;
            file.write_at(run.position, &bufs)?;
            Ok(file)
        };
        let file = write().map_err(|e| GroupError::before_journal("writing a segment", &e))?;
        written
            .entry((run.partition.uid(), run.segment))
            .or_insert_with(|| (run.partition.clone(), file));
        core.since_checkpoint
            .fetch_add((run.end - run.position) / 16, Ordering::Relaxed);
    }
    Ok(written)
}

/// Makes the bytes of written segments durable.
pub(crate) fn sync(segments: &Segments) -> Result<(), GroupError> {
    segments.values().try_for_each(|(_, file)| {
        file.sync_data()
            .map_err(|e| GroupError::Failed(format!("syncing a segment: {e}")))
    })
}
