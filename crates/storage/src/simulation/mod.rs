//! Seeded simulation of the whole store on a disk that crashes, fills up and fails syncs, checked against a model.
//!
//! `OTTLA_SIM_SEED=n` runs one seed, `OTTLA_SIM_SEEDS=n` that many. A failure names its seed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use events::Events;
use model::{Batch, Model, check_bytes};
pub(crate) use model::{headers_of, read_bytes, read_on};
use ottla_codec::ResponseError;
use ottla_codec::batch::{BatchHeader, check_all};
use ottla_codec::control::Outcome;
use ottla_codec::records::{BatchBuilder, Record};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fs::sim::SimFs;
use crate::snapshot::tests::{Observed, observe, restored_with_problems};
use crate::store::{Inner, Tuning};
use crate::{
    AbortedTransaction, AppendContext, AppendError, Check, CompactionOptions, Durability,
    LogConfig, MetaOp, NewTopic, Op, Partition, PartitionState, PartitionStateFactory,
    SettledAbort, Store, StoreError, StoreOptions, TopicId, Tree,
};

mod compaction;
mod events;
mod model;

/// Remembers the base offset of every batch: what recovery must bring back exactly. Those with an even one are aborted transactions.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Bases {
    all: Vec<i64>,
    aborted: Vec<i64>,
}

fn aborted(base: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: 0,
        first_offset: base,
        last_offset: base,
    }
}

impl PartitionState for Bases {
    fn check(&mut self, _: &BatchHeader, _: AppendContext) -> Result<Check, ResponseError> {
        Ok(Check::New)
    }
    fn appended(&mut self, batch: &BatchHeader, _: Option<Outcome>, _: i64) {
        self.all.push(batch.base_offset);
        if batch.base_offset % 2 == 0 {
            self.aborted.push(batch.base_offset);
        }
    }
    fn snapshot(&self) -> Option<Vec<u8>> {
        (!self.all.is_empty()).then(|| postcard::to_stdvec(self).unwrap())
    }
    fn truncate(&mut self, offset: i64) {
        self.all.retain(|b| *b < offset);
        self.aborted.retain(|b| *b < offset);
    }
    fn log_starts_at(&mut self, log_start: i64) {
        self.aborted.retain(|b| *b >= log_start);
    }
    fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let found = self.aborted.iter().filter(|b| (from..to).contains(*b));
        found.map(|b| aborted(*b)).collect()
    }
    fn take_aborted(&mut self, end: i64) -> Vec<SettledAbort> {
        let kept = self.aborted.partition_point(|b| *b < end);
        let taken = self.aborted.drain(..kept);
        let settled = taken.map(|base| SettledAbort {
            transaction: aborted(base),
            last_stable_offset: base + 1,
        });
        settled.collect()
    }
}

struct Factory;
impl PartitionStateFactory for Factory {
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        let bases = snapshot.map_or(Ok(Bases::default()), postcard::from_bytes);
        Ok(Box::new(bases.map_err(|e| e.to_string())?))
    }
}

const SMALL: TopicId = TopicId::from_u128(1);
const MIXED: TopicId = TopicId::from_u128(2);
/// Records have times from 0 up to twice this.
pub(crate) const RETENTION_MS: u64 = 1000;
const ATOMIC_KEY: &[u8] = b"atomic";

pub(crate) fn tuning() -> Tuning {
    Tuning {
        reserve_bytes: 2048,
        journal_file_bytes: 16 << 10,
        checkpoint_room: 1024,
        compaction_room: 4096,
        block_offsets: 8,
    }
}

pub(crate) fn options(durability: Durability) -> StoreOptions {
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
            retention_ms: Some(RETENTION_MS),
            ..LogConfig::default()
        }),
        partition_state: Arc::new(Factory),
        compaction: CompactionOptions::new(|| 0),
        cluster_id: None,
        cut_damaged_journal: false,
    }
}

struct Simulation {
    rng: StdRng,
    fs: SimFs,
    durability: Durability,
    model: Model,
    store: Option<Store>,
    full: bool,
    /// Snapshots that were tried.
    snapshots: u64,
    kept_snapshot: Option<(PathBuf, Observed)>,
    pending: Option<compaction::Pending>,
    events: Events,
}

fn counter_key(n: u8) -> Bytes {
    Bytes::from(vec![b'c', n])
}

impl Simulation {
    fn new(seed: u64, durability: Durability) -> Simulation {
        Simulation {
            rng: StdRng::seed_from_u64(seed),
            fs: SimFs::new(seed),
            durability,
            model: Model::default(),
            store: None,
            full: false,
            snapshots: 0,
            kept_snapshot: None,
            pending: None,
            events: Events::default(),
        }
    }

    fn inner(&self) -> &Arc<Inner> {
        self.store.as_ref().unwrap().inner()
    }

