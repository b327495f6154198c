//! What the store must hold after each crash, and the check that it does.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_codec::batch::{BatchHeader, check_crc};
use ottla_codec::response::Chunk;

use rand::Rng;

use super::compaction::check_swept;
use super::{ATOMIC_KEY, Bases, Simulation, counter_key};
use crate::progress::Stage;
use crate::{Durability, Partition, StoreError, TopicId, Tree};

/// An append of the model.
#[derive(Clone)]
pub(super) struct Batch {
    pub base: i64,
    pub next: i64,
    /// `None`: compaction took it.
    pub bytes: Option<Bytes>,
    /// The commit; 0: of an earlier life.
    pub seq: u64,
    /// The number of the atomic commit that it is part of.
    pub atomic: Option<u64>,
}

#[derive(Default)]
pub(super) struct PartitionModel {
    pub batches: Vec<Batch>,
    /// Acknowledged or seen: must not go.
    pub kept: i64,
    /// Kept even by a power cut of a store without syncs: what it opened with, or checkpointed.
    pub certain: i64,
    pub start: i64,
    pub certain_start: i64,
    /// Moves of the start in this life: (start, commit).
    pub starts: Vec<(i64, u64)>,
    /// What was there before each replacement of segments since the last checkpoint, oldest first.
    pub replaced: Vec<Vec<(i64, Option<Bytes>)>>,
}

/// A value that only grows: (value, commit).
#[derive(Default)]
pub(super) struct Counter {
    pub history: Vec<(u64, u64)>,
    pub kept: u64,
    pub certain: u64,
}

#[derive(Default)]
pub(super) struct Model {
    pub partitions: BTreeMap<(TopicId, i32), PartitionModel>,
    pub counters: BTreeMap<u8, Counter>,
    pub atomics: u64,
    pub topics: u128,
}

/// The journal is a line: no commit is there that came after a change which is not, nor, in a store that syncs later, after an append which
/// is not.
struct Line {
    durability: Durability,
    last_there: u64,
    first_lost: Option<u64>,
}

impl Line {
    fn note(&mut self, seq: u64, there: bool, is_change: bool) {
        if seq == 0 {
            return;
        }
        if there {
            self.last_there = self.last_there.max(seq);
        } else if is_change || self.durability == Durability::Os {
            self.first_lost = Some(self.first_lost.map_or(seq, |s| s.min(seq)));
        }
    }

    fn check(&self) {
        if let Some(lost) = self.first_lost {
            let there = self.last_there;
            assert!(there < lost, "commit {lost} is lost, {there} is not");
        }
    }
}

impl Model {
    /// A power cut of a store without syncs: only what is certain must be there, and a beginning of the rest may be.
    pub fn forget_unsynced(&mut self) {
        for p in self.partitions.values_mut() {
            p.kept = p.certain;
            p.starts.push((p.certain_start, 0));
            p.start = p.certain_start;
        }
        for c in self.counters.values_mut() {
            c.kept = c.certain;
        }
    }

    /// What is kept now is certain.
    pub fn make_certain(&mut self) {
        for p in self.partitions.values_mut() {
            p.certain = p.kept;
            p.certain_start = p.start;
            p.replaced.clear();
        }
        for c in self.counters.values_mut() {
            c.certain = c.kept;
        }
    }
}

