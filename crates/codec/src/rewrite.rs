//! A stored batch without some of its records, as compaction leaves it.
//!
//! In two steps: [`choose`] asks about every record, [`Choice::rewrite`] writes those that stay. A compressed batch is inflated a window
//! at a time in both and never held whole, so that memory follows neither what it inflates to nor the length of a key: keys go
//! through a hasher. See [`crate::walk`] for what that takes; the second step adds the codec's own and the new batch.
//!
//! What stays as it was: base offset, last offset delta, leader epoch, producer id, epoch and base sequence, codec, timestamp type,
//! transactional and control bits, and of each record all but its place in time (Kafka's `MemoryRecords.filterTo`).

use std::hash::Hasher;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::batch::{self, BatchHeader, HEADER_LEN, Thinned, TimestampType};
use crate::compression::Deflate;
use crate::records::RecordError;
use crate::walk::{Fault, Fields, Increasing, Visit, exactly_one, over, record};
use crate::wire::put_varlong;

/// A record, as one who decides about it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<H> {
    /// Its offset.
    pub offset: i64,
    /// What has taken in the key's bytes; `None` for a record without a key.
    pub key: Option<H>,
    /// Whether its value is null.
    pub is_tombstone: bool,
}

/// Shows every record of `batch`, which is exactly one batch of a log, until `see` breaks off. The CRC is not looked at: whoever
/// read the batch has checked it ([`batch::check_crc`]). Compressed records may inflate to `limit` bytes. Of each key `hasher` makes a new hasher.
pub fn each<H: Hasher>(
    batch: &[u8],
    limit: usize,
    hasher: impl Fn() -> H,
    mut see: impl FnMut(RecordView<H>) -> ControlFlow<()>,
) -> Result<(), RecordError> {
    let header = exactly_one(batch)?;
    let see = |view, _| see(view);
    let views = Views {
        header: &header,
        order: Increasing::of(&header),
        hasher,
        see,
    };
    over(&header, &batch[HEADER_LEN..], limit, views)
}

/// Asks about every record of `batch`, which is exactly one batch of a log, whether to `keep` it. The rest as [`each`].
pub fn choose<H: Hasher>(
    batch: &[u8],
    limit: usize,
    hasher: impl Fn() -> H,
    mut keep: impl FnMut(RecordView<H>) -> bool,
) -> Result<Choice, RecordError> {
    let header = exactly_one(batch)?;
    let mut choice = Choice {
        header,
        limit,
        stays: Vec::new(),
        kept: 0,
        tombstones: 0,
        min_timestamp: i64::MAX,
        max_timestamp: -1,
    };
    let views = Views {
        header: &header,
        order: Increasing::of(&header),
        hasher,
        see: |view: RecordView<H>, seen: Timed| {
            let is_tombstone = view.is_tombstone;
            if keep(view) {
                choice.keep(seen, is_tombstone);
            }
            ControlFlow::Continue(())
        },
    };
    over(&header, &batch[HEADER_LEN..], limit, views)?;
    Ok(choice)
}

/// Which records of a batch stay.
#[derive(Debug, Clone)]
pub struct Choice {
    header: BatchHeader,
    limit: usize,
    /// By index, a bit each; those behind the last that stays may be missing.
    stays: Vec<u64>,
    kept: i32,
    tombstones: i32,
    /// Of those that stay, as their producers set them.
    min_timestamp: i64,
    max_timestamp: i64,
}

impl Choice {
    fn keep(&mut self, record: Timed, is_tombstone: bool) {
        let word = record.index / 64;
        self.stays.resize(self.stays.len().max(word + 1), 0);
        self.stays[word] |= 1 << (record.index % 64);
        self.kept += 1;
        self.tombstones += i32::from(is_tombstone);
        self.min_timestamp = self.min_timestamp.min(record.timestamp);
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
    }

