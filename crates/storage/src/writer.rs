//! Group commit: everything that waits is written at once, synced at once, and then everybody is told at once.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ottla_codec::batch::{HEADER_LEN, LOG_OVERHEAD};

use crate::core::Core;
use crate::error::{GroupError, StoreError};
use crate::fs::{File, Fs, OpenMode, is_disk_full};
use crate::journal::Journal;
use crate::journal::format::{self, Body, JournalOp, WhenSynced};
use crate::large;
use crate::order::Waiting;
use crate::partition::files::{SegmentFile, SegmentId};
use crate::partition::{Partition, PendingAppend};
use crate::progress::Stage;
use crate::queue::{Arrivals, Arrived, Job, Large, Mode, QueuedOp};
use crate::store::Inner;

/// Journal bytes of one group, about: bounds the latency of its first commit.
const GROUP_BYTES: usize = 4 << 20;
/// Set aside so that topics can still be deleted on a full disk, and a recovery can make its checkpoint there.
const RESERVE_BYTES: usize = 2 << 20;
/// Its file, in the data directory.
pub(crate) const RESERVE_NAME: &str = "reserve";

/// Makes the reserve, or finds it. An error says that there is no room.
fn make_reserve(core: &Core, reserve: usize) -> io::Result<()> {
    let path = core.dir.join(RESERVE_NAME);
    let file = match core.fs.open(&path, OpenMode::Write) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => core.fs.open(&path, OpenMode::Truncate)?,
        other => other?,
    };
    if file.len()? < reserve as u64 {
        file.write_at(0, &[&vec![0; reserve]])?;
        file.sync_data()?;
    }
    Ok(())
}

/// What the writer alone has.
pub(crate) struct Writer {
    /// Started at the end of recovery, before the first commit.
    journal: Option<Journal>,
    buffer: Vec<u8>,
    /// Batches in memory, oldest first: (partition, how many batches).
    cached: VecDeque<(Arc<Partition>, usize)>,
    /// Segments with large appends that were not synced, by the partition's number and the segment's base offset.
    unsynced: BTreeMap<(u64, i64), Arc<Partition>>,
    /// What is not kept yet.
    waiting: Waiting,
    reserved: bool,
}

/// Gives the reserve of an earlier run to an opening that lacks room. It is made anew when there is some.
pub(crate) fn use_reserve(fs: &dyn Fs, dir: &Path) {
    // Without a reserve there is nothing to gain; what lacks room says so.
    let _ = fs.remove_file(&dir.join(RESERVE_NAME));
}

impl Writer {
    pub fn new() -> Writer {
        Writer {
            journal: None,
            buffer: Vec::new(),
            cached: VecDeque::new(),
            unsynced: BTreeMap::new(),
            waiting: Waiting::default(),
            reserved: false,
        }
    }

    pub fn start(&mut self, journal: Journal) {
        self.journal = Some(journal);
    }

    /// Notes in the journal, if it is started, that all up to `seq` is in segments and catalogue.
    pub fn note_checkpoint(&self, seq: u64) -> io::Result<()> {
        let journal = self.journal.as_ref();
        journal.map_or(Ok(()), |j| j.note_checkpoint(seq))
    }

