//! Large appends go to their segments before the journal names them. In a store that syncs each group, threads of
//! their own do that, so that small commits to other partitions do not wait for it: one writes what comes, and has the device begin with
//! it, while others wait for the device to take what came before. Each of those waits for one segment at a time, so that what goes to one
//! segment does not wait for another; beside small commits, which wait for the same device, only one of them is at work. The journal has its record of them synced meanwhile; they are kept when both are there.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::core::Core;
use crate::error::GroupError;
use crate::fs::File;
use crate::partition::{Partition, PendingAppend};
use crate::progress::Stage;
use crate::queue::{Arrived, Job};
use crate::store::Inner;
use crate::writer::show;

/// How many segments are synced at once. More gain nothing: the file system commits one after the other, and the journal has its own.
pub(crate) const SYNCED_AT_ONCE: usize = 2;
/// The same beside small commits: they wait for the same device.
const SYNCED_BESIDE_SMALL: usize = 1;
/// After so many groups without a small commit none is expected.
const GROUPS_WITHOUT_SMALL: u32 = 8;
/// Bytes after which what was written goes on to its sync, before more is written.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// A segment: the number of its partition, and its base offset.
type SegmentKey = (u64, i64);

/// What a commit brings to segments; the commit itself waits for the writer.
struct Cargo {
    commit: u64,
    /// All that it has: the small ones among them go to the journal.
    appends: Vec<PendingAppend>,
}

impl Cargo {
    fn large(&self) -> impl Iterator<Item = &PendingAppend> {
        self.appends.iter().filter(|a| a.is_large())
    }

    fn bytes(&self) -> usize {
        self.large().map(|a| a.bytes.len()).sum()
    }

    fn segments(&self) -> BTreeSet<SegmentKey> {
        let keys = self.large();
        keys.map(|a| (a.partition.uid(), a.place.segment)).collect()
    }
}

/// A segment that was written.
struct Written {
    key: SegmentKey,
    file: Arc<dyn File>,
    /// What was written: in the order in which it was sent.
    commits: Vec<u64>,
}

/// A commit that is in its segments.
struct Landing {
    appends: Vec<PendingAppend>,
    /// How many of the segments are not synced.
    unsynced: usize,
    /// The device has its record in the journal.
    is_journaled: bool,
}

/// What is to be done next by who waits for the device.
enum Task {
    Sync(Written),
    /// All that was written before a write failed is synced.
    Tell(GroupError),
}

#[derive(Default)]
struct State {
    to_write: VecDeque<Cargo>,
    is_writing: bool,
    /// Why something could not be written. Nothing is written after it.
    failed: Option<GroupError>,
    /// The one that waits longest first.
    to_sync: VecDeque<Written>,
    syncing: Vec<SegmentKey>,
    /// Tasks that were taken, and are not done.
    tasks: usize,
    /// By commit.
    landing: HashMap<u64, Landing>,
    /// Groups without a small commit until none is expected.
    beside_small: u32,
    stop: bool,
}

impl State {
    fn may_write(&self) -> bool {
        !self.to_write.is_empty() && self.failed.is_none()
    }

    fn is_resting(&self) -> bool {
        !self.is_writing && self.tasks == 0
    }

    /// Takes what is written together.
    fn take_cargo(&mut self) -> Vec<Cargo> {
        let mut bytes = 0;
        let is_enough = |cargo: &Cargo| {
            bytes += cargo.bytes();
            bytes >= WRITTEN_AT_ONCE
        };
        let last = self.to_write.iter().position(is_enough);
        let count = last.map_or(self.to_write.len(), |last| last + 1);
        self.to_write.drain(..count).collect()
    }

    /// What a commit brought to segments waits for their sync. Returns how many of them did not wait before.
    fn add_written(
        &mut self,
        commit: u64,
        segments: BTreeSet<SegmentKey>,
        appends: Vec<PendingAppend>,
        file_of: impl Fn(&SegmentKey) -> Arc<dyn File>,
    ) -> usize {
        let before = self.to_sync.len();
        let landing = Landing {
            appends,
            unsynced: segments.len(),
            is_journaled: false,
        };
        self.landing.insert(commit, landing);
        for key in segments {
            match self.to_sync.iter_mut().find(|w| w.key == key) {
                Some(written) => written.commits.push(commit),
                None => self.to_sync.push_back(Written {
                    key,
                    file: file_of(&key),
                    commits: vec![commit],
                }),
            }
        }
        self.to_sync.len() - before
    }