impl Simulation {
    /// Learns what became of commits: acknowledged, or taken back.
    pub(super) fn settle(&mut self) {
        let inner = self.inner().clone();
        let outcome = |seq| inner.core.queue.progress.outcome(Stage::Durable, seq);
        let taken_back = |seq| matches!(outcome(seq), Some(Err(StoreError::DiskFull)));
        let kept = |seq| seq != 0 && matches!(outcome(seq), Some(Ok(())));
        for ((topic, index), model) in &mut self.model.partitions {
            model
                .batches
                .retain(|b| b.next <= model.kept || !taken_back(b.seq));
            for b in model.batches.iter().filter(|b| kept(b.seq)) {
                model.kept = model.kept.max(b.next);
            }
            model.starts.retain(|(_, seq)| !taken_back(*seq));
            for (start, _) in model.starts.iter().filter(|s| kept(s.1)) {
                model.start = model.start.max(*start);
            }
            if let Some(p) = inner.partitions.read().get(&(*topic, *index)) {
                let end = model.batches.last().map_or(0, |b| b.next);
                if !matches!(inner.core.queue.trouble(), Some(StoreError::Failed(_))) {
                    assert_eq!(p.log_end_offset(), end, "end after settling");
                }
                assert!(p.high_watermark() <= end);
            }
        }
        for counter in self.model.counters.values_mut() {
            counter.history.retain(|(_, seq)| !taken_back(*seq));
            for (value, _) in counter.history.iter().filter(|h| kept(h.1)) {
                counter.kept = counter.kept.max(*value);
            }
        }
    }

    /// What was opened holds what it must, and nothing else. Then the model takes it as the truth.
    pub(super) fn verify(&mut self) {
        self.fs.crash_after(u64::MAX);
        let store = self.store.clone().unwrap();
        let number = |tree, key: &[u8]| {
            store
                .get(tree, key)
                .unwrap()
                .map_or(0, |v| u64::from_be_bytes(v[..].try_into().unwrap()))
        };
        let mut line = Line {
            durability: self.durability,
            last_there: 0,
            first_lost: None,
        };
        let atomic = number(Tree::Groups, ATOMIC_KEY);
        for ((topic, index), model) in &mut self.model.partitions {
            let Some(p) = store.partition(topic, *index) else {
                verify_gone(model, atomic, &mut line);
                continue;
            };
            verify_partition(&p, model, atomic, &mut line);
            if self.rng.random_bool(0.1) {
                check_swept(&p, &self.fs);
            }
        }
        for (n, counter) in &mut self.model.counters {
            let value = number(Tree::Offsets, &counter_key(*n));
            assert!(
                value >= counter.kept,
                "counter {n} went back from {} to {value}",
                counter.kept
            );
            assert!(value == 0 || counter.history.iter().any(|h| h.0 == value));
            for (v, seq) in &counter.history {
                line.note(*seq, *v <= value, true);
            }
            counter.kept = value;
            counter.history.retain(|h| h.0 <= value);
            for h in &mut counter.history {
                h.1 = 0;
            }
        }
        line.check();
        if let Some(topic) = store.topics().by_name("churn") {
            let p = store.partition(&topic.id, 0).unwrap();
            read_all(&p, p.log_start_offset());
        }
        // Recovery brought it all to the disk.
        self.model.make_certain();
        assert!(self.inner().core.queue.trouble().is_none());
    }
}

/// The creation of the topic is lost, and so must be every commit that came after it. What the model knew of the partition goes as
/// well: the commits of this life may have the same numbers.
fn verify_gone(model: &mut PartitionModel, atomic: u64, line: &mut Line) {
    assert_eq!(model.kept, 0, "a topic with kept records is gone");
    assert_eq!(model.start, 0, "a topic with a kept log start is gone");
    for b in &model.batches {
        assert!(
            b.atomic.is_none_or(|number| number > atomic),
            "an atomic commit is half there"
        );
        line.note(b.seq, false, b.atomic.is_some());
    }
    for (_, seq) in &model.starts {
        line.note(*seq, false, true);
    }
    *model = PartitionModel::default();
}

