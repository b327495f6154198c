//! Looking for records by time: the first as young as a given time, and the one with the largest.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use ottla_codec::batch::BatchHeader;
use ottla_codec::response::Chunk;
use ottla_codec::walk;

use super::files::{SegmentFile, SegmentId};
use super::log::{LEADER_EPOCH, SegmentTimes};
use super::read::file_part;
use super::walk::{BatchAt, Walk};
use super::{FileSlice, Partition, TimestampOffset};
use crate::error::ReadError;
use crate::fs::File;
use crate::index;

/// What a compressed batch may inflate to when a time is looked for in it.
pub(crate) const INFLATE_LIMIT: usize = 256 << 20;
/// Looking for a time goes through the log in pieces of this size.
const SEARCH_BYTES: usize = 1 << 20;

impl Partition {
    /// The first record at or after `timestamp`, below the high watermark.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let Some(mut next) = self.search_start(timestamp)? else {
            return Ok(None);
        };
        let end = self.high_watermark();
        while next < end {
            let slice = self.read(next, end, SEARCH_BYTES, true)?;
            if slice.bytes == 0 {
                break;
            }
            for chunk in slice.chunks {
                match self.search_chunk(chunk, timestamp, self.log_start_offset(), &mut next) {
                    Ok(None) => {}
                    Ok(found) => return Ok(found),
                    Err(e) => return Err(self.read_error(next, &e)),
                }
            }
        }
        Ok(None)
    }

    /// An offset before which no record is as young as `timestamp`.
    fn search_start(&self, timestamp: i64) -> Result<Option<i64>, ReadError> {
        let log = self.lock();
        if self.is_deleted() {
            return Err(ReadError::Deleted);
        }
        let Some(segment) = log
            .segments
            .iter()
            .find(|s| s.times.max_timestamp >= timestamp)
        else {
            return Ok(None);
        };
        let start = log.start;
        let id = segment.id();
        if let Some(entry) = segment.index.floor_time(timestamp.saturating_sub(1)) {
            return Ok(Some(entry.offset.max(start)));
        }
        let count = segment.index.in_file.times;
        if count == 0 {
            // What is in memory alone has no files yet.
            return Ok(Some(id.base.max(start)));
        }
        drop(log);
        let found = self.file(id, SegmentFile::TimeIndex).and_then(|f| {
            index::floor_by(
                count,
                |i| index::time_entry(&*f, id.base, i),
                |t| t.max_timestamp < timestamp,
            )
        });
        let offset = match found {
            // All before its offset are not younger than an entry says, if it is right.
            Ok(Some(entry)) if self.is_time_of(id, entry)? => entry.offset,
            Ok(None) => id.base,
            _ => {
                self.try_rebuild(id);
                id.base
            }
        };
        Ok(Some(offset.max(start)))
    }

    /// Whether the batch that a time entry names is there and has that time.
    fn is_time_of(&self, id: SegmentId, entry: SegmentTimes) -> Result<bool, ReadError> {
        let part = {
            let log = self.lock();
            let number = log.segment_of(entry.offset);
            if number.is_none_or(|n| log.segments[n].id() != id) || entry.offset >= log.end {
                return Ok(false);
            }
            match file_part(&log, entry.offset, log.end, 1) {
                Some(part) => part,
                None => {
                    let at = log.ring.partition_point(|c| c.next_offset <= entry.offset);
                    return Ok(log.ring.get(at).is_some_and(|c| {
                        c.next_offset == entry.offset + 1
                            && BatchHeader::parse(&c.bytes)
                                .is_ok_and(|h| h.max_timestamp == entry.max_timestamp)
                    }));
                }
            }
        };
        let found = self
            .file(id, SegmentFile::Log)
            .and_then(|file| self.locate(&*file, &part, part.start, entry.offset));
        let found = match found {
            // Replaced meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.is_listed(id) => None,
            found => found.map_err(|e| self.read_error(entry.offset, &e))?,
        };
        Ok(found.is_some_and(|b| {
            b.next_offset == entry.offset + 1 && b.max_timestamp == entry.max_timestamp
        }))
    }

    fn search_chunk(
        &self,
        chunk: Chunk<FileSlice>,
        timestamp: i64,
        from: i64,
        next: &mut i64,
    ) -> io::Result<Option<TimestampOffset>> {
        let (bytes, batches) = match chunk {
            Chunk::Bytes(bytes) => {
                let file = MemoryFile(bytes.clone());
                (Some(bytes), collect(&file, 0, file.0.len() as u64)?)
            }
            Chunk::File {
                ref file,
                position,
                len,
            } => {
                let end = position + len as u64;
                let batches = collect(&*file.file, position, end)?;
                for batch in batches {
                    *next = batch.next_offset;
                    if batch.max_timestamp < timestamp {
                        continue;
                    }
                    let mut body = vec![0; batch.size as usize];
                    file.read_at(batch.position, &mut body)?;
                    if let Some(found) = search_batch(&body, timestamp, from)? {
                        return Ok(Some(found));
                    }
                }
                return Ok(None);
            }
        };
        for batch in batches {
            *next = batch.next_offset;
            if batch.max_timestamp < timestamp {
                continue;
            }
            let body = bytes
                .as_ref()
                .map(|b| b.slice(batch.position as usize..batch.end() as usize));
            if let Some(found) = search_batch(&body.unwrap_or_default(), timestamp, from)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp (KIP-734) of those that consumers see, the first of those; `None` when empty.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        loop {
            let bounds = self.time_bounds();
            let found = self.largest_within(&bounds)?;
            // Records may have been deleted, this one among them, since the bounds were taken.
            let same = || {
                let log = self.lock();
                (log.start, log.replacements) == (bounds.start, bounds.replacements)
            };
            if found.is_some() || same() {
                return Ok(found);
            }
        }
    }

    fn time_bounds(&self) -> TimeBounds {
        let log = self.lock();
        let hw = self.high_watermark();
        let mut bounds = TimeBounds {
            start: log.start,
            replacements: log.replacements,
            cut: None,
            whole: None,
        };
        for (i, segment) in log.segments.iter().enumerate() {
            let end = log.segment_end(i);
            // What is deleted stays in the list until the deletion is durable.
            if end <= log.start || segment.base_offset >= hw {
                continue;
            }
            let max = log.times_below(i, hw).max_timestamp;
            if segment.base_offset < log.start {
                bounds.cut = Some((end, max));
            } else {
                bounds.whole = bounds.whole.max(Some(max));
            }
        }
        bounds
    }

    fn largest_within(&self, bounds: &TimeBounds) -> Result<Option<TimestampOffset>, ReadError> {
        let first_of = |max: Option<i64>| match max {
            Some(max) if max >= 0 => self.offset_for_timestamp(max),
            _ => Ok(None),
        };
        let Some((end, ever)) = bounds.cut else {
            return first_of(bounds.whole);
        };
        if let Some(found) = first_of(bounds.whole.max(Some(ever)))? {
            return Ok(Some(found));
        }
        // It was in the part of the segment that DeleteRecords took: what is left of that must be looked through.
        let left = self.max_timestamp_before(end)?;
        first_of(bounds.whole.max(left))
    }

    /// The largest timestamp from the log's start up to `end`.
    fn max_timestamp_before(&self, end: i64) -> Result<Option<i64>, ReadError> {
        let start = self.log_start_offset();
        let end = end.min(self.high_watermark());
        let (mut next, mut max) = (start, None);
        while next < end {
            let slice = self.read(next, end, SEARCH_BYTES, true)?;
            if slice.bytes == 0 {
                break;
            }
            for chunk in slice.chunks {
                let times = max_of_chunk(&chunk, start, &mut next);
                max = max.max(times.map_err(|e| self.read_error(next, &e))?);
            }
        }
        Ok(max)
    }
}

