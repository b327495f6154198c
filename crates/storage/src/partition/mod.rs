//! One partition's log, as the rest of the broker sees it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::BatchHeader;
use ottla_codec::response::Chunk;
use parking_lot::{Mutex, MutexGuard};

use crate::config::LogConfig;
use crate::core::Core;
use crate::error::{AppendError, ReadError};
use crate::fs::File;
use crate::journal::format::Place;
use crate::partition_state::{ActiveProducer, PartitionState};
use crate::queue::{Kind, QueuedOp};
use crate::store::Commit;
use crate::topic::TopicId;
use crate::watchers::{DataWatcher, Watchers};

pub(crate) mod aborted;
mod build;
pub(crate) mod capture;
mod closed;
mod compact;
pub(crate) mod files;
mod log;
mod read;
mod rebuild;
mod replace;
mod replay;
mod retention;
pub(crate) mod row;
mod times;
pub(crate) mod walk;

pub use build::{NewSegment, SegmentWriter};
pub use closed::{ClosedSegment, ClosedSegments, SegmentReader};
pub use files::SegmentId;
pub(crate) use log::{Log, Segment, SegmentTimes, Staged};
pub use replace::Replaced;
pub(crate) use times::INFLATE_LIMIT;

/// From this size on an append's bytes go to their segment before the journal, which then holds their place only; smaller ones are
/// copied into the journal and reach their segment in the background. A sync of a growing segment costs 0.6-0.9 ms beside the
/// journal's 0.2 ms, about the time in which 64 KiB are written twice at 1 GB/s under load.
pub(crate) const LARGE_APPEND: usize = 64 << 10;

/// A partition's log. Loaded when it is first asked for; cheap to keep.
pub struct Partition {
    me: Weak<Partition>,
    core: Arc<Core>,
    /// Unique in this process: a partition that was deleted and made again has another.
    uid: u64,
    topic: TopicId,
    index: i32,
    dir: PathBuf,
    log: Mutex<Log>,
    high_watermark: AtomicI64,
    /// The first offset that a transaction leaves undecided; `i64::MAX` if none does.
    undecided: AtomicI64,
    log_start: AtomicI64,
    /// Compaction looks again when the last stable offset gets here; `i64::MAX`: it does not wait.
    compaction_waits: AtomicI64,
    deleted: AtomicBool,
    /// Held while a segment is opened for writing, by the writer or the background thread.
    opening: Mutex<()>,
    watchers: Watchers,
}

/// What an append needs to know of the request.
#[derive(Debug, Clone, Copy)]
pub struct AppendContext {
    /// Milliseconds since the epoch: LogAppendTime, segment ages.
    pub now_ms: i64,
    /// A transactional batch may begin its producer's transaction in this partition: whoever appends knows that it is one.
    pub begins_transaction: bool,
}

impl AppendContext {
    /// For batches that begin no transaction.
    pub const fn at(now_ms: i64) -> AppendContext {
        AppendContext {
            now_ms,
            begins_transaction: false,
        }
    }
}

/// An append that has its offsets and is on its way to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The first record's offset.
    pub base_offset: i64,
    /// The offset after the last record.
    pub next_offset: i64,
    /// With LogAppendTime the time; otherwise -1.
    pub log_append_time: i64,
    /// The log's start.
    pub log_start_offset: i64,
    /// When it is kept. For a duplicate: when the original is.
    pub commit: Commit,
}

/// An append on its way to the writer.
#[derive(Clone)]
pub(crate) struct PendingAppend {
    pub partition: Arc<Partition>,
    pub place: Place,
    pub bytes: Bytes,
    /// Batches in it.
    pub count: usize,
}

impl PendingAppend {
    pub fn is_large(&self) -> bool {
        self.bytes.len() >= LARGE_APPEND
    }
}

/// A file handle for sendfile; keeps the file open.
#[derive(Debug, Clone)]
pub struct FileSlice {
    file: Arc<dyn File>,
}