    /// Opens, through crashes of the opening itself if need be.
    fn open(&mut self) {
        self.fs.set_free(None);
        for _ in 0..1000 {
            if self.rng.random_bool(0.3) {
                self.fs.crash_after(self.rng.random_range(0..60));
            }
            match Store::open_stepped(
                Arc::new(self.fs.clone()),
                Path::new("/data"),
                options(self.durability),
                tuning(),
            ) {
                Ok(store) => {
                    let core = &store.inner().core;
                    self.events.kept_unsettled += core.kept_unsettled.load(Ordering::Relaxed);
                    self.events.left_out += core.left_out.load(Ordering::Relaxed);
                    self.store = Some(store);
                    return;
                }
                Err(e) => {
                    assert!(self.fs.has_crashed(), "opening failed: {e}");
                    self.events.cuts_of_openings += 1;
                    self.die();
                }
            }
        }
        panic!("a thousand crashes in a row");
    }

    /// The process dies, or the power goes.
    fn die(&mut self) {
        let power_cut = self.rng.random_bool(match self.durability {
            Durability::Disk => 0.8,
            Durability::Os => 0.5,
        });
        if !power_cut {
            self.events.kills += 1;
            self.fs.kill();
            return;
        }
        if self.durability == Durability::Os {
            self.model.forget_unsynced();
        }
        self.fs.crash();
    }

