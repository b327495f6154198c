//! The state of a partition's log, under the partition's lock: offsets, segments, recent batches. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::{self, BatchHeader, TimestampType};
use ottla_codec::control;
use serde::{Deserialize, Serialize};

use super::aborted::Blocks;
use super::files::SegmentId;
use super::{AppendContext, PartitionState};
use crate::config::LogConfig;
use crate::error::AppendError;
use crate::index::IndexTail;
use crate::partition_state::Check;

/// Batches below this are copied out of the buffer that they came in, so that they do not pin a large receive buffer.
const COPY_BELOW: usize = 4096;
/// Positions and relative offsets in Kafka's index files are 32 bit.
pub(super) const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64;
/// The leader epoch of every partition: leadership does not move in a single broker.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// A batch in memory.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub base_offset: i64,
    pub next_offset: i64,
    /// The base offset of the segment.
    pub segment: i64,
    pub position: u64,
    pub bytes: Bytes,
    /// In the segment's file, or on its way there before the commit is durable.
    pub in_file: bool,
    pub seq: u64,
    /// What the segment knew before this batch: for taking it back, and until consumers see it.
    before: SegmentTimes,
}

impl Cached {
    /// What a batch takes in memory beside its bytes: its place in the ring, which may be half empty, and what the allocator and
    /// the reference count add.
    pub const OVERHEAD: usize = 2 * size_of::<Cached>() + 64;

    /// What it takes of the cache.
    pub fn weight(&self) -> usize {
        self.bytes.len() + Self::OVERHEAD
    }
}

/// What a segment knows of its records' times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentTimes {
    pub max_timestamp: i64,
    /// The last offset of the batch that has it.
    pub offset: i64,
}

/// A segment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub base_offset: i64,
    /// See [`SegmentId`].
    pub generation: u32,
    /// The position where the next batch goes.
    pub size: u64,
    pub times: SegmentTimes,
    /// When its first batch was appended.
    pub created_ms: i64,
    pub index: IndexTail,
    /// Whether the file has nothing of this segment yet: it is emptied before the first write.
    pub fresh: bool,
    /// Its files are made, and their names may not be durable yet.
    pub unnamed: bool,
    /// Written to since it was last synced by a checkpoint.
    pub unsynced: bool,
    /// The last commit of this process with an append to it; 0 without one.
    pub last_seq: u64,
}

/// A segment that is in no list any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired {
    pub id: SegmentId,
    /// Its files may go after this many checkpoints of this process.
    pub after: u64,
}

/// An append that has its place.
pub(crate) enum Staged {
    New {
        base_offset: i64,
        next_offset: i64,
        log_append_time: i64,
        segment: i64,
        position: u64,
        max_timestamp: i64,
        bytes: Bytes,
        /// Batches in it.
        count: usize,
    },
    Duplicate {
        base_offset: i64,
        next_offset: i64,
        log_append_time: i64,
        /// The commit of the original, if it may still be under way.
        seq: Option<u64>,
    },
}

pub(crate) struct Log {
    pub start: i64,
    pub end: i64,
    /// In order; the last is the active one.
    pub segments: Vec<Segment>,
    /// Segments that the row still had when it was loaded though their records are deleted.
    pub dropped: Vec<SegmentId>,
    /// The last batches, without a gap up to the end.
    pub ring: VecDeque<Cached>,
    pub state: Box<dyn PartitionState>,
    /// At recovery: the state has seen everything below this.
    pub state_end: i64,
    /// Aborted transactions that the state has given away.
    pub blocks: Blocks,
    pub config: Arc<LogConfig>,
    /// Changed since the last checkpoint, and in the store's list of such.
    pub dirty: bool,
    /// The last commit with an append to this partition.
    pub last_seq: u64,
    /// The commit that moved the start.
    pub start_seq: u64,
    /// Everything below it has been compacted; 0: nothing has.
    pub cleaned_to: i64,
    /// Segments that others took the place of. Their files are there until a checkpoint has the new list.
    pub replaced: Vec<Retired>,
    /// Segments that are being made.
    pub building: Vec<SegmentId>,
    /// How often segments were replaced in this process.
    pub replacements: u64,
}