impl FileSlice {
    pub(crate) fn new(file: Arc<dyn File>) -> FileSlice {
        FileSlice { file }
    }
    /// Reads exactly `buf.len()` bytes at `position`. The portable way.
    pub fn read_at(&self, position: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.file.read_exact_at(position, buf)
    }
    /// The file itself, for sendfile; `None` for files that are not the operating system's.
    pub fn os_file(&self) -> Option<&std::fs::File> {
        self.file.os_file()
    }
}

/// Whole batches, the first of which holds the offset that was asked for, or is the next one behind it.
#[derive(Debug, Clone, Default)]
pub struct ReadSlice {
    /// In order; from memory, from the file, or both.
    pub chunks: Vec<Chunk<FileSlice>>,
    /// The sum of their lengths.
    pub bytes: usize,
    /// Where to go on: there is nothing else before this offset. Without any batch it is the end that was given if there is none before
    /// that, and the offset that was asked for if the first is too large.
    pub next: i64,
}

/// An offset found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TimestampOffset {
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}

/// What a partition is loaded from.
pub(crate) struct Loaded {
    pub topic: TopicId,
    pub index: i32,
    pub dir: PathBuf,
    pub row: Option<row::PartitionRow>,
    pub log_start: i64,
    pub state: Box<dyn PartitionState>,
    /// The state has seen everything below this.
    pub state_end: i64,
    pub blocks: aborted::Blocks,
    pub config: Arc<LogConfig>,
}