    fn run(mut self, lives: usize) -> Events {
        for _ in 0..lives {
            self.open();
            self.verify();
            // It reads all of them, which takes its time.
            if self.rng.random_bool(0.3) {
                self.verify_snapshots();
            }
            self.live();
            self.store = None;
            self.die();
        }
        self.open();
        self.verify();
        self.verify_snapshots();
        self.events.disk = self.fs.stats();
        self.events.disk_calls = self.fs.calls();
        self.events
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
            let step = self.step();
            // Any of them may have let the writer go on, and with it be refused for want of room.
            self.settle();
            if self.fs.has_crashed() {
                *self.events.cut.entry(step).or_default() += 1;
            }
        }
        self.forget_pending();
    }

    /// Does something; says what.
    fn step(&mut self) -> &'static str {
        let inner = self.inner().clone();
        match self.rng.random_range(0..100) {
            0..32 => {
                self.append();
                "append"
            }
            32..36 => {
                self.rewrite();
                "rewrite segments"
            }
            36..40 => {
                self.replace();
                "replace segments"
            }
            40..48 => {
                self.commit_counter();
                "commit"
            }
            48..56 => {
                self.commit_atomic();
                "atomic commit"
            }
            56..70 => {
                inner.step_journal();
                "journal"
            }
            70..74 => {
                inner.step_large_writes();
                "large appends, written"
            }
            74..80 => {
                // It is one call a segment: seldom would the crash of this life come into one.
                if inner.core.large.has_to_sync() && self.rng.random_bool(0.1) {
                    self.fs.crash_after(0);
                }
                inner.step_large_syncs();
                "large appends, synced"
            }
            80..82 => {
                self.checkpoint();
                "checkpoint"
            }
            84..86 => {
                let result = inner.flush_all();
                inner.note_trouble("flush", result);
                "flush"
            }
            86..89 => {
                self.delete_records();
                "delete records"
            }
            89..91 => {
                inner.collect_garbage();
                "remove files"
            }
            91 => {
                self.sweep();
                "sweep"
            }
            92 => {
                self.churn_topic();
                "create or delete a topic"
            }
            93..94 => {
                self.full = !self.full;
                let free = self.full.then(|| self.rng.random_range(0..30_000));
                self.fs.set_free(free);
                "fill the disk"
            }
            94..96 => {
                self.retain();
                "retention"
            }
            82..84 | 98 => {
                // It is a few calls.
                if self.rng.random_bool(0.1) {
                    self.fs.crash_after(self.rng.random_range(0..3));
                }
                inner.make_next_journal_file();
                "journal file"
            }
            97 if self.rng.random_bool(0.5) => {
                self.snapshot();
                "snapshot"
            }
            96 if self.rng.random_bool(0.2) => {
                match self.rng.random_bool(0.5) {
                    true => self.fs.fail_next_sync(),
                    false => self.fs.fail_next_sync_and_clean(),
                }
                "fail a sync"
            }
            _ => {
                self.read();
                "read"
            }
        }
    }

    fn checkpoint(&mut self) {
        let inner = self.inner().clone();
        let result = inner.checkpoint();
        self.settle();
        match result {
            Ok(()) => {
                self.events.checkpoints += 1;
                self.model.make_certain();
            }
            Err(e) => inner.note_trouble("checkpoint", Err(e)),
        }
    }

    /// Saves one under a new name; the one before goes.
    fn snapshot(&mut self) {
        let store = self.store.clone().unwrap();
        self.snapshots += 1;
        let name = format!("s{}", self.snapshots);
        let saved = store.save_snapshot(&name, 1);
        self.settle();
        if let Ok(snapshot) = saved {
            self.events.snapshots += 1;
            self.model.make_certain();
            // Who meets a missing index makes it anew: no crash comes into that here.
            self.fs.crash_after(u64::MAX);
            let before = self.kept_snapshot.replace((snapshot.path, observe(&store)));
            self.fs.crash_after(self.rng.random_range(0..400));
            if let Some((path, _)) = before {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                // A crash comes into it, too; the next start tidies up.
                let _ = crate::snapshot::delete(&self.fs, Path::new("/data"), &name);
            }
        }
    }

    /// The last snapshot that was kept is what there was, and what a crash left of others is whole.
    fn verify_snapshots(&mut self) {
        self.inner().remove_leftovers();
        let found = crate::snapshot::list(&self.fs, Path::new("/data")).unwrap();
        for snapshot in &found {
            let (state, problems) = restored_with_problems(&self.fs, &snapshot.path).unwrap();
            // What a crash does to an index is mended by the first who reads it.
            assert!(
                problems.iter().all(|p| p.reason.contains(" index: ")),
                "{problems:?}"
            );
            if let Some((path, kept)) = &self.kept_snapshot
                && *path == snapshot.path
            {
                assert_eq!(state, *kept);
            }
        }
        if let Some((path, _)) = &self.kept_snapshot {
            assert!(found.iter().any(|s| s.path == *path), "a snapshot is gone");
        }
    }

    fn retain(&mut self) {
        let Some(p) = self.pick() else { return };
        let before = p.log_start_offset();
        let now = self.rng.random_range(0..4 * RETENTION_MS as i64);
        if p.retain(&self.inner().clone(), now).is_ok() && p.log_start_offset() > before {
            self.note_start(&p);
        }
    }

    fn note_start(&mut self, p: &Partition) {
        let (start, seq) = {
            let log = p.lock();
            (log.start, log.start_seq)
        };
        let key = (*p.topic(), p.index());
        let model = self.model.partitions.entry(key).or_default();
        model.starts.push((start, seq));
    }

    fn pick(&mut self) -> Option<Arc<Partition>> {
        let id = if self.rng.random() { SMALL } else { MIXED };
        let index = self.rng.random_range(0..2);
        self.store.as_ref().unwrap().partition(&id, index)
    }

    fn batch(&mut self, large: bool) -> (BytesMut, Vec<BatchHeader>) {
        let count = self.rng.random_range(1..4);
        let time = self.rng.random_range(0..2 * RETENTION_MS as i64);
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
                    timestamp: time,
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
            bytes: Some(bytes.freeze()),
            seq: appended.commit.0,
            atomic,
        }
    }

    fn append(&mut self) {
        let Some(p) = self.pick() else { return };
        let large = *p.topic() == MIXED && self.rng.random_bool(0.15);
        let (bytes, headers) = self.batch(large);
        let sent = bytes.clone();
        match p.append(bytes, &headers, AppendContext::at(1)) {
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
        let history = &mut self.model.counters.entry(n).or_default().history;
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
                ctx: AppendContext::at(1),
            });
        }
        match self.store.as_ref().unwrap().commit_all(ops) {
            Ok((appended, _)) => {
                for ((p, bytes), appended) in sent.iter().zip(&appended) {
                    self.note(p, Self::noted(bytes, appended, Some(number)));
                }
            }
            Err(AppendError::Store(_)) => {}
            Err(e) => panic!("commit_all: {e}"),
        }
    }

    fn delete_records(&mut self) {
        let Some(p) = self.source().or_else(|| self.pick()) else {
            return;
        };
        let hw = p.high_watermark();
        let to = self.rng.random_range(0..=hw);
        if to > p.log_start_offset() && matches!(p.delete_records(to), Ok(Ok(_))) {
            self.note_start(&p);
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
                match p.append(bytes, &headers, AppendContext::at(1)) {
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
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_seeds(durability: Durability) {
    let seeds = match env("OTTLA_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("OTTLA_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut events = Events::default();
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| Simulation::new(seed, durability).run(LIVES));
        match outcome {
            Ok(more) => events.add(more),
            Err(_) => panic!("the simulation failed: OTTLA_SIM_SEED={seed}"),
        }
    }
    println!("{durability:?}: {events}");
    if events.crashes() > 1000 {
        let cut = |step| events.cut.get(step).copied().unwrap_or(0);
        for step in [
            "checkpoint",
            "journal",
            "journal file",
            "flush",
            "remove files",
            "snapshot",
            "rewrite segments",
            "sweep",
        ] {
            assert!(cut(step) > 0, "no crash came into: {step}");
        }
        if durability == Durability::Disk {
            for step in ["large appends, written", "large appends, synced"] {
                assert!(cut(step) > 0, "no crash came into: {step}");
            }
            let unsettled = [events.kept_unsettled, events.left_out];
            assert!(unsettled.iter().all(|n| *n > 20), "{unsettled:?}");
        }
        assert!(events.replaced > 300 && events.overtaken > 0);
        let disk = events.disk;
        assert!(disk.torn_writes > 0 && disk.refused_writes > 0 && disk.failed_syncs > 0);
    }
}

const LIVES: usize = 40;
const SEEDS: u64 = 40;

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for (seed, durability) in [(1, Durability::Disk), (2, Durability::Os)] {
        let run = || Simulation::new(seed, durability).run(LIVES);
        assert_eq!(run(), run());
    }
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged_or_seen() {
    run_seeds(Durability::Disk);
}

#[test]
fn without_syncs_killed_processes_lose_nothing_and_power_cuts_only_the_end() {
    run_seeds(Durability::Os);
}