    /// Takes the next task. What is written to a segment during its sync waits for the end of that, and then goes with all that came
    /// meanwhile.
    fn take_task(&mut self) -> Option<Task> {
        let task = self.next_task()?;
        self.tasks += 1;
        Some(task)
    }

    fn next_task(&mut self) -> Option<Task> {
        if self.to_sync.is_empty() && self.syncing.is_empty() && !self.is_writing {
            return self.failed.take().map(Task::Tell);
        }
        let at_once = match self.beside_small {
            0 => SYNCED_AT_ONCE,
            _ => SYNCED_BESIDE_SMALL,
        };
        if self.syncing.len() >= at_once {
            return None;
        }
        let free = |w: &Written| !self.syncing.contains(&w.key);
        let next = self.to_sync.iter().position(free)?;
        let written = self.to_sync.remove(next)?;
        self.syncing.push(written.key);
        Some(Task::Sync(written))
    }

    /// A segment is synced. Returns the commits that wait for no other, in order.
    fn settle(&mut self, commits: Vec<u64>) -> Vec<(u64, Landing)> {
        let mut landed = Vec::new();
        for commit in commits {
            let Entry::Occupied(mut landing) = self.landing.entry(commit) else {
                continue;
            };
            landing.get_mut().unsynced -= 1;
            if landing.get().unsynced == 0 {
                landed.push(landing.remove_entry());
            }
        }
        landed
    }
}

/// The way to the segments. What goes to one segment comes to its end in the order in which it was sent.
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
        let cargo = Cargo {
            commit: job.seq,
            appends: job.appends().cloned().collect(),
        };
        self.state.lock().to_write.push_back(cargo);
        self.write.notify_one();
    }

    /// Gives up what is not begun, and waits for the end of what is. Nothing may be sent meanwhile.
    pub fn give_up(&self) {
        let mut state = self.state.lock();
        loop {
            state.to_write.clear();
            state.to_sync.clear();
            state.landing.clear();
            state.failed = None;
            if state.is_resting() {
                return;
            }
            self.rests.wait(&mut state);
        }
    }

    /// The device has the record of this commit in the journal. Who ends the last of its syncs tells those who wait for it, if that is to come.
    pub fn journaled(&self, commit: u64) {
        if let Some(landing) = self.state.lock().landing.get_mut(&commit) {
            landing.is_journaled = true;
        }
    }

    /// The journal had a group of commits, with small ones among them or not.
    pub fn saw_group(&self, any_small: bool) {
        let mut state = self.state.lock();
        state.beside_small = match any_small {
            true => GROUPS_WITHOUT_SMALL,
            false => state.beside_small.saturating_sub(1),
        };
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
        self.sync.notify_all();
    }
}

impl Inner {
    /// The life of the thread that writes.
    pub(crate) fn write_large_loop(&self) {
        let large = &self.core.large;
        let mut state = large.state.lock();
        loop {
            if state.may_write() {
                state = self.write_large(state);
            } else if state.stop {
                return;
            } else {
                large.write.wait(&mut state);
            }
        }
    }

    /// The life of a thread that syncs.
    pub(crate) fn sync_large_loop(&self) {
        let large = &self.core.large;
        let mut state = large.state.lock();
        loop {
            if let Some(task) = state.take_task() {
                state = self.sync_large(state, task);
            } else if state.stop {
                return;
            } else {
                large.sync.wait(&mut state);
            }
        }
    }

    /// Writes what is on its way. Returns whether anything was.
    pub(crate) fn step_large_writes(&self) -> bool {
        let state = self.core.large.state.lock();
        if !state.may_write() {
            return false;
        }
        drop(self.write_large(state));
        true
    }

    /// Gives up what is not written, and sees to it that what is has been synced: the journal may name it. Nothing may be sent meanwhile.
    pub(crate) fn finish_large(&self) {
        let large = &self.core.large;
        let mut state = large.state.lock();
        loop {
            state.to_write.clear();
            if let Some(task) = state.take_task() {
                state = self.sync_large(state, task);
            } else if state.is_resting() {
                return;
            } else {
                large.rests.wait(&mut state);
            }
        }
    }

    /// Syncs the segment that was written first. Returns whether any was.
    pub(crate) fn step_large_syncs(&self) -> bool {
        let mut state = self.core.large.state.lock();
        let Some(task) = state.take_task() else {
            return false;
        };
        drop(self.sync_large(state, task));
        true
    }