impl Partition {
    pub(crate) fn new(core: &Arc<Core>, loaded: Loaded) -> Arc<Partition> {
        let row = loaded.row.unwrap_or_default();
        let count = row.segments.len();
        let rows = row.segments.iter().enumerate();
        let mut segments: Vec<_> = rows.map(|(i, s)| s.load(i + 1 == count)).collect();
        // Their files may be gone already: a moved start is kept by the journal, the row only by the next checkpoint.
        let gone = segments
            .iter()
            .skip(1)
            .take_while(|s| s.base_offset <= loaded.log_start)
            .count();
        let dropped = segments.drain(..gone).map(|s| s.id()).collect();
        let log = Log {
            start: loaded.log_start,
            end: row.end,
            segments,
            dropped,
            ring: Default::default(),
            state: loaded.state,
            state_end: loaded.state_end,
            blocks: loaded.blocks,
            config: loaded.config,
            dirty: false,
            last_seq: 0,
            start_seq: 0,
            cleaned_to: row.cleaned_to,
            replaced: Vec::new(),
            building: Vec::new(),
            replacements: 0,
        };
        Arc::new_cyclic(|me| Partition {
            me: me.clone(),
            core: core.clone(),
            uid: core.next_uid(),
            topic: loaded.topic,
            index: loaded.index,
            dir: loaded.dir,
            high_watermark: AtomicI64::new(log.end),
            undecided: AtomicI64::new(log.state.first_undecided().unwrap_or(i64::MAX)),
            log_start: AtomicI64::new(log.start),
            compaction_waits: AtomicI64::new(i64::MAX),
            log: Mutex::new(log),
            deleted: AtomicBool::new(false),
            opening: Mutex::default(),
            watchers: Watchers::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock()
    }
    pub(crate) fn uid(&self) -> u64 {
        self.uid
    }
    /// The topic's id.
    pub fn topic(&self) -> &TopicId {
        &self.topic
    }
    /// The partition's number.
    pub fn index(&self) -> i32 {
        self.index
    }
    #[cfg(test)]
    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.dir
    }
    pub(crate) fn arc(&self) -> Arc<Partition> {
        self.me
            .upgrade()
            .expect("a partition that is borrowed is alive")
    }
    /// Whether its topic is deleted. Who watches is told after this is so.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Appends whole batches that [`ottla_codec::batch::check_all`] accepted, of which `headers` is the result.
    /// Offsets and leader epoch are patched in place. All of them or none.
    ///
    /// Returns at once; [`crate::Store::durable`] or [`crate::Store::written`] says when it is kept. Calls on one partition are kept in order.
    pub fn append(
        &self,
        batches: BytesMut,
        headers: &[BatchHeader],
        ctx: AppendContext,
    ) -> Result<Appended, AppendError> {
        if let Some(trouble) = self.core.queue.trouble() {
            return Err(trouble.into());
        }
        let mut log = self.log.lock();
        let (appended, pending) = self.stage(&mut log, batches, headers, ctx)?;
        let Some(pending) = pending else {
            return Ok(appended);
        };
        let count = pending.count;
        let ops = vec![QueuedOp::Append(pending)];
        match self.core.enqueue(ops, Kind::Normal) {
            Ok(seq) => {
                log.set_seq(count, seq);
                Ok(Appended {
                    commit: Commit(seq),
                    ..appended
                })
            }
            Err(e) => {
                self.roll_back_locked(&mut log, appended.base_offset);
                Err(e.into())
            }
        }
    }

    /// Gives an append its place and puts it into memory; `None` for a duplicate. The commit is the caller's to set.
    pub(crate) fn stage(
        &self,
        log: &mut Log,
        batches: BytesMut,
        headers: &[BatchHeader],
        ctx: AppendContext,
    ) -> Result<(Appended, Option<PendingAppend>), AppendError> {
        if self.is_deleted() {
            return Err(AppendError::Deleted);
        }
        let log_start_offset = log.start;
        match log.stage(batches, headers, ctx)? {
            Staged::Duplicate {
                base_offset,
                next_offset,
                log_append_time,
                seq,
            } => Ok((
                Appended {
                    base_offset,
                    next_offset,
                    log_append_time,
                    log_start_offset,
                    commit: Commit(seq.unwrap_or(0)),
                },
                None,
            )),
            Staged::New {
                base_offset,
                next_offset,
                log_append_time,
                segment,
                position,
                max_timestamp,
                bytes,
                count,
            } => {
                let len = bytes.len();
                self.core
                    .cached
                    .fetch_add(len + count * log::Cached::OVERHEAD, Ordering::Relaxed);
                let pending = PendingAppend {
                    partition: self.arc(),
                    place: Place {
                        topic: self.topic,
                        partition: self.index,
                        base_offset,
                        next_offset,
                        segment,
                        position,
                        now_ms: ctx.now_ms,
                        max_timestamp,
                    },
                    bytes,
                    count,
                };
                if pending.is_large() {
                    for cached in log.ring.iter_mut().rev().take(count) {
                        cached.in_file = true;
                    }
                } else {
                    self.core.unflushed.fetch_add(len, Ordering::Relaxed);
                }
                self.mark_dirty(log);
                self.note_undecided(log);
                // It begins a segment: the one before is closed.
                if segment == base_offset && log.config.cleanup_policy.compact {
                    self.ask_for_compaction();
                }
                let appended = Appended {
                    base_offset,
                    next_offset,
                    log_append_time,
                    log_start_offset,
                    commit: Commit(0),
                };
                Ok((appended, Some(pending)))
            }
        }
    }

    /// Has the next checkpoint write this partition's row.
    pub(crate) fn mark_dirty(&self, log: &mut Log) {
        if !log.dirty {
            log.dirty = true;
            self.core.dirty.lock().push(self.arc());
        }
    }

    pub(crate) fn roll_back_locked(&self, log: &mut Log, offset: i64) {
        let (bytes, unflushed) = log.rollback(offset);
        self.note_undecided(log);
        self.forget_bytes(bytes, unflushed);
    }

    fn forget_bytes(&self, bytes: usize, unflushed: usize) {
        self.core.cached.fetch_sub(bytes, Ordering::Relaxed);
        self.core.unflushed.fetch_sub(unflushed, Ordering::Relaxed);
    }

    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start.load(Ordering::Acquire)
    }
    /// The offset after the last record that consumers see.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }
    /// Where readers of committed records stop: the first offset of a transaction that is open or not durably ended, or the
    /// high watermark.
    pub fn last_stable_offset(&self) -> i64 {
        // Records of an open transaction may be deleted.
        self.undecided
            .load(Ordering::Acquire)
            .max(self.log_start_offset())
            .min(self.high_watermark())
    }
    /// Whether a transaction of `producer_id` is open here, so that its batches need no [`AppendContext::begins_transaction`].
    pub fn has_open_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        self.log
            .lock()
            .state
            .has_open_transaction(producer_id, epoch)
    }
    /// Every producer that is known here.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.log.lock().state.active_producers()
    }
    pub(super) fn note_undecided(&self, log: &Log) {
        let first = log.state.first_undecided().unwrap_or(i64::MAX);
        self.undecided.store(first, Ordering::Release);
    }
    /// The offset after the last record, durable or not.
    pub fn log_end_offset(&self) -> i64 {
        self.log.lock().end
    }
    /// The current leader epoch: 0 for a new topic.
    pub fn leader_epoch(&self) -> i32 {
        log::LEADER_EPOCH
    }
    /// The end offset of the largest epoch that is not above `epoch`: (epoch, end offset), or `None` for an unknown one (KIP-101).
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<(i32, i64)> {
        (epoch == log::LEADER_EPOCH).then(|| (epoch, self.high_watermark()))
    }
    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.log.lock().segments.iter().map(|s| s.size).sum()
    }
    /// Calls `watcher` once when the high watermark or the log's start is not what it is now any more, or the topic is deleted. Dropped
    /// watchers are forgotten.
    pub fn watch(&self, watcher: &Arc<dyn DataWatcher>) {
        self.watchers.add(watcher);
    }

    /// Shows records up to `offset` to consumers. Call [`Partition::wake_watchers`] after it.
    pub(crate) fn advance_high_watermark(&self, offset: i64) {
        self.high_watermark.fetch_max(offset, Ordering::AcqRel);
        if self.undecided.load(Ordering::Acquire) != i64::MAX {
            let mut log = self.log.lock();
            log.state.durable(offset);
            self.note_undecided(&log);
        }
        self.tell_compaction();
    }

    /// Wakes those who wait for data, though there is none: what they may see of the log has changed.
    pub fn wake_watchers(&self) {
        self.watchers.wake();
    }

    pub(crate) fn set_log_start(&self, log: &mut Log, offset: i64) {
        log.start = offset;
        self.log_start.store(offset, Ordering::Release);
    }

    pub(crate) fn set_config(&self, config: Arc<LogConfig>) {
        self.log.lock().config = config;
    }

    /// The topic is deleted, or (if that could not be kept) it is not.
    pub(crate) fn mark_deleted(&self, deleted: bool) {
        self.deleted.store(deleted, Ordering::Release);
    }

    /// Frees what a deleted partition holds in memory.
    pub(crate) fn clear(&self) {
        let mut log = self.log.lock();
        for cached in std::mem::take(&mut log.ring) {
            let len = cached.bytes.len();
            self.core
                .cached
                .fetch_sub(cached.weight(), Ordering::Relaxed);
            if !cached.in_file {
                self.core.unflushed.fetch_sub(len, Ordering::Relaxed);
            }
        }
        drop(log);
        self.core.files.forget_partition(self.uid);
    }

    /// Drops the oldest `count` batches from memory if they may go. Returns how many went.
    pub(crate) fn evict(&self, count: usize) -> usize {
        let hw = self.high_watermark();
        let (evicted, bytes) = self.log.lock().evict(count, hw);
        self.core.cached.fetch_sub(bytes, Ordering::Relaxed);
        evicted
    }

    /// Whether the oldest batch in memory waits for its segment.
    pub(crate) fn has_unflushed(&self) -> bool {
        self.log.lock().ring.front().is_some_and(|c| !c.in_file)
    }

    pub(crate) fn check_offset(&self, log: &Log, offset: i64) -> Result<(), ReadError> {
        if self.is_deleted() {
            return Err(ReadError::Deleted);
        }
        if offset < log.start || offset > log.end {
            return Err(ReadError::OutOfRange {
                offset,
                start: log.start,
                end: self.high_watermark(),
            });
        }
        Ok(())
    }
}