    /// Notes in the journal that nothing follows.
    pub fn close_journal(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), Journal::close)
    }

    /// The files that hold commits of a store that does not sync each: the segments that the journal points into, then the journal's.
    fn unsynced_files(&mut self) -> io::Result<Vec<Arc<dyn File>>> {
        let mut files = Vec::new();
        for ((_, segment), partition) in std::mem::take(&mut self.unsynced) {
            match partition.file(SegmentId::appended(segment), SegmentFile::Log) {
                Ok(file) => files.push(file),
                // Its topic is deleted, or its records are.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        files.extend(self.journal.iter().flat_map(Journal::files));
        Ok(files)
    }

    fn release_reserve(&mut self, core: &Core) -> bool {
        let was = std::mem::take(&mut self.reserved);
        was && core.fs.remove_file(&core.dir.join(RESERVE_NAME)).is_ok()
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal
            .as_mut()
            .expect("the journal is started before the first commit")
    }

    /// Writes a group. What is settled of it is then kept as far as `core` promises. Returns the number of the record before it.
    fn write_group(&mut self, core: &Core, jobs: &[Job]) -> Result<u64, GroupError> {
        self.bring_to_segments(core, jobs)?;
        let before = self.journal().last_seq();
        let records: Vec<(u64, Vec<JournalOp>)> = (before + 1..)
            .zip(jobs)
            .map(|(number, job)| {
                let when = when_synced(core, job);
                let ops = job.ops.iter().map(|op| journal_op(op, when));
                (number, ops.collect())
            })
            .collect();
        let lens = records.iter().map(|(_, ops)| format::record_len(ops));
        let len = lens.sum::<usize>() + format::GROUP_MARK_LEN;
        let last = before + jobs.len() as u64;
        let released = core.released_records.load(Ordering::Acquire);
        let mut reserved = self.journal().reserve(len, released);
        if reserved.as_ref().is_err_and(is_disk_full) && self.release_reserve(core) {
            reserved = self.journal().reserve(len, released);
        }
        let file_id =
            reserved.map_err(|e| GroupError::before_journal("making a journal file", &e))?;
        self.buffer.clear();
        let settled = self.waiting.first_unsettled().unwrap_or(before + 1);
        for (number, ops) in &records {
            let mark = (core.synced() && self.buffer.is_empty()).then_some(settled);
            format::encode_record(&mut self.buffer, file_id, *number, ops, mark);
        }
        let journal = self
            .journal
            .as_mut()
            .expect("the journal is started before the first commit");
        journal
            .write(&self.buffer, last)
            .map_err(|e| GroupError::Failed(format!("writing the journal: {e}")))?;
        core.last_record.store(last, Ordering::Release);
        // One huge group must not hold its memory for ever.
        if self.buffer.capacity() > 2 * GROUP_BYTES {
            self.buffer = Vec::new();
        }
        core.since_checkpoint
            .fetch_add(len as u64, Ordering::Relaxed);
        core.journal_bytes.fetch_add(len as u64, Ordering::Relaxed);
        if core.synced() {
            complete(core, Stage::Written, jobs);
            core.journal_syncs.fetch_add(1, Ordering::Relaxed);
            self.journal()
                .sync()
                .map_err(|e| GroupError::Failed(format!("syncing the journal: {e}")))?;
        }
        Ok(before)
    }

    /// Large appends that are not in their segments yet: of commits that also change trees, and of stores that sync later.
    fn bring_to_segments(&mut self, core: &Core, jobs: &[Job]) -> Result<(), GroupError> {
        let missing = jobs.iter().filter(|job| job.large == Large::None);
        let missing = missing.flat_map(Job::appends);
        let written = large::write(core, missing.filter(|a| a.is_large()))?;
        if core.synced() {
            return large::sync(&written);
        }
        for (segment, (partition, _)) in written {
            self.unsynced.entry(segment).or_insert(partition);
        }
        Ok(())
    }

    /// Bounds the memory of recent batches: the oldest go first, whatever partition they are of.
    fn evict(&mut self, core: &Core) {
        while core.cached.load(Ordering::Relaxed) > core.options.cache_bytes {
            let Some((partition, count)) = self.cached.front_mut() else {
                return;
            };
            let evicted = partition.evict(*count);
            if evicted < *count && !partition.is_deleted() && partition.has_unflushed() {
                *count -= evicted;
                core.background.ask(|w| w.flush = true);
                return;
            }
            self.cached.pop_front();
        }
    }
}

/// When the device has the large appends of a commit that comes into the journal.
fn when_synced(core: &Core, job: &Job) -> WhenSynced {
    if !core.synced() {
        WhenSynced::Later
    } else if job.is_settled() {
        WhenSynced::Before
    } else {
        WhenSynced::Meanwhile
    }
}

fn journal_op(op: &QueuedOp, when: WhenSynced) -> JournalOp {
    match op {
        QueuedOp::Meta(op) => op.clone(),
        QueuedOp::Append(append) => {
            let body = if append.is_large() {
                Body::Segment {
                    len: append.bytes.len() as u32,
                    synced: when,
                    headers: headers_of(append),
                }
            } else {
                Body::Inline(append.bytes.clone())
            };
            JournalOp::Append(append.place, body)
        }
    }
}

/// The headers of an append's batches, one after the other.
fn headers_of(append: &PendingAppend) -> Bytes {
    let mut headers = Vec::with_capacity(append.count * HEADER_LEN);
    let mut rest = &append.bytes[..];
    while let Some(header) = rest.get(..HEADER_LEN) {
        headers.extend_from_slice(header);
        let len = i32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        rest = rest.get(LOG_OVERHEAD + len as usize..).unwrap_or(&[]);
    }
    Bytes::from(headers)
}

/// Lets consumers see what is kept, all of a commit before anybody is woken.
pub(crate) fn show<'a>(appends: impl Iterator<Item = &'a PendingAppend> + Clone) {
    for append in appends.clone() {
        let end = append.place.next_offset;
        append.partition.advance_high_watermark(end);
    }
    let mut woken: Option<u64> = None;
    for append in appends {
        if woken != Some(append.partition.uid()) {
            append.partition.wake_watchers();
            woken = Some(append.partition.uid());
        }
    }
}