    fn write_large<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let large = &self.core.large;
        let cargo = state.take_cargo();
        state.is_writing = true;
        let written = MutexGuard::unlocked(&mut state, || {
            let written = write(&self.core, cargo.iter().flat_map(|c| &c.appends));
            // Before any of it can be synced, which is told after this.
            if written.is_ok() {
                let commits = cargo.iter().map(|c| c.commit).collect();
                self.core.queue.arrived(Arrived::Written(commits));
            }
            written
        });
        state.is_writing = false;
        let tasks = match written {
            Ok(files) => {
                let file_of = |key: &SegmentKey| files[key].1.clone();
                let added = cargo.into_iter().map(|cargo| {
                    let segments = cargo.segments();
                    state.add_written(cargo.commit, segments, cargo.appends, file_of)
                });
                added.sum()
            }
            Err(e) => {
                state.failed = Some(e);
                1
            }
        };
        for _ in 0..tasks {
            large.sync.notify_one();
        }
        large.rests.notify_all();
        state
    }

    fn sync_large<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        task: Task,
    ) -> MutexGuard<'a, State> {
        let queue = &self.core.queue;
        match task {
            Task::Sync(written) => {
                let synced = MutexGuard::unlocked(&mut state, || {
                    queue.call();
                    sync_file(&*written.file)
                });
                let landed = state.settle(written.commits);
                if !landed.is_empty() || synced.is_err() {
                    MutexGuard::unlocked(&mut state, || self.tell_landed(landed, synced));
                }
                state.syncing.retain(|key| *key != written.key);
            }
            Task::Tell(error) => {
                MutexGuard::unlocked(&mut state, || queue.arrived(Arrived::Failed(error)));
            }
        }
        // Only now: who waits for the rest of all must find what they told.
        state.tasks -= 1;
        self.core.large.rests.notify_all();
        if !state.to_sync.is_empty() {
            self.core.large.sync.notify_one();
        }
        state
    }
}

