//! Large appends go to their segments, and are synced there, before the journal names them. In a store that syncs each group, two threads
//! of their own do that, so that small commits to other partitions do not wait for it: one writes what comes, and has the device begin with
//! it, while the other waits for the device to take what came before.

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

/// What was written together.
struct Load {
    commits: Vec<u64>,
    segments: Result<Segments, GroupError>,
}

#[derive(Default)]
struct State {
    to_write: Vec<Cargo>,
    to_sync: Vec<Load>,
    is_writing: bool,
    is_syncing: bool,
    stop: bool,
}

/// The way to the segments. All come to its end in the order in which they were sent.
#[derive(Default)]
pub(crate) struct LargeAppends {
    state: Mutex<State>,
    /// Something is to be written, or nothing will be.
    write: Condvar,
    /// The same of what is to be synced.
    sync: Condvar,
    /// A thread has ended what it was at.
    rests: Condvar,
}

impl LargeAppends {
    /// Sends the large appends of `job` on their way. [`crate::queue::Queue::arrived`] tells of their end.
    pub fn send(&self, job: &Job) {
        let large = job.appends().filter(|a| a.is_large());
        let cargo = Cargo {
            commit: job.seq,
            appends: large.cloned().collect(),
        };
        self.state.lock().to_write.push(cargo);
        self.write.notify_one();
    }

    /// Gives up what is not begun, and waits for the end of what is.
    pub fn give_up(&self) {
        let mut state = self.state.lock();
        loop {
            state.to_write.clear();
            state.to_sync.clear();
            if !state.is_writing && !state.is_syncing {
                return;
            }
            self.rests.wait(&mut state);
        }
    }

    /// Waits for work. `false`: there will be none any more.
    fn wait(
        &self,
        told: &Condvar,
        has_work: impl Fn(&State) -> bool,
        is_over: impl Fn(&State) -> bool,
    ) -> bool {
        let mut state = self.state.lock();
        while !has_work(&state) {
            if is_over(&state) {
                return false;
            }
            told.wait(&mut state);
        }
        true
    }

    /// Whether something is written, and waits to be synced.
    #[cfg(test)]
    pub fn has_to_sync(&self) -> bool {
        !self.state.lock().to_sync.is_empty()
    }

    /// Ends the threads, once nothing is on its way.
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.write.notify_one();
        self.sync.notify_one();
    }
}

impl Inner {
    /// The life of the thread that writes.
    pub(crate) fn write_large_loop(&self) {
        let large = &self.core.large;
        let has_work = |state: &State| !state.to_write.is_empty();
        while large.wait(&large.write, has_work, |state| state.stop) {
            self.step_large_writes();
        }
    }

    /// The life of the thread that syncs.
    pub(crate) fn sync_large_loop(&self) {
        let large = &self.core.large;
        let has_work = |state: &State| !state.to_sync.is_empty();
        let is_over = |state: &State| state.stop && !state.is_writing && state.to_write.is_empty();
        while large.wait(&large.sync, has_work, is_over) {
            self.step_large_syncs();
        }
    }

    /// Writes what is on its way. Returns whether anything was.
    pub(crate) fn step_large_writes(&self) -> bool {
        let large = &self.core.large;
        let cargo = begin(&mut large.state.lock(), |s| {
            (&mut s.to_write, &mut s.is_writing)
        });
        if cargo.is_empty() {
            return false;
        }
        let appends = cargo.iter().flat_map(|c| &c.appends);
        let load = Load {
            segments: write(&self.core, appends),
            commits: cargo.iter().map(|c| c.commit).collect(),
        };
        let mut state = large.state.lock();
        state.to_sync.push(load);
        state.is_writing = false;
        drop(state);
        large.sync.notify_one();
        large.rests.notify_one();
        true
    }

    /// Syncs what was written. Returns whether anything was.
    pub(crate) fn step_large_syncs(&self) -> bool {
        let large = &self.core.large;
        let loads = begin(&mut large.state.lock(), |s| {
            (&mut s.to_sync, &mut s.is_syncing)
        });
        if loads.is_empty() {
            return false;
        }
        let (mut commits, mut segments) = (Vec::new(), Ok(Segments::new()));
        for mut load in loads {
            commits.append(&mut load.commits);
            // With what could not be written goes all that is on its way.
            segments = segments.and_then(|mut all| {
                all.append(&mut load.segments?);
                Ok(all)
            });
        }
        let synced = segments.and_then(|segments| sync(&segments));
        self.core.queue.arrived(commits, synced);
        large.state.lock().is_syncing = false;
        large.rests.notify_one();
        true
    }
}

/// Takes all of a list for the thread that works it off.
fn begin<T>(state: &mut State, list: impl Fn(&mut State) -> (&mut Vec<T>, &mut bool)) -> Vec<T> {
    let (list, is_at_work) = list(state);
    *is_at_work = !list.is_empty();
    std::mem::take(list)
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
            if core.synced() {
                file.start_sync(run.position, run.end - run.position);
            }
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
