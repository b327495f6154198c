//! Reading a partition: from memory as far back as it goes, from files before that.

use std::io;
use std::sync::Arc;

use ottla_codec::response::Chunk;

use super::files::{SegmentFile, SegmentId};
use super::log::Log;
use super::walk::{BatchAt, Walk};
use super::{FileSlice, Partition, ReadSlice};
use crate::error::ReadError;
use crate::fs::File;
use crate::index::{self, IndexLen, OffsetEntry};

/// A part of a segment file to read, as seen under the partition's lock.
pub(super) struct FilePart {
    pub id: SegmentId,
    size: u64,
    index: IndexLen,
    /// The last entry at or before the wanted offset that is not in the index file.
    pub start: Option<OffsetEntry>,
    /// One within the budget from there on.
    limit_hint: Option<OffsetEntry>,
    /// The part ends before this offset ...
    limit: i64,
    /// ... which is at this position, if that is known.
    limit_position: Option<u64>,
}

/// How often a read takes its place anew since the segment there was replaced. Each time somebody must have been that fast.
const MAX_REPLACED: usize = 100;

/// What a part of a file has for a reader.
enum Found {
    /// Whole batches, and the offset after them.
    Batches(Chunk<FileSlice>, i64),
    /// No batch from the wanted offset on: compaction took them.
    Gap,
    /// The first batch is larger than what was asked for.
    TooLarge,
}

impl Partition {
    /// Reads whole batches from `offset`, or the next batch behind it if there is none there, up to `end` (exclusive; pass the high
    /// watermark or the last stable offset), at most `max_bytes` but for the first batch, which comes whole if `first_whole` is set, however
    /// large (KIP-74). Empty at the end, which a compacted log may have before `end`.
    pub fn read(
        &self,
        offset: i64,
        end: i64,
        max_bytes: usize,
        first_whole: bool,
    ) -> Result<ReadSlice, ReadError> {
        let mut out = ReadSlice {
            next: offset,
            ..ReadSlice::default()
        };
        let end = end.min(self.high_watermark());
        let mut replaced = 0;
        loop {
            let part = {
                let log = self.lock();
                if out.bytes == 0 {
                    self.check_offset(&log, offset)?;
                }
                if out.next >= end || out.next < log.start && out.bytes > 0 {
                    return Ok(out);
                }
                match file_part(&log, out.next, end, max_bytes) {
                    None => {
                        read_memory(&log, end, max_bytes, first_whole, &mut out);
                        return Ok(out);
                    }
                    Some(part) => part,
                }
            };
            let first_whole = first_whole && out.bytes == 0;
            let room = max_bytes - out.bytes.min(max_bytes);
            match self.read_file(&part, out.next, room, first_whole) {
                Ok(Found::Batches(chunk, reached)) => {
                    out.bytes += chunk.len();
                    out.chunks.push(chunk);
                    out.next = reached;
                    if reached < part.limit || out.bytes >= max_bytes {
                        return Ok(out);
                    }
                }
                Ok(Found::Gap) => out.next = part.limit,
                Ok(Found::TooLarge) => return Ok(out),
                Err(e)
                    if e.kind() == io::ErrorKind::NotFound
                        && replaced < MAX_REPLACED
                        && !self.is_listed(part.id) =>
                {
                    replaced += 1;
                }
                Err(e) if out.bytes > 0 => {
                    tracing::warn!(offset = out.next, error = %e, "a read stops early");
                    return Ok(out);
                }
                Err(e) => return Err(self.read_error(out.next, &e)),
            }
        }
    }

    /// Whether the segment is in the list. One that is not may have lost its files.
    pub(super) fn is_listed(&self, id: SegmentId) -> bool {
        self.lock().segments.iter().any(|s| s.id() == id)
    }