impl Inner {
    fn tell_landed(&self, landed: Vec<(u64, Landing)>, synced: Result<(), GroupError>) {
        let queue = &self.core.queue;
        if let Err(e) = synced {
            queue.arrived(Arrived::Failed(e));
            return;
        }
        // The writer may be waiting for the device with other commits. It hears of these as well, for what it does with commits that are kept.
        for (commit, landing) in landed.iter().filter(|(_, landing)| landing.is_journaled) {
            show(landing.appends.iter());
            queue.progress.complete(Stage::Durable, *commit, *commit);
        }
        let commits = landed.into_iter().map(|(commit, _)| commit).collect();
        queue.arrived(Arrived::Synced(commits));
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

/// Segments, and the partitions they are of.
pub(crate) type Segments = BTreeMap<SegmentKey, (Arc<Partition>, Arc<dyn File>)>;

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
    segments
        .values()
        .try_for_each(|(_, file)| sync_file(&**file))
}

fn sync_file(file: &dyn File) -> Result<(), GroupError> {
    file.sync_data()
        .map_err(|e| GroupError::Failed(format!("syncing a segment: {e}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::StoreError;
    use crate::fs::sim::SimFs;
    use crate::fs::{Fs, OpenMode};
    use crate::snapshot::tests::{LARGE, append, filled};

    /// A write of these commits, each to the segments of these partitions.
    fn write(state: &mut State, commits: &[(u64, &[u64])]) -> usize {
        let fs = SimFs::new(1);
        let path = Path::new("/data/segment");
        fs.create_dir_all(Path::new("/data")).unwrap();
        let file = fs.open(path, OpenMode::Truncate).unwrap();
        let mut count = 0;
        for (commit, partitions) in commits {
            let segments: BTreeSet<SegmentKey> = partitions.iter().map(|p| (*p, 0)).collect();
            count += state.add_written(*commit, segments, Vec::new(), |_| file.clone());
        }
        count
    }

    /// Takes a task: the partition and the commits of a segment to sync.
    fn take(state: &mut State) -> Option<(u64, Vec<u64>)> {
        match state.take_task()? {
            Task::Sync(written) => Some((written.key.0, written.commits)),
            Task::Tell(_) => panic!("nothing failed"),
        }
    }

    fn settle(state: &mut State, (partition, commits): (u64, Vec<u64>)) -> Vec<u64> {
        state.syncing.retain(|key| key.0 != partition);
        state.tasks -= 1;
        let landed = state.settle(commits).into_iter();
        landed.map(|(commit, _)| commit).collect()
    }

    #[test]
    fn a_commit_is_there_once_all_its_segments_are_synced() {
        let mut state = State::default();
        assert_eq!(write(&mut state, &[(5, &[1, 2]), (6, &[2]), (8, &[3])]), 3);
        let tasks = [(); SYNCED_AT_ONCE].map(|()| take(&mut state).unwrap());
        assert_eq!(tasks, [(1, vec![5]), (2, vec![5, 6])]);
        assert_eq!(take(&mut state), None);
        let [first, second] = tasks;
        assert_eq!(settle(&mut state, second), [6]);
        let third = take(&mut state).unwrap();
        assert_eq!(third, (3, vec![8]));
        assert_eq!(settle(&mut state, third), [8]);
        assert_eq!(settle(&mut state, first), [5]);
        assert!(state.landing.is_empty() && state.is_resting());
    }

    #[test]
    fn what_comes_to_a_segment_during_its_sync_goes_together_with_the_next_one() {
        let mut state = State::default();
        write(&mut state, &[(1, &[1])]);
        let first = take(&mut state).unwrap();
        assert_eq!(write(&mut state, &[(2, &[1]), (3, &[1]), (4, &[2])]), 2);
        assert_eq!(take(&mut state), Some((2, vec![4])));
        assert_eq!(take(&mut state), None);
        assert_eq!(settle(&mut state, first), [1]);
        let second = take(&mut state).unwrap();
        assert_eq!(second, (1, vec![2, 3]));
        assert_eq!(settle(&mut state, second), [2, 3]);
    }

    #[test]
    fn one_segment_at_a_time_is_synced_beside_small_commits() {
        let large = LargeAppends::default();
        write(&mut large.state.lock(), &[(1, &[1]), (2, &[2]), (3, &[3])]);
        large.saw_group(true);
        for _ in 1..GROUPS_WITHOUT_SMALL {
            large.saw_group(false);
        }
        let first = take(&mut large.state.lock());
        assert_eq!(first, Some((1, vec![1])));
        assert_eq!(take(&mut large.state.lock()), None);
        large.saw_group(false);
        assert_eq!(take(&mut large.state.lock()), Some((2, vec![2])));
        assert_eq!(take(&mut large.state.lock()), None);
    }

    #[test]
    fn a_failed_write_is_told_after_the_syncs_of_what_was_written_before() {
        let mut state = State::default();
        write(&mut state, &[(1, &[1]), (2, &[2])]);
        let first = take(&mut state).unwrap();
        state.failed = Some(GroupError::DiskFull);
        state.to_write.push_back(Cargo {
            commit: 4,
            appends: Vec::new(),
        });
        assert!(!state.may_write());
        let second = take(&mut state).unwrap();
        assert_eq!(settle(&mut state, first), [1]);
        assert_eq!(take(&mut state), None);
        assert_eq!(settle(&mut state, second), [2]);
        let told = state.take_task();
        assert!(matches!(told, Some(Task::Tell(GroupError::DiskFull))));
        assert!(state.take_task().is_none());
    }

    #[test]
    fn what_is_given_up_does_not_arrive_and_what_is_under_way_is_waited_for() {
        let large = LargeAppends::default();
        let mut state = large.state.lock();
        write(&mut state, &[(1, &[1]), (2, &[1, 2])]);
        let first = take(&mut state).unwrap();
        drop(state);
        std::thread::scope(|scope| {
            let giving_up = scope.spawn(|| large.give_up());
            while large.has_to_sync() {
                std::thread::yield_now();
            }
            assert!(!giving_up.is_finished());
            let mut state = large.state.lock();
            assert_eq!(settle(&mut state, first), [0; 0]);
            large.rests.notify_all();
        });
        assert!(take(&mut large.state.lock()).is_none());
    }

    #[test]
    fn a_failed_sync_is_found_behind_a_full_disk() {
        let (_fs, store) = filled();
        store.inner().step_writer();
        append(&store, LARGE, 0, vec![1; 70_000]).unwrap();
        // What the writer finds together: a write had no room, and a sync that came after it failed.
        let queue = &store.inner().core.queue;
        queue.arrived(Arrived::Failed(GroupError::DiskFull));
        queue.arrived(Arrived::Failed(GroupError::Failed("a sync".to_owned())));
        store.inner().step_journal();
        let trouble = store.write_trouble();
        assert!(
            matches!(trouble, Some(StoreError::Failed(_))),
            "{trouble:?}"
        );
    }
}