/// What the segments know of the largest timestamp that consumers see.
struct TimeBounds {
    /// The log's start then.
    start: i64,
    /// How often segments had been replaced then.
    replacements: u64,
    /// The segment that the log starts inside of: its end, and its largest timestamp, which may be a deleted record's.
    cut: Option<(i64, i64)>,
    /// The largest of the segments behind that one.
    whole: Option<i64>,
}

/// The largest timestamp in the batches of `chunk`, of records at or after offset `from`. Moves `next` past it.
fn max_of_chunk(chunk: &Chunk<FileSlice>, from: i64, next: &mut i64) -> io::Result<Option<i64>> {
    let memory;
    let (file, batches): (&dyn File, _) = match chunk {
        Chunk::Bytes(bytes) => {
            memory = MemoryFile(bytes.clone());
            (&memory, collect(&memory, 0, bytes.len() as u64)?)
        }
        Chunk::File {
            file,
            position,
            len,
        } => (
            &*file.file,
            collect(&*file.file, *position, position + *len as u64)?,
        ),
    };
    let mut max = None;
    for batch in batches {
        *next = batch.next_offset;
        if batch.base_offset >= from {
            max = max.max(Some(batch.max_timestamp));
            continue;
        }
        // The log starts inside of this batch.
        let mut body = vec![0; batch.size as usize];
        file.read_exact_at(batch.position, &mut body)?;
        walk::stored(&body, INFLATE_LIMIT, |record| {
            if batch.base_offset + i64::from(record.offset_delta) >= from {
                max = max.max(Some(record.timestamp));
            }
            ControlFlow::Continue(())
        })
        .map_err(invalid)?;
    }
    Ok(max)
}

fn invalid(e: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e.to_string())
}

fn collect(file: &dyn File, from: u64, to: u64) -> io::Result<Vec<BatchAt>> {
    let mut walk = Walk::new(file, from, to);
    let mut batches = Vec::new();
    while let Some(batch) = walk.next()? {
        batches.push(batch);
    }
    Ok(batches)
}

/// The first record of a batch that is as young as `timestamp`, at or after offset `from`.
fn search_batch(batch: &[u8], timestamp: i64, from: i64) -> io::Result<Option<TimestampOffset>> {
    let base_offset = BatchHeader::parse(batch).map_err(invalid)?.base_offset;
    let mut found = None;
    walk::stored(batch, INFLATE_LIMIT, |record| {
        let offset = base_offset + i64::from(record.offset_delta);
        if record.timestamp < timestamp || offset < from {
            return ControlFlow::Continue(());
        }
        found = Some(TimestampOffset {
            offset,
            timestamp: record.timestamp,
            leader_epoch: LEADER_EPOCH,
        });
        ControlFlow::Break(())
    })
    .map_err(invalid)?;
    Ok(found)
}

/// Batches in memory, walked over like a file.
#[derive(Debug)]
struct MemoryFile(Bytes);

impl File for MemoryFile {
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = self.0.len().min(position as usize);
        let n = buf.len().min(self.0.len() - start);
        buf[..n].copy_from_slice(&self.0[start..start + n]);
        Ok(n)
    }
    fn write_at(&self, _: u64, _: &[&[u8]]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn os_file(&self) -> Option<&std::fs::File> {
        None
    }
}
