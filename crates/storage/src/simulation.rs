//! Seeded simulation of the whole store on a disk that crashes, fills up and fails syncs, checked against a model.
//!
//! `OTTLA_SIM_SEED=n` runs one seed, `OTTLA_SIM_SEEDS=n` that many, `OTTLA_SIM_OS=1` runs them without syncs. A failure names its seed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_codec::ResponseError;
use ottla_codec::batch::{BatchHeader, check_all};
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::response::Chunk;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fs::sim::SimFs;
use crate::progress::Stage;
use crate::store::{Inner, Tuning};
use crate::{
    AppendContext, AppendError, Check, Durability, LogConfig, MetaOp, NewTopic, Op, Partition,
    PartitionState, PartitionStateFactory, Store, StoreError, StoreOptions, TopicId, Tree,
};

/// Remembers the base offset of every batch: what recovery must bring back exactly.
#[derive(Default)]
struct Bases(Vec<i64>);

impl PartitionState for Bases {
    fn check(&mut self, _: &BatchHeader, _: i64) -> Result<Check, ResponseError> {
        Ok(Check::New)
    }
    fn appended(&mut self, batch: &BatchHeader, _: i64) {
        self.0.push(batch.base_offset);
    }
    fn snapshot(&self) -> Option<Vec<u8>> {
        (!self.0.is_empty()).then(|| postcard::to_stdvec(&self.0).unwrap())
    }
    fn truncate(&mut self, offset: i64) {
        self.0.retain(|b| *b < offset);
    }
}

struct Factory;
impl PartitionStateFactory for Factory {
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        let bases = snapshot.map_or(Ok(Vec::new()), postcard::from_bytes);
        Ok(Box::new(Bases(bases.map_err(|e| e.to_string())?)))
    }
}

/// An append of the model.
#[derive(Clone)]
struct Batch {
    base: i64,
    next: i64,
    bytes: Bytes,
    seq: u64,
    /// The number of the atomic commit that it is part of.
    atomic: Option<u64>,
}

#[derive(Default)]
struct PartitionModel {
    batches: Vec<Batch>,
    /// Acknowledged or seen: must not go.
    kept: i64,
    start: i64,
    /// Moves of the start in this life: (start, commit).
    starts: Vec<(i64, u64)>,
}

#[derive(Default)]
struct Model {
    partitions: BTreeMap<(TopicId, i32), PartitionModel>,
    /// Values of a counter by key: (value, commit).
    counters: BTreeMap<u8, Vec<(u64, u64)>>,
    counters_kept: BTreeMap<u8, u64>,
    atomics: u64,
    /// Numbers of atomic commits that reached the journal's queue: (number, commit).
    atomic_seqs: Vec<(u64, u64)>,
    topics: u128,
}

const SMALL: TopicId = TopicId::from_u128(1);
const MIXED: TopicId = TopicId::from_u128(2);
const ATOMIC_KEY: &[u8] = b"atomic";

fn options(durability: Durability) -> StoreOptions {
    StoreOptions {
        durability,
        cache_bytes: 10_000,
        max_open_files: 3,
        checkpoint_bytes: u64::MAX,
        checkpoint_interval: Duration::from_secs(1),
        log_config: Arc::new(|configs| LogConfig {
            segment_bytes: configs["segment.bytes"].parse().unwrap(),
            index_interval_bytes: 300,
            retention_bytes: None,
            retention_ms: None,
            ..LogConfig::default()
        }),
        partition_state: Arc::new(Factory),
    }
}

struct Simulation {
    rng: StdRng,
    fs: SimFs,
    durability: Durability,
    model: Model,
    store: Option<Store>,
    full: bool,
}