impl Log {
    /// Gives whole batches their offsets and their place, all of them or none.
    pub fn stage(
        &mut self,
        mut bytes: BytesMut,
        headers: &[BatchHeader],
        ctx: AppendContext,
    ) -> Result<Staged, AppendError> {
        let limit = self.config.max_message_bytes;
        // A transaction must end whatever its topic takes.
        let is_limited = headers.iter().any(|h| !h.is_control());
        if let Some(h) = headers.iter().find(|h| is_limited && h.size > limit) {
            return Err(AppendError::TooLarge {
                size: h.size,
                limit,
            });
        }
        let segment_limit = self.config.segment_bytes.min(MAX_SEGMENT_BYTES);
        if is_limited && bytes.len() as u64 > segment_limit {
            return Err(AppendError::LargerThanSegment {
                size: bytes.len(),
                limit: segment_limit,
            });
        }
        let base_offset = self.end;
        let append_time = match self.config.timestamp_type {
            TimestampType::LogAppendTime => ctx.now_ms,
            TimestampType::CreateTime => -1,
        };
        let mut next = base_offset;
        let mut at = 0;
        let mut placed = Vec::with_capacity(headers.len());
        for header in headers {
            if header.has_producer_id() {
                match self.state.check(header, ctx) {
                    Ok(Check::New) => {}
                    Ok(Check::Duplicate {
                        base_offset: original,
                        timestamp,
                    }) => {
                        self.forget(&placed);
                        return Ok(self.duplicate(original, timestamp, header));
                    }
                    Err(error) => {
                        self.forget(&placed);
                        return Err(AppendError::Refused(error));
                    }
                }
            }
            let batch = &mut bytes[at..at + header.size];
            let mut header = *header;
            batch::set_offset_and_epoch(batch, next, LEADER_EPOCH);
            header.base_offset = next;
            header.leader_epoch = LEADER_EPOCH;
            if append_time >= 0 {
                batch::set_log_append_time(batch, append_time);
                header.attributes |= 0x08;
                header.max_timestamp = append_time;
                header.crc = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
            }
            let marker = control::outcome(&header, batch);
            self.state.appended(&header, marker, ctx.now_ms);
            next = header.next_offset();
            at += header.size;
            placed.push(header);
        }
        debug_assert_eq!(at, bytes.len(), "headers describe the bytes");
        self.roll_if_due(bytes.len() as u64, next, ctx.now_ms, segment_limit);
        let bytes = if bytes.len() < COPY_BELOW {
            Bytes::copy_from_slice(&bytes)
        } else {
            bytes.freeze()
        };
        let (segment, position, max_timestamp) = self.place(&placed, &bytes, false);
        Ok(Staged::New {
            base_offset,
            next_offset: next,
            log_append_time: append_time,
            segment,
            position,
            max_timestamp,
            bytes,
            count: placed.len(),
        })
    }

    /// A later batch of a run was not taken, so none is.
    fn forget(&mut self, noted: &[BatchHeader]) {
        if let Some(first) = noted.first() {
            self.state.truncate(first.base_offset);
        }
    }

    fn duplicate(&self, original: i64, timestamp: i64, header: &BatchHeader) -> Staged {
        let at = self.ring.partition_point(|c| c.next_offset <= original);
        Staged::Duplicate {
            base_offset: original,
            next_offset: original + i64::from(header.last_offset_delta) + 1,
            log_append_time: timestamp,
            seq: self.ring.get(at).map(|c| c.seq),
        }
    }

    fn roll_if_due(&mut self, len: u64, next_offset: i64, now_ms: i64, limit: u64) {
        let due = match self.segments.last() {
            None => true,
            Some(s) if s.size == 0 => false,
            Some(s) => {
                s.size + len > limit
                    || now_ms.saturating_sub(s.created_ms) as u64 > self.config.max_segment_ms()
                        && now_ms > s.created_ms
                    || next_offset - s.base_offset > i64::from(i32::MAX)
            }
        };
        if due {
            self.open_segment(self.end, now_ms);
        }
    }

    /// Starts a segment at `base`.
    pub fn open_segment(&mut self, base: i64, now_ms: i64) {
        if let Some(last) = self.segments.last_mut() {
            last.index.close(last.times);
        }
        self.segments.push(Segment {
            base_offset: base,
            generation: 0,
            size: 0,
            times: SegmentTimes {
                max_timestamp: -1,
                offset: base,
            },
            created_ms: now_ms,
            index: IndexTail::default(),
            fresh: true,
            unnamed: false,
            unsynced: false,
            last_seq: 0,
        });
    }

    /// Puts batches with final offsets at the end of the active segment. Returns segment, position and maximum timestamp.
    pub fn place(
        &mut self,
        headers: &[BatchHeader],
        bytes: &Bytes,
        in_file: bool,
    ) -> (i64, u64, i64) {
        let interval = self.config.index_interval_bytes;
        let segment = self
            .segments
            .last_mut()
            .expect("a segment is open before batches are placed");
        let position = segment.size;
        let mut max_timestamp = -1;
        let mut at = 0;
        for header in headers {
            let before = segment.times;
            segment.note(
                header.last_offset(),
                header.max_timestamp,
                header.size,
                interval,
            );
            self.ring.push_back(Cached {
                base_offset: header.base_offset,
                next_offset: header.next_offset(),
                segment: segment.base_offset,
                position: position + at as u64,
                bytes: bytes.slice(at..at + header.size),
                in_file,
                seq: u64::MAX,
                before,
            });
            max_timestamp = max_timestamp.max(header.max_timestamp);
            at += header.size;
            self.end = header.next_offset();
        }
        (segment.base_offset, position, max_timestamp)
    }

    /// Sets the commit of the last `count` batches.
    pub fn set_seq(&mut self, count: usize, seq: u64) {
        let mut first = i64::MAX;
        for cached in self.ring.iter_mut().rev().take(count) {
            cached.seq = seq;
            first = cached.segment;
        }
        self.note_seq(first, seq);
    }

