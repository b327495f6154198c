//! Closed segments: which there are, and reading one from its front to its end, as compaction does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_codec::batch::{self, BatchError, BatchHeader, HEADER_LEN};

use super::files::{SegmentFile, SegmentId};
use super::log::Segment;
use super::{Log, Partition};
use crate::fs::{File, OpenMode};

/// Bytes that are read, or written, at once.
pub(super) const PIECE: usize = 256 << 10;
/// A batch that claims more than this is checked in pieces before it is held: a wrong length takes no more memory than this.
/// It is above the default of `max.message.bytes`, so that batches are read once.
const HELD: usize = 2 << 20;

/// A closed segment, as it was when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedSegment {
    /// Which.
    pub id: SegmentId,
    /// The offset after the last that belongs to it, with a record or without.
    pub end: i64,
    /// Bytes of its batches; 0 if nothing is left in it.
    pub size: u64,
    /// The largest timestamp of its records, milliseconds since the epoch; -1 without any.
    pub max_timestamp: i64,
    /// When its first record was appended, milliseconds since the epoch; of one made from others: the youngest source's.
    pub created_ms: i64,
}

/// The closed segments of a partition of which consumers have seen all, whose transactions are decided, from the log's start on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClosedSegments {
    /// Those that may be replaced.
    pub ready: Vec<ClosedSegment>,
    /// The neighbours behind them, that may be after a checkpoint: [`crate::Store::checkpoint`].
    pub waiting: Vec<ClosedSegment>,
}

impl Partition {
    /// The closed segments that compaction may look at.
    pub fn closed_segments(&self) -> ClosedSegments {
        let released = self.core.released.load(Ordering::Acquire);
        let log = self.lock();
        let bound = self.last_stable_offset();
        let unwritten = log.ring.iter().find(|c| !c.in_file);
        let unwritten = unwritten.map_or(i64::MAX, |c| c.segment);
        let mut found = ClosedSegments::default();
        let closed = log.segments.len().saturating_sub(1);
        for (i, s) in log.segments.iter().enumerate().take(closed) {
            let of = closed_segment(&log, i, s);
            if of.end > bound {
                break;
            }
            if of.end <= log.start {
                // It goes when that is durable.
                continue;
            }
            // A replay names none whose every append is below the position of a checkpoint.
            let is_kept = s.last_seq <= released && !s.unsynced && s.index.is_in_files();
            if is_kept && s.base_offset < unwritten && found.waiting.is_empty() {
                found.ready.push(of);
            } else {
                found.waiting.push(of);
            }
        }
        found
    }

    /// Reads a closed segment from its front. `before_read` is called with the number of bytes before they are read: it may wait, and an
    /// error of it ends the reading. `NotFound`: the segment is gone, see [`super::Replaced::Overtaken`].
    pub fn read_closed<H: FnMut(usize) -> io::Result<()>>(
        &self,
        segment: &ClosedSegment,
        before_read: H,
    ) -> io::Result<SegmentReader<H>> {
        let file = match segment.size {
            0 => None,
            // Not one of the few that are kept open: those are for readers.
            _ => Some(
                self.core
                    .fs
                    .open(&self.path(segment.id, SegmentFile::Log), OpenMode::Read)?,
            ),
        };
        Ok(SegmentReader {
            file,
            end: segment.end,
            size: segment.size,
            buffer: Vec::new(),
            buffer_at: 0,
            position: 0,
            next_offset: segment.id.base,
            before_read,
        })
    }
}

pub(super) fn closed_segment(log: &Log, number: usize, s: &Segment) -> ClosedSegment {
    ClosedSegment {
        id: s.id(),
        end: log.segment_end(number),
        size: s.size,
        max_timestamp: s.times.max_timestamp,
        created_ms: s.created_ms,
    }
}

