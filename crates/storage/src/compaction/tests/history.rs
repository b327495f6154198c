//! A partition without files: its batches, what it knows of transactions, and all that was ever written to it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_codec::batch::{self, BatchHeader, TimestampType};
use ottla_codec::compression::Compression;
use ottla_codec::control::{self, Outcome};
use ottla_codec::records::{BatchBuilder, Record, RecordHeader, iterate};

use crate::partition_state::AbortedTransaction;

/// A transaction that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub producer_id: i64,
    pub first_offset: i64,
    pub marker: i64,
    pub outcome: Outcome,
}

#[derive(Debug, Clone)]
pub struct Written {
    pub record: Record,
    pub batch: BatchHeader,
}

#[derive(Debug, Clone, Default)]
pub struct History {
    pub batches: Vec<Bytes>,
    pub end: i64,
    /// First offset by producer.
    pub open: BTreeMap<i64, i64>,
    /// What the partition tells readers of.
    pub aborted: Vec<AbortedTransaction>,
    /// All that ever ended.
    pub ended: Vec<Ended>,
    /// All that was ever written, by offset.
    pub written: BTreeMap<i64, Written>,
}

/// Key, value; the value's length as well.
pub type KeyValue = (Option<u8>, Option<u8>);

/// Who writes: producers from 2 on are transactional.
pub const IDEMPOTENT: i64 = 1;

pub fn header(batch: &[u8]) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

pub fn records(batch: &Bytes) -> Vec<Record> {
    let records: Result<Vec<_>, _> = iterate(batch.clone(), 1 << 20).unwrap().collect();
    records.unwrap()
}

impl History {
    pub fn write(
        &mut self,
        producer: i64,
        compression: Compression,
        is_log_time: bool,
        rows: &[KeyValue],
    ) {
        let transactional = producer > IDEMPOTENT;
        let list: Vec<Record> = (self.end..)
            .zip(rows)
            .map(|(offset, (key, value))| Record {
                offset,
                timestamp: 1_000 + offset * 3 % 7,
                key: key.map(|k| Bytes::from(vec![k])),
                value: value.map(|v| Bytes::from(vec![v; usize::from(v)])),
                headers: vec![RecordHeader {
                    key: Bytes::from_static(b"h"),
                    value: None,
                }],
            })
            .collect();
        let builder = BatchBuilder {
            compression,
            timestamp_type: match is_log_time {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            producer_id: if producer == 0 { -1 } else { producer },
            producer_epoch: if producer == 0 { -1 } else { 0 },
            base_sequence: if producer == 0 { -1 } else { self.end as i32 },
            leader_epoch: 0,
            transactional,
            control: false,
        };
        let batch = builder.build(&list);
        // With LogAppendTime it is the batch's time that a reader gets.
        for record in records(&batch) {
            let written = Written {
                record,
                batch: header(&batch),
            };
            self.written.insert(written.record.offset, written);
        }
        if transactional {
            self.open.entry(producer).or_insert(self.end);
        }
        self.end = header(&batch).next_offset();
        self.batches.push(batch);
    }

    pub fn end_transaction(&mut self, producer_id: i64, outcome: Outcome) {
        let mut marker = control::marker(producer_id, 0, outcome, 2_000);
        batch::set_offset_and_epoch(&mut marker, self.end, 0);
        if let Some(first_offset) = self.open.remove(&producer_id) {
            self.ended.push(Ended {
                producer_id,
                first_offset,
                marker: self.end,
                outcome,
            });
            if outcome == Outcome::Abort {
                self.aborted.push(AbortedTransaction {
                    producer_id,
                    first_offset,
                    last_offset: self.end,
                });
            }
        }
        self.batches.push(marker.freeze());
        self.end += 1;
    }

    pub fn last_stable_offset(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    /// Where a batch that can be compacted begins or the last of them ends.
    pub fn boundaries(&self) -> Vec<i64> {
        let stable = self.last_stable_offset();
        let bases = self.batches.iter().map(|b| header(b).base_offset);
        let mut all: Vec<i64> = bases.take_while(|base| *base < stable).collect();
        all.push(stable);
        all
    }

    pub fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let between = |a: &&AbortedTransaction| a.last_offset >= from && a.first_offset < to;
        self.aborted.iter().filter(between).copied().collect()
    }

    pub fn forget_aborted(&mut self, last_offsets: &[i64]) {
        self.aborted
            .retain(|aborted| !last_offsets.contains(&aborted.last_offset));
    }

    /// The transaction that the record at `offset` is of, if it has ended.
    pub fn transaction(&self, offset: i64) -> Option<Ended> {
        let batch = self.written[&offset].batch;
        let of = |t: &&Ended| {
            t.producer_id == batch.producer_id && (t.first_offset..t.marker).contains(&offset)
        };
        self.ended.iter().find(of).copied()
    }

    pub fn is_aborted(&self, offset: i64) -> bool {
        self.transaction(offset)
            .is_some_and(|t| t.outcome == Outcome::Abort)
    }

    /// Offsets of the records of data that are there.
    pub fn offsets(&self) -> BTreeSet<i64> {
        let data = self.batches.iter().filter(|b| !header(b).is_control());
        data.flat_map(records).map(|r| r.offset).collect()
    }

    /// Batches from the one that has `position` or follows it, at most `count`, as a reader of committed records is
    /// given them.
    pub fn read(&self, position: i64, count: usize) -> Vec<Bytes> {
        let stable = self.last_stable_offset();
        let wanted = self.batches.iter().filter(|b| {
            let header = header(b);
            header.next_offset() > position && header.base_offset < stable
        });
        wanted.take(count).cloned().collect()
    }
}

/// What a consumer makes of an answer to its fetch at `position`: Java's `CompletedFetch`, which all others follow.
pub fn committed(batches: &[Bytes], aborted: &[AbortedTransaction], position: i64) -> Vec<Record> {
    let mut coming = aborted.to_vec();
    coming.sort_by_key(|a| std::cmp::Reverse(a.first_offset));
    let mut dropped = BTreeSet::new();
    let mut seen = Vec::new();
    for batch in batches {
        let header = header(batch);
        while let Some(next) = coming.pop_if(|a| a.first_offset <= header.last_offset()) {
            dropped.insert(next.producer_id);
        }
        if header.is_control() {
            if control::outcome(&header, batch) == Some(Outcome::Abort) {
                dropped.remove(&header.producer_id);
            }
        } else if !header.is_transactional() || !dropped.contains(&header.producer_id) {
            seen.extend(records(batch).into_iter().filter(|r| r.offset >= position));
        }
    }
    seen
}

/// The last value of every key; those whose last record is a tombstone are not there.
pub fn fold(seen: &[Record]) -> BTreeMap<Bytes, Bytes> {
    let mut last = BTreeMap::new();
    for record in seen {
        let Some(key) = record.key.clone() else {
            continue;
        };
        match record.value.clone() {
            Some(value) => drop(last.insert(key, value)),
            None => drop(last.remove(&key)),
        }
    }
    last
}