fn appends(jobs: &[Job]) -> impl Iterator<Item = &PendingAppend> + Clone {
    jobs.iter().flat_map(Job::appends)
}

/// The first jobs whose journal bytes fit a group; at least one.
fn group_len(jobs: &[Job]) -> usize {
    let mut bytes = 0;
    for (i, job) in jobs.iter().enumerate() {
        for op in &job.ops {
            bytes += match op {
                QueuedOp::Append(a) if a.is_large() => 128 + a.count * HEADER_LEN,
                QueuedOp::Append(a) => a.bytes.len() + 128,
                QueuedOp::Meta(op) => op.encoded_len(),
            };
        }
        if bytes > GROUP_BYTES {
            return (i + 1).max(1);
        }
    }
    jobs.len()
}

/// Commits that are done: ranges of neighbours.
fn ranges(jobs: &[Job]) -> impl Iterator<Item = (u64, u64)> {
    jobs.chunk_by(|a, b| a.seq + 1 == b.seq)
        .map(|run| (run[0].seq, run[run.len() - 1].seq))
}

fn complete(core: &Core, stage: Stage, jobs: &[Job]) {
    for (from, to) in ranges(jobs) {
        core.queue.progress.complete(stage, from, to);
    }
}

impl Inner {
    /// The writer thread's life.
    pub(crate) fn write_loop(&self) {
        let (mut spare, mut waits) = (Vec::new(), false);
        while let Some(arrivals) = self.core.queue.wait(spare, waits) {
            (spare, waits) = self.write_jobs(arrivals);
        }
        self.core.large.stop();
    }

    /// Writes what waits, for a store without threads: in one group, and in a second one what waited for large appends. Returns whether
    /// anything waited.
    pub(crate) fn step_writer(&self) -> bool {
        let any = self.step_journal();
        self.step_large_writes();
        while self.step_large_syncs() {}
        self.step_journal() || any
    }

    /// Writes what waits, for a store without threads, save large appends that are not in their segments: see [`Inner::step_large_writes`].
    /// Returns whether anything waited.
    pub(crate) fn step_journal(&self) -> bool {
        let arrivals = self.core.queue.take();
        let any = !arrivals.is_empty();
        if any || self.core.queue.is_disk_full() {
            self.write_jobs(arrivals);
        }
        any
    }

