//! One partition's log, as the rest of the broker sees it.

use std::sync::Arc;

use bytes::BytesMut;
use ottla_codec::batch::BatchHeader;
use ottla_codec::response::Chunk;

use crate::error::{AppendError, ReadError, StoreError};
use crate::store::Commit;

/// A partition's log. Loaded when it is first asked for; cheap to keep.
pub struct Partition {
    _private: (),
}

/// What an append needs to know of the request.
#[derive(Debug, Clone, Copy)]
pub struct AppendContext {
    /// Milliseconds since the epoch: LogAppendTime, segment ages.
    pub now_ms: i64,
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

/// A file handle for sendfile; keeps the file open.
#[derive(Debug, Clone)]
pub struct FileSlice {
    _private: (),
}

impl FileSlice {
    /// Reads exactly `buf.len()` bytes at `position`. The portable way.
    pub fn read_at(&self, _position: u64, _buf: &mut [u8]) -> std::io::Result<()> {
        todo!()
    }
    /// The file itself, for sendfile; `None` for files that are not the operating system's.
    pub fn os_file(&self) -> Option<&std::fs::File> {
        todo!()
    }
}

/// Whole batches, the first of which holds the offset that was asked for.
#[derive(Debug, Clone, Default)]
pub struct ReadSlice {
    /// In order; from memory, from the file, or both.
    pub chunks: Vec<Chunk<FileSlice>>,
    /// The sum of their lengths.
    pub bytes: usize,
}

/// An offset found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TimestampOffset {
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}

/// Told once when a partition that it watches has new data to read, or is deleted.
pub trait DataWatcher: Send + Sync {
    /// Must be quick: it is called by the thread that made the data durable.
    fn data_available(&self);
}

impl Partition {
    /// Appends whole batches that [`ottla_codec::batch::check_all`] accepted, of which `headers` is the result.
    /// Offsets and leader epoch are patched in place. All of them or none.
    ///
    /// Returns at once; [`crate::Store::durable`] or [`crate::Store::written`] says when it is kept. Calls on one partition are kept in order.
    pub fn append(
        &self,
        _batches: BytesMut,
        _headers: &[BatchHeader],
        _ctx: AppendContext,
    ) -> Result<Appended, AppendError> {
        todo!()
    }

    /// Reads whole batches from `offset` up to `end` (exclusive; pass the high watermark or the last stable offset), at most `max_bytes`
    /// but for the first batch, which comes whole if `first_whole` is set, however large (KIP-74). Empty at the end.
    pub fn read(
        &self,
        _offset: i64,
        _end: i64,
        _max_bytes: usize,
        _first_whole: bool,
    ) -> Result<ReadSlice, ReadError> {
        todo!()
    }

    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> i64 {
        todo!()
    }
    /// The offset after the last record that consumers see.
    pub fn high_watermark(&self) -> i64 {
        todo!()
    }
    /// The first offset of an open transaction, or the high watermark.
    pub fn last_stable_offset(&self) -> i64 {
        todo!()
    }
    /// The offset after the last record, durable or not.
    pub fn log_end_offset(&self) -> i64 {
        todo!()
    }
    /// The current leader epoch: 0 for a new topic.
    pub fn leader_epoch(&self) -> i32 {
        todo!()
    }
    /// The end offset of the largest epoch that is not above `epoch`: (epoch, end offset), or `None` for an unknown one (KIP-101).
    pub fn epoch_end_offset(&self, _epoch: i32) -> Option<(i32, i64)> {
        todo!()
    }
    /// The first record at or after `timestamp`, below the high watermark.
    pub fn offset_for_timestamp(
        &self,
        _timestamp: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
    /// The record with the largest timestamp (KIP-734); `None` when empty.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
    /// Moves the log's start up to `offset` (-1: the high watermark), and frees whole segments below it.
    /// Returns the new start and when it is kept. Past the high watermark: [`ReadError::OutOfRange`].
    pub fn delete_records(
        &self,
        _offset: i64,
    ) -> Result<Result<(i64, Commit), StoreError>, ReadError> {
        todo!()
    }
    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }
    /// Calls `watcher` once when the high watermark passes what it is now, or the topic is deleted. Dropped watchers are forgotten.
    pub fn watch(&self, _watcher: &Arc<dyn DataWatcher>) {
        todo!()
    }
}