fn counter_key(n: u8) -> Bytes {
    Bytes::from(vec![b'c', n])
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        Simulation {
            rng: StdRng::seed_from_u64(seed),
            fs: SimFs::new(seed),
            durability: if env("OTTLA_SIM_OS").is_some() {
                Durability::Os
            } else {
                Durability::Disk
            },
            model: Model::default(),
            store: None,
            full: false,
        }
    }

    fn inner(&self) -> &Arc<Inner> {
        self.store.as_ref().unwrap().inner()
    }

    /// Opens, through crashes of the opening itself if need be.
    fn open(&mut self) -> usize {
        self.fs.set_free(None);
        let mut crashes = 0;
        loop {
            if self.rng.random_bool(0.3) {
                self.fs.crash_after(self.rng.random_range(0..60));
            }
            let tuning = Tuning {
                reserve_bytes: 2048,
                journal_file_bytes: 16 << 10,
                checkpoint_room: 1024,
            };
            match Store::open_stepped(
                Arc::new(self.fs.clone()),
                Path::new("/data"),
                options(self.durability),
                tuning,
            ) {
                Ok(store) => {
                    self.store = Some(store);
                    return crashes;
                }
                Err(e) => {
                    assert!(self.fs.has_crashed(), "opening failed: {e}");
                    match self.durability {
                        Durability::Disk => self.fs.crash(),
                        // What was only written survives a dead process, not a power cut.
                        Durability::Os => self.fs.kill(),
                    }
                    crashes += 1;
                    assert!(crashes < 1000);
                }
            }
        }
    }

    fn run(&mut self, lives: usize) -> usize {
        let mut crashes = 0;
        for _ in 0..lives {
            crashes += self.open();
            self.verify();
            self.live();
            self.store = None;
            if self.durability == Durability::Os || self.rng.random_bool(0.8) {
                if self.durability == Durability::Os {
                    // Without syncs only a dead process is survived whole; after a power cut what is left is a prefix.
                    if self.rng.random_bool(0.5) {
                        self.fs.kill();
                        continue;
                    }
                    for p in self.model.partitions.values_mut() {
                        p.kept = 0;
                        p.starts.push((p.start, 0));
                        p.starts.push((0, 0));
                        p.start = 0;
                    }
                    self.model.counters_kept.clear();
                }
                self.fs.crash();
            } else {
                self.fs.kill();
            }
            crashes += 1;
        }
        self.fs.set_free(None);
        self.open();
        self.verify();
        crashes
    }

    fn live(&mut self) {
        self.fs.set_free(None);
        self.full = false;
        self.fs.crash_after(self.rng.random_range(0..400));
        if self.inner().catalog.get(&SMALL).is_none() {
            for (id, name, bytes) in [(SMALL, "small", "2000"), (MIXED, "mixed", "200000")] {
                let new = NewTopic {
                    id,
                    name: name.to_owned(),
                    partitions: 2,
                    configs: BTreeMap::from([("segment.bytes".to_owned(), bytes.to_owned())]),
                    created_ms: 0,
                };
                if self.inner().catalog.get(&id).is_none()
                    && self.store.as_ref().unwrap().create_topic(new).is_err()
                {
                    return;
                }
            }
        }
        while !self.fs.has_crashed() {
            if matches!(
                self.store.as_ref().unwrap().write_trouble(),
                Some(StoreError::Failed(_))
            ) {
                break;
            }
            self.step();
        }
        self.settle();
    }

    fn step(&mut self) {
        let inner = self.inner().clone();
        match self.rng.random_range(0..100) {
            0..40 => self.append(),
            40..50 => self.commit_counter(),
            50..58 => self.commit_atomic(),
            58..80 => {
                inner.step_writer();
                self.settle();
            }
            80..86 => {
                let result = inner.checkpoint();
                self.settle();
                if let Err(e) = result {
                    inner.note_trouble("checkpoint", Err(e));
                }
            }
            86..88 => {
                let result = inner.flush_all();
                inner.note_trouble("flush", result);
            }
            88..90 => self.delete_records(),
            90..92 => inner.collect_garbage(),
            92..94 => self.churn_topic(),
            94..95 => {
                self.full = !self.full;
                let free = self.full.then(|| self.rng.random_range(0..30_000));
                self.fs.set_free(free);
            }
            95 if self.rng.random_bool(0.2) => self.fs.fail_next_sync(),
            _ => self.read(),
        }
    }

    fn pick(&mut self) -> Option<Arc<Partition>> {
        let id = if self.rng.random() { SMALL } else { MIXED };
        let index = self.rng.random_range(0..2);
        self.store.as_ref().unwrap().partition(&id, index)
    }

    fn batch(&mut self, large: bool) -> (BytesMut, Vec<BatchHeader>) {
        let count = self.rng.random_range(1..4);
        let records: Vec<Record> = (0..count)
            .map(|offset| {
                let len = if large && offset == 0 {
                    self.rng.random_range(66_000..90_000)
                } else {
                    self.rng.random_range(0..300)
                };
                let fill: u8 = self.rng.random();
                Record {
                    offset,
                    timestamp: 0,
                    key: None,
                    value: Some(Bytes::from(vec![fill; len])),
                    headers: Vec::new(),
                }
            })
            .collect();
        let bytes = BatchBuilder::default().build(&records);
        let headers = check_all(&bytes).unwrap();
        (BytesMut::from(&bytes[..]), headers)
    }

    fn noted(bytes: &BytesMut, appended: &crate::Appended, atomic: Option<u64>) -> Batch {
        let mut bytes = bytes.clone();
        ottla_codec::batch::set_offset_and_epoch(&mut bytes, appended.base_offset, 0);
        Batch {
            base: appended.base_offset,
            next: appended.next_offset,
            bytes: bytes.freeze(),
            seq: appended.commit.0,
            atomic,
        }
    }

    fn append(&mut self) {
        let Some(p) = self.pick() else { return };
        let large = *p.topic() == MIXED && self.rng.random_bool(0.15);
        let (bytes, headers) = self.batch(large);
        let sent = bytes.clone();
        match p.append(bytes, &headers, AppendContext { now_ms: 1 }) {
            Ok(appended) => self.note(&p, Self::noted(&sent, &appended, None)),
            Err(AppendError::Store(_)) => {}
            Err(e) => panic!("append: {e}"),
        }
    }

    fn note(&mut self, p: &Partition, batch: Batch) {
        let model = self
            .model
            .partitions
            .entry((*p.topic(), p.index()))
            .or_default();
        assert_eq!(batch.base, model.batches.last().map_or(0, |b| b.next));
        model.batches.push(batch);
    }

    fn commit_counter(&mut self) {
        let n = self.rng.random_range(0..3);
        let history = self.model.counters.entry(n).or_default();
        let value = history.last().map_or(0, |h| h.0) + 1;
        let op = MetaOp::Put {
            tree: Tree::Offsets,
            key: counter_key(n),
            value: Bytes::copy_from_slice(&value.to_be_bytes()),
        };
        if let Ok(commit) = self.store.as_ref().unwrap().commit(vec![op]) {
            history.push((value, commit.0));
        }
    }

    fn commit_atomic(&mut self) {
        let (Some(a), Some(b)) = (self.pick(), self.pick()) else {
            return;
        };
        self.model.atomics += 1;
        let number = self.model.atomics;
        let mut sent = Vec::new();
        let mut ops = vec![Op::Meta(MetaOp::Put {
            tree: Tree::Groups,
            key: Bytes::from_static(ATOMIC_KEY),
            value: Bytes::copy_from_slice(&number.to_be_bytes()),
        })];
        for partition in [a, b] {
            let large = *partition.topic() == MIXED && self.rng.random_bool(0.1);
            let (batches, headers) = self.batch(large);
            sent.push((partition.clone(), batches.clone()));
            ops.push(Op::Append {
                partition,
                batches,
                headers,
                ctx: AppendContext { now_ms: 1 },
            });
        }
        match self.store.as_ref().unwrap().commit_all(ops) {
            Ok((appended, commit)) => {
                for ((p, bytes), appended) in sent.iter().zip(&appended) {
                    self.note(p, Self::noted(bytes, appended, Some(number)));
                }
                self.model.atomic_seqs.push((number, commit.0));
            }
            Err(AppendError::Store(_)) => {}
            Err(e) => panic!("commit_all: {e}"),
        }
    }

    fn delete_records(&mut self) {
        let Some(p) = self.pick() else { return };
        let hw = p.high_watermark();
        let to = self.rng.random_range(0..=hw);
        if let Ok(Ok((start, commit))) = p.delete_records(to) {
            let model = self
                .model
                .partitions
                .entry((*p.topic(), p.index()))
                .or_default();
            model.starts.push((start, commit.0));
        }
    }

    fn churn_topic(&mut self) {
        let store = self.store.clone().unwrap();
        if let Some(topic) = store.topics().by_name("churn").cloned() {
            if self.rng.random() {
                // Refused or not, the topic is whole or gone; what follows shows it.
                let _ = store.delete_topic(&topic.id);
            } else if let Some(p) = store.partition(&topic.id, 0) {
                let large = self.rng.random_bool(0.3);
                let (bytes, headers) = self.batch(large);
                match p.append(bytes, &headers, AppendContext { now_ms: 1 }) {
                    Ok(_) | Err(AppendError::Store(_)) => {}
                    Err(e) => panic!("append: {e}"),
                }
            }
            return;
        }
        self.model.topics += 1;
        let new = NewTopic {
            id: TopicId::from_u128(1000 + self.model.topics),
            name: "churn".to_owned(),
            partitions: 1,
            configs: BTreeMap::from([("segment.bytes".to_owned(), "100000".to_owned())]),
            created_ms: 0,
        };
        let id = new.id;
        if let Ok(Some(_)) = store.create_topic(new)
            && let Some(p) = store.partition(&id, 0)
        {
            assert_eq!(p.log_end_offset(), 0, "a new topic is empty");
        }
    }

    /// Learns what became of commits: acknowledged, or taken back.
    fn settle(&mut self) {
        let inner = self.inner().clone();
        let outcome = |seq| inner.core.queue.progress.outcome(Stage::Durable, seq);
        let taken_back = |seq| matches!(outcome(seq), Some(Err(StoreError::DiskFull)));
        for ((topic, index), model) in &mut self.model.partitions {
            model
                .batches
                .retain(|b| b.next <= model.kept || !taken_back(b.seq));
            for b in &model.batches {
                if b.seq != 0 && matches!(outcome(b.seq), Some(Ok(()))) {
                    model.kept = model.kept.max(b.next);
                }
            }
            for (start, seq) in &model.starts {
                if matches!(outcome(*seq), Some(Ok(()))) {
                    model.start = model.start.max(*start);
                }
            }
            if let Some(p) = inner.partitions.read().get(&(*topic, *index)) {
                let end = model.batches.last().map_or(0, |b| b.next);
                if !matches!(inner.core.queue.trouble(), Some(StoreError::Failed(_))) {
                    assert_eq!(p.log_end_offset(), end, "end after settling");
                }
                assert!(p.high_watermark() <= end);
            }
        }
        for (n, history) in &mut self.model.counters {
            history.retain(|(_, seq)| !taken_back(*seq));
            for (value, seq) in history {
                if matches!(outcome(*seq), Some(Ok(()))) {
                    let kept = self.model.counters_kept.entry(*n).or_default();
                    *kept = (*kept).max(*value);
                }
            }
        }
        self.model.atomic_seqs.retain(|(_, seq)| !taken_back(*seq));
    }

    fn read(&mut self) {
        let Some(p) = self.pick() else { return };
        let key = (*p.topic(), p.index());
        let hw = p.high_watermark();
        let start = p.log_start_offset();
        let from = self.rng.random_range(start..=hw);
        let max = self.rng.random_range(1..3000);
        let model = self.model.partitions.entry(key).or_default();
        model.kept = model.kept.max(hw);
        match read_bytes(&p, from, max) {
            Ok(bytes) => check_bytes(model, from, hw, &bytes),
            Err(e) => assert!(self.fs.has_crashed(), "read: {e}"),
        }
    }

    /// What was opened holds what it must, and nothing else. Then the model takes it as the truth.
    fn verify(&mut self) {
        self.fs.crash_after(u64::MAX);
        let store = self.store.clone().unwrap();
        let inner = self.inner().clone();
        let atomic = store
            .get(Tree::Groups, ATOMIC_KEY)
            .unwrap()
            .map_or(0, |v| u64::from_be_bytes(v[..].try_into().unwrap()));
        for ((topic, index), model) in &mut self.model.partitions {
            let Some(p) = store.partition(topic, *index) else {
                assert_eq!(model.kept, 0, "a topic with kept records is gone");
                model.batches.clear();
                continue;
            };
            let end = p.log_end_offset();
            assert_eq!(end, p.high_watermark());
            assert!(
                end >= model.kept,
                "kept up to {}, ends at {end}",
                model.kept
            );
            for b in &model.batches {
                if let Some(number) = b.atomic {
                    assert_eq!(
                        b.next <= end,
                        number <= atomic,
                        "atomic commit {number} is half there"
                    );
                }
            }
            model.batches.retain(|b| b.next <= end);
            assert_eq!(model.batches.last().map_or(0, |b| b.next), end);
            let start = p.log_start_offset();
            let moved = start == model.start || model.starts.iter().any(|s| s.0 == start);
            assert!(start >= model.start && moved, "log start {start}");
            let bases: Vec<i64> = model.batches.iter().map(|b| b.base).collect();
            let state = p.lock().state.snapshot();
            let state: Vec<i64> = state.map_or(Vec::new(), |s| postcard::from_bytes(&s).unwrap());
            assert_eq!(state, bases, "the producer state");
            let mut next = start;
            while next < end {
                let bytes = read_bytes(&p, next, 50_000).unwrap();
                check_bytes(model, next, end, &bytes);
                next = check_all(&bytes).unwrap().last().unwrap().next_offset();
            }
            model.kept = end;
            model.start = start;
            model.starts.clear();
            for b in &mut model.batches {
                // Numbers of an earlier life mean nothing in this one.
                b.seq = 0;
            }
        }
        for (n, history) in &mut self.model.counters {
            let value = store
                .get(Tree::Offsets, &counter_key(*n))
                .unwrap()
                .map_or(0, |v| u64::from_be_bytes(v[..].try_into().unwrap()));
            let kept = self.model.counters_kept.entry(*n).or_default();
            assert!(
                value >= *kept,
                "counter {n} went back from {kept} to {value}"
            );
            assert!(value == 0 || history.iter().any(|h| h.0 == value));
            *kept = value;
            history.retain(|h| h.0 <= value);
            for h in history {
                h.1 = 0;
            }
        }
        self.model.atomic_seqs.clear();
        assert!(inner.core.queue.trouble().is_none());
    }
}

fn read_bytes(p: &Partition, from: i64, max: usize) -> Result<Vec<u8>, String> {
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
    Ok(out)
}

fn check_bytes(model: &PartitionModel, from: i64, end: i64, bytes: &[u8]) {
    let at = model.batches.partition_point(|b| b.next <= from);
    let mut rest = bytes;
    for batch in &model.batches[at..] {
        if rest.is_empty() {
            break;
        }
        assert!(batch.next <= end);
        let (front, behind) = rest.split_at(batch.bytes.len().min(rest.len()));
        assert!(front == batch.bytes, "batch at {} differs", batch.base);
        rest = behind;
    }
    assert!(rest.is_empty(), "more than was appended");
    assert!(
        !bytes.is_empty() || from >= end,
        "nothing at {from} of {end}"
    );
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged_or_seen() {
    let seeds = match env("OTTLA_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("OTTLA_SIM_SEEDS").unwrap_or(16),
    };
    let mut crashes = 0;
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| Simulation::new(seed).run(40));
        match outcome {
            Ok(n) => crashes += n,
            Err(_) => panic!("the simulation failed: OTTLA_SIM_SEED={seed}"),
        }
    }
    println!("{crashes} crashes");
}