/// Gives the batches of a closed segment, whole and in order, their CRC and offsets checked.
pub struct SegmentReader<H> {
    /// `None` of an empty segment.
    file: Option<Arc<dyn File>>,
    /// The segment's.
    end: i64,
    size: u64,
    /// What the file has at `buffer_at`.
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Of the next batch.
    position: u64,
    next_offset: i64,
    before_read: H,
}

impl<H: FnMut(usize) -> io::Result<()>> SegmentReader<H> {
    /// The next batch; `None` at the end. `InvalidData`, with the position, for damage.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<(BatchHeader, &[u8])>> {
        if self.position >= self.size {
            return Ok(None);
        }
        let start = self.fill(HEADER_LEN)?;
        let header = BatchHeader::parse(&self.buffer[start..]).map_err(|e| self.damaged(&e))?;
        let left = self.size - self.position;
        if header.size as u64 > left {
            return Err(self.damaged(&BatchError::Truncated {
                have: left as usize,
                need: header.size,
            }));
        }
        let possible = self.next_offset..self.end;
        let last = header
            .base_offset
            .checked_add(header.last_offset_delta.into());
        if header.last_offset_delta < 0
            || !possible.contains(&header.base_offset)
            || !last.is_some_and(|last| possible.contains(&last))
        {
            return Err(self.damaged(&BatchError::Invalid("its offsets are not its segment's")));
        }
        if header.size > HELD {
            self.check_crc_in_place(&header)?;
        }
        let start = self.fill(header.size)?;
        let bytes = start..start + header.size;
        if header.size <= HELD {
            batch::check_crc(&self.buffer[bytes.clone()]).map_err(|e| self.damaged(&e))?;
        }
        self.position += header.size as u64;
        self.next_offset = header.next_offset();
        Ok(Some((header, &self.buffer[bytes])))
    }

    /// Where the next batch begins in the segment, in bytes.
    pub fn position(&self) -> u64 {
        self.position
    }

    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.buffer.capacity()
    }

    /// Has the `len` bytes from the position on in the buffer, as far as the segment goes; returns where.
    fn fill(&mut self, len: usize) -> io::Result<usize> {
        let start = (self.position - self.buffer_at) as usize;
        if start + len <= self.buffer.len() {
            return Ok(start);
        }
        self.buffer.drain(..start.min(self.buffer.len()));
        self.buffer_at = self.position;
        let wanted = (self.size - self.position).min(len.max(PIECE) as u64) as usize;
        let have = self.buffer.len();
        if let Some(file) = self.file.as_ref().filter(|_| wanted > have) {
            (self.before_read)(wanted - have)?;
            self.buffer.resize(wanted, 0);
            file.read_exact_at(self.position + have as u64, &mut self.buffer[have..])
                .map_err(|e| self.of_file(e))?;
        }
        match wanted < len {
            true => Err(self.damaged(&"the segment ends inside of it")),
            false => Ok(0),
        }
    }

    fn check_crc_in_place(&mut self, header: &BatchHeader) -> io::Result<()> {
        /// What the CRC does not cover.
        const UNCOVERED: u64 = 21;
        let Some(file) = self.file.clone() else {
            return Ok(());
        };
        let mut piece = vec![0; PIECE];
        let (mut at, end) = (
            self.position + UNCOVERED,
            self.position + header.size as u64,
        );
        let mut actual = 0;
        while at < end {
            let len = (end - at).min(PIECE as u64) as usize;
            (self.before_read)(len)?;
            file.read_exact_at(at, &mut piece[..len])
                .map_err(|e| self.of_file(e))?;
            actual = crc32c::crc32c_append(actual, &piece[..len]);
            at += len as u64;
        }
        let stored = header.crc;
        if actual != stored {
            return Err(self.damaged(&BatchError::BadCrc { stored, actual }));
        }
        Ok(())
    }

    fn of_file(&self, e: io::Error) -> io::Error {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(&"the file ends before it"),
            _ => e,
        }
    }

    fn damaged(&self, what: &dyn std::fmt::Display) -> io::Error {
        let position = self.position;
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("damaged batch at position {position}: {what}"),
        )
    }
}