    /// Makes durable what a store without syncs has written so far. Commits go on meanwhile.
    pub(crate) fn sync_commits(&self) -> io::Result<()> {
        let files = self.writer.lock().unsynced_files()?;
        files.iter().try_for_each(|f| f.sync_data())
    }

    /// Returns the emptied list, and whether commits wait for the bytes of large appends.
    fn write_jobs(&self, mut arrivals: Arrivals) -> (Vec<Job>, bool) {
        let mut writer = self.writer.lock();
        if self.core.queue.is_disk_full() {
            self.look_for_room(&mut writer);
        }
        let any_sent = arrivals.jobs.iter().any(|job| job.large != Large::None);
        let mut ready = if writer.waiting.is_empty() && !any_sent {
            std::mem::take(&mut arrivals.jobs)
        } else {
            for job in arrivals.jobs.drain(..) {
                writer.waiting.add(job);
            }
            if let Some(cause) = self.settle(&mut writer, arrivals.large) {
                let failed = writer.waiting.take_all();
                self.fail(&mut writer, cause, failed);
                return (arrivals.jobs, false);
            }
            writer.waiting.take_ready()
        };
        let mut done = 0;
        while done < ready.len() {
            let len = group_len(&ready[done..]);
            let group = &ready[done..done + len];
            match writer.write_group(&self.core, group) {
                Ok(before) => {
                    let any_small = group.iter().any(|job| job.large == Large::None);
                    self.core.large.saw_group(any_small);
                    for run in group.chunk_by(|a, b| a.is_settled() == b.is_settled()) {
                        if run[0].is_settled() {
                            self.publish(&mut writer, run);
                        }
                    }
                    let records = (before + 1..).zip(&mut ready[done..done + len]);
                    for (record, job) in records.filter(|(_, job)| !job.is_settled()) {
                        self.core.large.journaled(job.seq);
                        let ops = std::mem::take(&mut job.ops);
                        writer.waiting.add_unsettled(record, Job { ops, ..*job });
                    }
                }
                Err(e) => {
                    let mut failed = ready.split_off(done);
                    failed.extend(writer.waiting.take_all());
                    failed.sort_by_key(|job| job.seq);
                    self.fail(&mut writer, e, failed);
                    break;
                }
            }
            done += len;
        }
        ready.clear();
        (ready, !writer.waiting.is_empty())
    }

    /// Takes note of what large appends have come to, and publishes what is kept by it. Returns why some are not, and will not be.
    fn settle(&self, writer: &mut Writer, arrived: Vec<Arrived>) -> Option<GroupError> {
        let mut errors = Vec::new();
        let mut settled = Vec::new();
        for step in arrived {
            match step {
                Arrived::Written(commits) => {
                    settled.extend(writer.waiting.arrived(&commits, Large::Written));
                }
                Arrived::Synced(commits) => {
                    settled.extend(writer.waiting.arrived(&commits, Large::Synced));
                }
                Arrived::Failed(e) => errors.push(e),
            }
        }
        if !settled.is_empty() {
            self.publish(writer, &settled);
        }
        GroupError::worst(errors)
    }

