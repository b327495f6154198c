//! The second half of a pass: what stays of each batch (Kafka's `Cleaner.cleanInto` and `CleanedTransactionMetadata`, KIP-534).

use std::collections::HashMap;

use bytes::Bytes;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::{self, Outcome};
use ottla_codec::records::RecordError;
use ottla_codec::rewrite::{self, RecordView};

use super::aborted::AbortedList;
use super::offset_map::KeyHasher;
use super::pass::Mapped;
use crate::partition::INFLATE_LIMIT;
use crate::partition_state::AbortedTransaction;

/// What is to be written of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept<'a> {
    /// The batch as it is.
    Original(&'a [u8]),
    /// This one, of the same offsets.
    Rewritten(Bytes),
    /// Nothing.
    Nothing,
}

impl Kept<'_> {
    /// The bytes to be written.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Kept::Original(bytes) => Some(bytes),
            Kept::Rewritten(bytes) => Some(bytes),
            Kept::Nothing => None,
        }
    }
}

/// What a pass read and left, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub batches_in: u64,
    pub batches_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Records of data and markers.
    pub records_in: u64,
    pub records_out: u64,
    /// Of those that went: tombstones whose time had come.
    pub tombstones: u64,
    /// Of those that went: markers.
    pub markers: u64,
    /// Of those that went: records of aborted transactions.
    pub aborted: u64,
    /// Of those that went: records without a key.
    pub keyless: u64,
}

/// Decides about every batch from the log's start to the end of the last segment that is rewritten, clean or dirty, in order and
/// without a gap: a marker stays for the sake of any record before it.
///
/// **Segments must be put in place in the same order, and a pass ends at the first that is not**, leaving `cleaned_to` as it was: a tombstone
/// may go only after the records that it deletes.
#[derive(Debug)]
pub(crate) struct Filter {
    mapped: Mapped,
    aborted: AbortedList,
    now_ms: i64,
    /// For what is met first; `None` if that is never.
    horizon: Option<i64>,
    /// By producer, the transaction whose marker did not come yet, if this pass met a record of it.
    open: HashMap<i64, Open>,
    forgotten: Vec<i64>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Open {
    /// A record of it stays.
    survives: bool,
}

impl Filter {
    /// By what is `mapped`. `aborted` are all aborted transactions with records or a marker in the whole range, `now_ms` the time of
    /// the pass.
    pub fn new(
        mapped: Mapped,
        aborted: Vec<AbortedTransaction>,
        now_ms: i64,
        delete_retention_ms: i64,
    ) -> Filter {
        Filter {
            mapped,
            aborted: AbortedList::new(aborted),
            now_ms,
            horizon: now_ms.checked_add(delete_retention_ms),
            open: HashMap::new(),
            forgotten: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The offset after the last one that the map has.
    pub fn map_end(&self) -> i64 {
        self.mapped.end
    }

    /// What stays of the next batch, whose CRC was checked when it was read.
    ///
    /// # Errors
    /// It is not a sound batch all the same.
    pub fn batch<'a>(&mut self, bytes: &'a [u8]) -> Result<Kept<'a>, RecordError> {
        let header = BatchHeader::parse(bytes)?;
        let records = u64::try_from(header.record_count).unwrap_or(0);
        self.counts.batches_in += 1;
        self.counts.bytes_in += bytes.len() as u64;
        self.counts.records_in += records;
        let (kept, left) = if header.is_control() {
            (self.control(&header, bytes)?, records)
        } else if self.aborted.has(&header) {
            self.open.entry(header.producer_id).or_default();
            self.counts.aborted += records;
            (Kept::Nothing, 0)
        } else {
            self.data(&header, bytes)?
        };
        if let Some(written) = kept.bytes() {
            self.counts.batches_out += 1;
            self.counts.bytes_out += written.len() as u64;
            self.counts.records_out += left;
        }
        Ok(kept)
    }

    /// The markers, by offset, of aborted transactions that go with what was filtered since this was last asked. The partition must have
    /// forgotten these transactions, durably, before what was written takes the place of what was read: a reader that is
    /// told of one drops its producer's records up to the marker, however far that would be.
    pub fn take_forgotten(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.forgotten)
    }

    /// So far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What stays of a batch of data, and how many records.
    fn data<'a>(
        &mut self,
        header: &BatchHeader,
        bytes: &'a [u8],
    ) -> Result<(Kept<'a>, u64), RecordError> {
        let is_due = header.delete_horizon().is_some_and(|h| h <= self.now_ms);
        let (map, end, counts) = (&self.mapped.map, self.mapped.end, &mut self.counts);
        let hasher = map.hasher();
        let keep = |record: RecordView<KeyHasher>| {
            if record.offset >= end {
                return true;
            }
            let Some(key) = record.key else {
                counts.keyless += 1;
                return false;
            };
            if map.get(key).is_some_and(|last| last > record.offset) {
                return false;
            }
            counts.tombstones += u64::from(record.is_tombstone && is_due);
            !(record.is_tombstone && is_due)
        };
        let choice = rewrite::choose(bytes, INFLATE_LIMIT, || hasher, keep)?;
        let kept = choice.kept();
        if header.is_transactional() {
            self.open.entry(header.producer_id).or_default().survives |= kept > 0;
        }
        if kept == 0 {
            return Ok((Kept::Nothing, 0));
        }
        // One that the map does not have in whole has not deleted anything yet.
        let is_mapped = header.next_offset() <= end;
        let horizon = self
            .horizon
            .filter(|_| choice.tombstones() > 0 && is_mapped && header.delete_horizon().is_none());
        if choice.removed() == 0 && horizon.is_none() {
            return Ok((Kept::Original(bytes), kept as u64));
        }
        let rewritten = choice.rewrite(bytes, horizon)?;
        Ok((Kept::Rewritten(rewritten), kept as u64))
    }

    /// What stays of a control batch. A marker gets a delete horizon when no record of its transaction stays, and goes when that
    /// has passed and none is met any more.
    fn control<'a>(
        &mut self,
        header: &BatchHeader,
        bytes: &'a [u8],
    ) -> Result<Kept<'a>, RecordError> {
        let Some(outcome) = control::outcome(header, bytes) else {
            return Ok(Kept::Original(bytes));
        };
        let open = self.open.remove(&header.producer_id);
        if header.next_offset() > self.mapped.end || open.as_ref().is_some_and(|o| o.survives) {
            return Ok(Kept::Original(bytes));
        }
        match (header.delete_horizon(), self.horizon) {
            (Some(horizon), _) if horizon <= self.now_ms && open.is_none() => {
                self.counts.markers += 1;
                let (producer_id, offset) = (header.producer_id, header.base_offset);
                if outcome == Outcome::Abort && self.aborted.ends_at(producer_id, offset) {
                    self.forgotten.push(offset);
                }
                Ok(Kept::Nothing)
            }
            (None, Some(_)) => {
                let all = rewrite::choose(bytes, INFLATE_LIMIT, NoHash::default, |_| true)?;
                Ok(Kept::Rewritten(all.rewrite(bytes, self.horizon)?))
            }
            _ => Ok(Kept::Original(bytes)),
        }
    }
}

/// For keys that nobody looks up.
#[derive(Default)]
struct NoHash;

impl std::hash::Hasher for NoHash {
    fn write(&mut self, _: &[u8]) {}
    fn finish(&self) -> u64 {
        0
    }
}