    fn stays(&self, index: usize) -> bool {
        let word = self.stays.get(index / 64).copied().unwrap_or(0);
        word >> (index % 64) & 1 == 1
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// How many records stay.
    pub fn kept(&self) -> usize {
        usize::try_from(self.kept).unwrap_or(0)
    }

    /// How many records go.
    pub fn removed(&self) -> usize {
        usize::try_from(self.header.record_count - self.kept).unwrap_or(0)
    }

    /// How many of those that stay have no value.
    pub fn tombstones(&self) -> usize {
        usize::try_from(self.tombstones).unwrap_or(0)
    }

    /// `batch`, which must be the one that was asked about, with the records that stay alone. Its record count and CRC are new, and
    /// its maximum timestamp is the largest of those records, or the append's if that is what its timestamps are.
    ///
    /// A delete horizon (milliseconds since the epoch, at least 0) is set if there is none yet: as the batch's base timestamp, with
    /// the records' timestamps relative to it (KIP-534). Where a timestamp is so far from it that 64 bits cannot say it, none
    /// is set.
    ///
    /// # Errors
    /// The batch is not the one that was asked about.
    pub fn rewrite(&self, batch: &[u8], horizon: Option<i64>) -> Result<Bytes, RecordError> {
        let header = exactly_one(batch)?;
        let delete_horizon = horizon
            .filter(|_| header.delete_horizon().is_none())
            .filter(|&horizon| horizon >= 0)
            .filter(|&horizon| self.min_timestamp.checked_sub(horizon).is_some());
        let mut out = Vec::with_capacity(HEADER_LEN + batch.len() / 2);
        out.extend_from_slice(&batch[..HEADER_LEN]);
        let mut deflate = Deflate::new(header.compression()?, out);
        let copy = Copy {
            choice: self,
            base_timestamp: header.base_timestamp,
            delete_horizon,
            head: Vec::new(),
            out: &mut deflate,
        };
        over(&header, &batch[HEADER_LEN..], self.limit, copy)?;
        let mut batch = deflate.finish();
        let thinned = Thinned {
            max_timestamp: match header.timestamp_type() {
                TimestampType::CreateTime => self.max_timestamp,
                TimestampType::LogAppendTime => header.max_timestamp,
            },
            record_count: self.kept,
            delete_horizon,
        };
        batch::reseal(&mut batch, thinned)?;
        Ok(batch.into())
    }
}

/// A record's index, and its timestamp as its producer set it.
#[derive(Clone, Copy)]
struct Timed {
    index: usize,
    timestamp: i64,
}

/// Shows records with their keys hashed.
struct Views<'h, N, S> {
    header: &'h BatchHeader,
    order: Increasing,
    hasher: N,
    see: S,
}

impl<H, N, S> Visit for Views<'_, N, S>
where
    H: Hasher,
    N: Fn() -> H,
    S: FnMut(RecordView<H>, Timed) -> ControlFlow<()>,
{
    fn record(&mut self, index: usize, fields: impl Fields) -> Result<ControlFlow<()>, Fault> {
        let mut key = (self.hasher)();
        let seen = record(self.header, index, &mut self.order, fields, |piece| {
            key.write(piece);
        })?;
        let view = RecordView {
            offset: self.header.base_offset + i64::from(seen.offset_delta),
            key: seen.has_key.then_some(key),
            is_tombstone: !seen.has_value,
        };
        let timed = Timed {
            index,
            timestamp: seen.timestamp,
        };
        Ok((self.see)(view, timed))
    }
}

/// Writes the records that stay.
struct Copy<'a> {
    choice: &'a Choice,
    base_timestamp: i64,
    delete_horizon: Option<i64>,
    /// Length, attributes and timestamp of a record.
    head: Vec<u8>,
    out: &'a mut Deflate,
}

impl Visit for Copy<'_> {
    fn record(&mut self, index: usize, mut fields: impl Fields) -> Result<ControlFlow<()>, Fault> {
        if !self.choice.stays(index) {
            fields.feed(fields.remaining(), |_| {})?;
            return Ok(ControlFlow::Continue(()));
        }
        let attributes = fields.u8()?;
        let mut delta = fields.varlong()?;
        if let Some(horizon) = self.delete_horizon {
            delta = self
                .base_timestamp
                .checked_add(delta)
                .and_then(|timestamp| timestamp.checked_sub(horizon))
                .ok_or(Fault::Record("timestamp overflows"))?;
        }
        self.head.clear();
        self.head.push(attributes);
        put_varlong(&mut self.head, delta);
        let head = self.head.len();
        put_varlong(&mut self.head, (head + fields.remaining()) as i64);
        // The length comes first.
        self.out.write(&self.head[head..]);
        self.out.write(&self.head[..head]);
        fields.feed(fields.remaining(), |piece| self.out.write(piece))?;
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests;