    /// Makes the reserve of a store that has just been opened. Its first commits need not wait for that, so the lock of the writer is
    /// not held meanwhile.
    pub(crate) fn make_first_reserve(&self) -> io::Result<()> {
        match make_reserve(&self.core, self.tuning.reserve_bytes) {
            Ok(()) => self.writer.lock().reserved = true,
            // Reads and deletions go on a full disk.
            Err(e) if is_disk_full(&e) => self.core.queue.refuse_new(Mode::DiskFull),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Takes writes again if a full disk has room.
    fn look_for_room(&self, writer: &mut Writer) {
        let released = self.core.released_records.load(Ordering::Acquire);
        if let Some(journal) = &mut writer.journal
            && let Err(e) = journal.give_back(released)
        {
            tracing::warn!(error = %e, "a journal file cannot be removed");
        }
        let room = self.core.fs.available_bytes(&self.core.dir);
        let wanted = 2 * self.tuning.reserve_bytes as u64 + self.tuning.journal_file_bytes;
        // Where it cannot be told, trying tells.
        if room.as_ref().is_ok_and(|r| *r < wanted) {
            // What holds the space may be the journal itself: a checkpoint lets go of it.
            if room.is_ok_and(|r| r >= self.tuning.checkpoint_room)
                && self.core.released.load(Ordering::Acquire) < self.core.queue.last_seq()
            {
                self.core.background.ask(|w| w.checkpoint = true);
            }
            return;
        }
        let reserve = self.tuning.reserve_bytes;
        if make_reserve(&self.core, reserve).is_ok() {
            writer.reserved = true;
            tracing::info!("there is room on the disk again: writes are taken");
            self.core.queue.set_mode(Mode::Open);
        }
    }

    fn publish(&self, writer: &mut Writer, group: &[Job]) {
        show(appends(group));
        let batches = appends(group).map(|a| (a.partition.clone(), a.count));
        writer.cached.extend(batches);
        if !self.core.synced() {
            complete(&self.core, Stage::Written, group);
        }
        complete(&self.core, Stage::Durable, group);
        writer.evict(&self.core);
        let since = self.core.since_checkpoint.load(Ordering::Relaxed);
        let due = since >= self.core.options.checkpoint_bytes;
        let unflushed = self.core.unflushed.load(Ordering::Relaxed);
        let released = self.core.released_records.load(Ordering::Acquire);
        let next_file = writer.journal().ask_for_next(released);
        let full = unflushed > self.core.options.cache_bytes / 4;
        self.core.background.ask(|w| {
            w.dirty = true;
            w.checkpoint |= due;
            w.flush |= full;
            w.next_file |= next_file;
        });
    }

    /// Takes back `jobs`, which are all that is not in the journal, with what waits for the writer, and stops taking commits for as long as
    /// the cause lasts. What is unsettled is kept if it can be.
    fn fail(&self, writer: &mut Writer, mut cause: GroupError, mut jobs: Vec<Job>) {
        jobs.extend(self.core.queue.set_mode(Mode::from(&cause)));
        // Nobody writes to a segment when its end is taken back.
        self.finish_large();
        // The pages of a sync that failed meanwhile may be of commits that were kept long ago: no later sync would tell.
        let arrived = self.core.queue.take_arrived();
        if let Some(failed @ GroupError::Failed(_)) = self.settle(writer, arrived) {
            jobs.extend(self.core.queue.set_mode(Mode::from(&failed)));
            cause = failed;
        }
        // What is left of it after that waits for a sync that failed.
        jobs.extend(writer.waiting.take_unsettled());
        jobs.sort_by_key(|job| job.seq);
        let error = StoreError::from(cause);
        tracing::error!(commits = jobs.len(), %error, "commits are not kept");
        let outcome_unknown = matches!(error, StoreError::Failed(_));
        // After a failed sync the journal may hold them nevertheless; the store is read-only from here, so nothing takes their place.
        if !outcome_unknown {
            for append in appends(&jobs) {
                let mut log = append.partition.lock();
                append
                    .partition
                    .roll_back_locked(&mut log, append.place.base_offset);
            }
            // No commit is kept that came after a change of a tree which is not.
            if let Some(first) = jobs.iter().find(|job| job.changes_trees()) {
                self.roll_back_meta(first.seq);
            }
        }
        for (from, to) in ranges(&jobs) {
            self.core.queue.progress.fail(from, to, &error);
        }
    }
}

/// The reserve of a real data directory.
pub(crate) const DEFAULT_RESERVE: usize = RESERVE_BYTES;