fn verify_partition(p: &Partition, model: &mut PartitionModel, atomic: u64, line: &mut Line) {
    let end = p.log_end_offset();
    assert_eq!(end, p.high_watermark());
    let kept = model.kept;
    assert!(end >= kept, "kept up to {kept}, ends at {end}");
    for b in &model.batches {
        let there = b.next <= end;
        if let Some(number) = b.atomic {
            assert_eq!(
                there,
                number <= atomic,
                "atomic commit {number} is half there"
            );
        }
        line.note(b.seq, there, b.atomic.is_some());
    }
    model.batches.retain(|b| b.next <= end);
    assert_eq!(model.batches.last().map_or(0, |b| b.next), end);
    let start = p.log_start_offset();
    let moved = start == model.start || model.starts.iter().any(|s| s.0 == start);
    assert!(start >= model.start && moved, "log start {start}");
    for (to, seq) in &model.starts {
        line.note(*seq, *to <= start, true);
    }
    let bases: Vec<i64> = model.batches.iter().map(|b| b.base).collect();
    let state = p.lock().state.snapshot();
    let state = state.map_or(Bases::default(), |s| postcard::from_bytes(&s).unwrap());
    assert_eq!(state.all, bases, "the producer state");
    for from in [start, (start + end) / 2] {
        let found = p.aborted_between(from, end).unwrap();
        let found: Vec<i64> = found.iter().map(|t| t.last_offset).collect();
        let aborted = bases.iter().filter(|b| *b % 2 == 0 && **b >= from);
        let aborted: Vec<i64> = aborted.copied().collect();
        assert_eq!(found, aborted, "aborted transactions from {from} on");
    }
    model.settle_replacements(&read_all(p, start), start);
    model.kept = end;
    model.start = start;
    model.starts.clear();
    for b in &mut model.batches {
        // Numbers of an earlier life mean nothing in this one.
        b.seq = 0;
    }
}

/// The headers of batches that compaction may have thinned out, every CRC right.
pub(crate) fn headers_of(mut bytes: &[u8]) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        check_crc(bytes).unwrap();
        let header = BatchHeader::parse(bytes).unwrap();
        bytes = &bytes[header.size..];
        headers.push(header);
    }
    headers
}

/// Reads up to the end: all batches by base offset, every CRC right.
fn read_all(p: &Partition, from: i64) -> Vec<(i64, Bytes)> {
    let end = p.high_watermark();
    let (mut next, mut found) = (from, Vec::new());
    while next < end {
        let (bytes, reached) = read_on(p, next, 50_000).unwrap();
        let mut rest = Bytes::from(bytes);
        for h in headers_of(&rest) {
            assert!(h.next_offset() > next, "what is before {next}");
            next = h.next_offset();
            found.push((h.base_offset, rest.split_to(h.size)));
        }
        assert!(reached >= next && reached > from, "no way on from {next}");
        next = reached;
    }
    found
}

pub(crate) fn read_bytes(p: &Partition, from: i64, max: usize) -> Result<Vec<u8>, String> {
    read_on(p, from, max).map(|read| read.0)
}

/// What a read gives, and where to go on.
pub(crate) fn read_on(p: &Partition, from: i64, max: usize) -> Result<(Vec<u8>, i64), String> {
    let slice = p
        .read(from, p.high_watermark(), max, true)
        .map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for chunk in slice.chunks {
        match chunk {
            Chunk::Bytes(b) => out.extend_from_slice(&b),
            Chunk::File {
                file,
                position,
                len,
            } => {
                let at = out.len();
                out.resize(at + len, 0);
                file.read_at(position, &mut out[at..])
                    .map_err(|e| e.to_string())?;
            }
        }
    }
    Ok((out, slice.next))
}

pub(super) fn check_bytes(model: &PartitionModel, from: i64, end: i64, bytes: &[u8]) {
    let at = model.batches.partition_point(|b| b.next <= from);
    let mut rest = bytes;
    let there = || {
        let behind = model.batches[at..].iter().take_while(|b| b.next <= end);
        behind.filter_map(|b| Some((b.base, b.bytes.as_ref()?)))
    };
    for (base, batch) in there() {
        if rest.is_empty() {
            break;
        }
        let (front, behind) = rest.split_at(batch.len().min(rest.len()));
        assert!(front == batch, "batch at {base} differs");
        rest = behind;
    }
    assert!(rest.is_empty(), "more than was appended");
    assert!(
        !bytes.is_empty() || there().next().is_none(),
        "nothing at {from} of {end}"
    );
}