    pub(super) fn read_error(&self, offset: i64, e: &io::Error) -> ReadError {
        if self.is_deleted() {
            return ReadError::Deleted;
        }
        if offset < self.log_start_offset() {
            // Retention was faster.
            return ReadError::OutOfRange {
                offset,
                start: self.log_start_offset(),
                end: self.high_watermark(),
            };
        }
        match e.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
                ReadError::Corrupt {
                    offset,
                    reason: e.to_string(),
                }
            }
            _ => ReadError::Io(e.to_string()),
        }
    }

    /// The chunk of a segment from the batch that holds `offset`, or the next one, on.
    fn read_file(
        &self,
        part: &FilePart,
        offset: i64,
        max_bytes: usize,
        first_whole: bool,
    ) -> io::Result<Found> {
        if part.size == 0 {
            return Ok(Found::Gap);
        }
        let file = self.file(part.id, SegmentFile::Log)?;
        let first = match self.locate(&*file, part, part.start, offset)? {
            Some(first) if first.base_offset < part.limit => first,
            _ if part.id.generation > 0 => return Ok(Found::Gap),
            _ => return Err(missing(offset)),
        };
        let budget_end = first.position + max_bytes as u64;
        if let Some(limit_position) = part.limit_position
            && limit_position <= budget_end
        {
            let len = (limit_position - first.position) as usize;
            return Ok(Found::Batches(chunk(file, first.position, len), part.limit));
        }
        let (mut end, mut reached) = (first.position, offset);
        if first_whole || first.end() <= budget_end {
            (end, reached) = (first.end(), first.next_offset);
        }
        if end == first.position {
            return Ok(Found::TooLarge);
        }
        // From the last indexed batch that starts within the budget, to the last that ends within it.
        let from = self
            .floor_position(part, budget_end)?
            .filter(|p| *p > first.position)
            .unwrap_or(first.position);
        let mut walk = Walk::new(&*file, from, part.size);
        while let Some(batch) = walk.next()? {
            if batch.next_offset <= reached {
                continue;
            }
            if batch.base_offset >= part.limit || batch.end() > budget_end {
                if batch.position > end && batch.base_offset <= part.limit {
                    (end, reached) = (batch.position, batch.base_offset);
                }
                break;
            }
            (end, reached) = (batch.end(), batch.next_offset);
        }
        if reached > part.limit {
            // The index led past the limit: walk up to it instead.
            (end, reached) = self.walk_to(&*file, part, first, budget_end)?;
        }
        let len = (end - first.position) as usize;
        Ok(Found::Batches(chunk(file, first.position, len), reached))
    }

    fn walk_to(
        &self,
        file: &dyn File,
        part: &FilePart,
        first: BatchAt,
        budget_end: u64,
    ) -> io::Result<(u64, i64)> {
        let mut at = (first.end(), first.next_offset);
        let mut walk = Walk::new(file, first.end(), part.size);
        while let Some(batch) = walk.next()? {
            if batch.base_offset >= part.limit || batch.end() > budget_end {
                break;
            }
            at = (batch.end(), batch.next_offset);
        }
        Ok(at)
    }

    /// The batch of a segment that holds `offset`, or the next one in it.
    pub(super) fn locate(
        &self,
        file: &dyn File,
        part: &FilePart,
        hint: Option<OffsetEntry>,
        offset: i64,
    ) -> io::Result<Option<BatchAt>> {
        let from = match hint {
            Some(entry) => Ok(Some(entry)),
            // A restored directory has no empty files.
            None if part.index.offsets == 0 => Ok(None),
            None => self.file(part.id, SegmentFile::Index).and_then(|f| {
                index::floor_by(
                    part.index.offsets,
                    |i| index::offset_entry(&*f, part.id.base, i),
                    |e| e.offset <= offset,
                )
            }),
        };
        let mut damaged = true;
        match from {
            Ok(Some(entry)) if entry.position < part.size => {
                let mut walk = Walk::new(file, entry.position, part.size);
                if let Ok(Some(first)) = walk.next()
                    && first.base_offset <= offset
                    && first.next_offset == entry.offset + 1
                {
                    let mut found = Some(first);
                    while let Some(batch) = found {
                        if batch.next_offset > offset {
                            return Ok(Some(batch));
                        }
                        found = walk.next()?;
                    }
                    return Ok(None);
                }
            }
            Ok(None) => damaged = false,
            // A missing, short or wrong index costs a longer walk, once.
            Ok(Some(_)) | Err(_) => {}
        }
        if damaged {
            self.try_rebuild(part.id);
        }
        let mut walk = Walk::new(file, 0, part.size);
        while let Some(batch) = walk.next()? {
            if batch.next_offset > offset {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn floor_position(&self, part: &FilePart, position: u64) -> io::Result<Option<u64>> {
        if let Some(hint) = part.limit_hint
            && hint.position <= position
        {
            return Ok(Some(hint.position));
        }
        let Ok(file) = self.file(part.id, SegmentFile::Index) else {
            return Ok(None);
        };
        let found = index::floor_by(
            part.index.offsets,
            |i| index::offset_entry(&*file, part.id.base, i),
            |e| e.position <= position && e.offset < part.limit,
        );
        let Ok(Some(entry)) = found else {
            return Ok(None);
        };
        // Only an entry that names the batch it points to is believed.
        let log = self.file(part.id, SegmentFile::Log)?;
        match Walk::new(&*log, entry.position, part.size).next() {
            Ok(Some(batch)) if batch.next_offset == entry.offset + 1 => Ok(Some(entry.position)),
            _ => Ok(None),
        }
    }
}

fn chunk(file: Arc<dyn File>, position: u64, len: usize) -> Chunk<FileSlice> {
    Chunk::File {
        file: FileSlice::new(file),
        position,
        len,
    }
}

fn missing(offset: i64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the segment has no batch with offset {offset}"),
    )
}

/// What to read from a file for `offset`; `None` if it is in memory.
pub(super) fn file_part(log: &Log, offset: i64, end: i64, max_bytes: usize) -> Option<FilePart> {
    let memory = log.ring.front();
    if memory.is_some_and(|c| c.base_offset <= offset) {
        return None;
    }
    let number = log.segment_of(offset)?;
    let segment = &log.segments[number];
    let segment_end = log.segment_end(number);
    let mut limit = segment_end;
    let mut limit_position = Some(segment.size);
    if let Some(c) = memory.filter(|c| c.base_offset < limit) {
        limit = c.base_offset;
        limit_position = Some(c.position);
    }
    // What comes in memory may not be in the file yet.
    let size = limit_position.unwrap_or(segment.size);
    if end < limit {
        limit = end;
        limit_position = None;
    }
    let start = segment.index.floor(offset);
    let limit_hint = start
        .and_then(|e| segment.index.floor_position(e.position + max_bytes as u64))
        .filter(|e| e.offset < limit);
    Some(FilePart {
        id: segment.id(),
        size,
        index: segment.index.in_file,
        start,
        limit_hint,
        limit,
        limit_position,
    })
}

fn read_memory(log: &Log, end: i64, max_bytes: usize, first_whole: bool, out: &mut ReadSlice) {
    let at = log.ring.partition_point(|c| c.next_offset <= out.next);
    for cached in log.ring.range(at..) {
        if cached.base_offset >= end {
            break;
        }
        if cached.next_offset > end {
            return;
        }
        let fits = out.bytes + cached.bytes.len() <= max_bytes;
        if !(fits || first_whole && out.bytes == 0) {
            return;
        }
        out.bytes += cached.bytes.len();
        out.next = cached.next_offset;
        out.chunks.push(Chunk::Bytes(cached.bytes.clone()));
    }
    out.next = out.next.max(end);
}