    /// Notes a commit with appends to the segments from the one at `first` on.
    pub fn note_seq(&mut self, first: i64, seq: u64) {
        let appended_to = self.segments.iter_mut().rev();
        for segment in appended_to.take_while(|s| s.base_offset >= first) {
            segment.last_seq = seq;
        }
        self.last_seq = seq;
    }

    /// Takes back everything at or after `offset`, none of which a consumer has seen. Returns (weight, bytes not in a file) that left memory.
    pub fn rollback(&mut self, offset: i64) -> (usize, usize) {
        let (mut freed, mut unflushed) = (0, 0);
        while let Some(last) = self.ring.pop_back_if(|c| c.base_offset >= offset) {
            freed += last.weight();
            if !last.in_file {
                unflushed += last.bytes.len();
            }
            // One that begins with this batch stays, empty: a checkpoint may have noted it.
            while self
                .segments
                .pop_if(|s| s.base_offset > last.base_offset)
                .is_some()
            {}
            if let Some(segment) = self.segments.last_mut() {
                segment.size = last.position;
                segment.times = last.before;
            }
            self.end = last.base_offset;
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.index.truncate(offset);
        }
        self.state.truncate(offset);
        // What is left and not in memory is durable long since.
        self.last_seq = self.ring.back().map_or(0, |c| c.seq);
        (freed, unflushed)
    }

    /// How many segments end at or below `start`, the active one not counted.
    pub fn segments_below(&self, start: i64) -> usize {
        self.segments
            .iter()
            .skip(1)
            .take_while(|s| s.base_offset <= start)
            .count()
    }

    /// Forgets segments that end at or below `start`, all but the active one. Returns which, and (weight, bytes not in
    /// a file) that left memory.
    pub fn drop_segments_below(&mut self, start: i64) -> (Vec<SegmentId>, usize, usize) {
        let count = self.segments_below(start);
        let dropped: Vec<SegmentId> = self.segments.drain(..count).map(|s| s.id()).collect();
        let (mut freed, mut unflushed) = (0, 0);
        let first = self.segments.first().map_or(i64::MAX, |s| s.base_offset);
        while !dropped.is_empty()
            && let Some(front) = self.ring.pop_front_if(|c| c.segment < first)
        {
            freed += front.weight();
            if !front.in_file {
                unflushed += front.bytes.len();
            }
        }
        (dropped, freed, unflushed)
    }

    /// Forgets every segment and batch: all of it is deleted. Returns as [`Log::drop_segments_below`].
    pub fn drop_all(&mut self) -> (Vec<SegmentId>, usize, usize) {
        let dropped = self.segments.drain(..).map(|s| s.id()).collect();
        let (mut freed, mut unflushed) = (0, 0);
        for cached in self.ring.drain(..) {
            freed += cached.weight();
            if !cached.in_file {
                unflushed += cached.bytes.len();
            }
        }
        (dropped, freed, unflushed)
    }

    /// The segment that holds `offset`, by number.
    pub fn segment_of(&self, offset: i64) -> Option<usize> {
        self.segments
            .partition_point(|s| s.base_offset <= offset)
            .checked_sub(1)
    }

    /// The offset after the last record of segment number `i`.
    pub fn segment_end(&self, i: usize) -> i64 {
        self.segments
            .get(i + 1)
            .map_or(self.end, |next| next.base_offset)
    }

    /// What segment number `i` knows of its records' times, of those below `hw` only. What is not below it is always in memory.
    pub fn times_below(&self, i: usize, hw: i64) -> SegmentTimes {
        let segment = &self.segments[i];
        let unseen = self.ring.partition_point(|c| c.next_offset <= hw);
        match self.ring.get(unseen) {
            Some(first) if first.segment == segment.base_offset => first.before,
            _ => segment.times,
        }
    }

    /// Drops up to `count` of the oldest batches from memory, as far as they are in a file and below `hw`. Returns how many, and
    /// their weight.
    pub fn evict(&mut self, count: usize, hw: i64) -> (usize, usize) {
        let (mut bytes, mut evicted) = (0, 0);
        while evicted < count
            && let Some(front) = self.ring.pop_front_if(|c| c.in_file && c.next_offset <= hw)
        {
            bytes += front.weight();
            evicted += 1;
        }
        (evicted, bytes)
    }
}

impl Segment {
    pub fn id(&self) -> SegmentId {
        SegmentId {
            base: self.base_offset,
            generation: self.generation,
        }
    }

    /// Notes a batch at the end.
    pub fn note(&mut self, last_offset: i64, max_timestamp: i64, size: usize, interval: usize) {
        if max_timestamp > self.times.max_timestamp {
            self.times = SegmentTimes {
                max_timestamp,
                offset: last_offset,
            };
        }
        self.index
            .note(last_offset, self.size, size, interval, self.times);
        self.size += size as u64;
        self.unsynced = true;
    }
}
