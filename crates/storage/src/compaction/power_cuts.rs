//! Passes over transactions, with power cuts at every call of the file system: whoever reads what is committed gets each key's last
//! value, at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::{self, Outcome};
use ottla_codec::records::{BatchBuilder, Record, iterate};
use ottla_codec::response::Chunk;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::fs::sim::SimFs;
use crate::simulation::tuning;
use crate::{
    AbortedTransaction, AppendContext, Check, CleanupPolicy, Durability, LogConfig, NewTopic,
    Partition, PartitionState, PartitionStateFactory, Store, StoreOptions, TopicId,
};

const TOPIC: TopicId = TopicId::from_u128(7);
const RETENTION_MS: i64 = 100;

/// Transactions of a partition, as the coordinator keeps them.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Transactions {
    open: BTreeMap<i64, i64>,
    /// Producer, first offset, marker.
    aborted: Vec<(i64, i64, i64)>,
}

impl PartitionState for Transactions {
    fn check(&mut self, _: &BatchHeader, _: AppendContext) -> Result<Check, ResponseError> {
        Ok(Check::New)
    }
    fn appended(&mut self, batch: &BatchHeader, marker: Option<Outcome>, _: i64) {
        let id = batch.producer_id;
        match marker {
            None if batch.is_transactional() => {
                self.open.entry(id).or_insert(batch.base_offset);
            }
            None => {}
            Some(outcome) => {
                let first = self.open.remove(&id);
                if let (Some(first), Outcome::Abort) = (first, outcome) {
                    self.aborted.push((id, first, batch.base_offset));
                }
            }
        }
    }
    fn snapshot(&self) -> Option<Vec<u8>> {
        Some(postcard::to_stdvec(self).unwrap())
    }
    fn truncate(&mut self, _: i64) {}
    fn first_undecided(&self) -> Option<i64> {
        self.open.values().min().copied()
    }
    fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let within = |a: &&(i64, i64, i64)| a.1 < to && a.2 >= from;
        let all = self.aborted.iter().filter(within);
        all.map(|a| AbortedTransaction {
            producer_id: a.0,
            first_offset: a.1,
            last_offset: a.2,
        })
        .collect()
    }
    fn forget_aborted(&mut self, last_offsets: &[i64]) {
        self.aborted.retain(|a| !last_offsets.contains(&a.2));
    }
}

struct Factory;

impl PartitionStateFactory for Factory {
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        let state: Transactions = match snapshot {
            Some(bytes) => postcard::from_bytes(bytes).map_err(|e| e.to_string())?,
            None => Transactions::default(),
        };
        Ok(Box::new(state))
    }
}

fn open(fs: &SimFs) -> Store {
    let options = StoreOptions {
        log_config: Arc::new(|_| LogConfig {
            segment_bytes: 500,
            index_interval_bytes: 150,
            cleanup_policy: CleanupPolicy {
                compact: true,
                delete: false,
            },
            min_cleanable_dirty_ratio: 0.0,
            delete_retention_ms: RETENTION_MS as u64,
            ..LogConfig::default()
        }),
        partition_state: Arc::new(Factory),
        ..crate::simulation::options(Durability::Disk)
    };
    let dir = Path::new("/data");
    Store::open_stepped(Arc::new(fs.clone()), dir, options, tuning()).unwrap()
}

/// Offset, key and value.
type Written = (i64, String, Option<String>);

/// What was written, and what is committed of it.
#[derive(Default, Clone)]
struct Model {
    /// The last record of each key: by offset, whatever came to an end first.
    committed: BTreeMap<String, (i64, Option<String>)>,
    /// By producer, what its open transaction has.
    open: BTreeMap<i64, Vec<Written>>,
    written: BTreeSet<Written>,
}

impl Model {
    fn commit(&mut self, records: Vec<Written>) {
        for (offset, key, value) in records {
            let last = self.committed.entry(key).or_insert((-1, None));
            if offset > last.0 {
                *last = (offset, value);
            }
        }
    }

    fn values(&self) -> BTreeMap<String, String> {
        let all = self.committed.iter();
        all.filter_map(|(key, (_, value))| Some((key.clone(), value.clone()?)))
            .collect()
    }

    fn end(&mut self, producer: i64, outcome: Outcome) {
        let pairs = self.open.remove(&producer).unwrap_or_default();
        if outcome == Outcome::Commit {
            self.commit(pairs);
        }
    }
}

fn append(store: &Store, p: &Partition, bytes: &[u8]) -> i64 {
    let headers = [BatchHeader::parse(bytes).unwrap()];
    let ctx = AppendContext {
        now_ms: 0,
        begins_transaction: true,
    };
    let appended = p.append(BytesMut::from(bytes), &headers, ctx).unwrap();
    store.inner().wait_durable(appended.commit.0).unwrap();
    appended.base_offset
}

fn end(store: &Store, p: &Partition, model: &mut Model, producer: i64, outcome: Outcome) {
    append(store, p, &control::marker(producer, 0, outcome, 0));
    model.end(producer, outcome);
}

/// Random batches of two transactional producers and of one that is none. At most one transaction is open at the end.
fn churn(store: &Store, p: &Partition, model: &mut Model, rng: &mut StdRng, steps: usize) {
    for _ in 0..steps {
        let producer = rng.random_range(0..3);
        if model.open.contains_key(&producer) && rng.random_bool(0.5) {
            let outcome = match rng.random_bool(0.5) {
                true => Outcome::Commit,
                false => Outcome::Abort,
            };
            end(store, p, model, producer, outcome);
            continue;
        }
        let count = rng.random_range(1..4);
        let pairs: Vec<(String, Option<String>)> = (0..count)
            .map(|_| {
                let key = format!("k{}", rng.random_range(0..6));
                let value = format!("v{}", rng.random::<u32>());
                (key, rng.random_bool(0.85).then_some(value))
            })
            .collect();
        let records: Vec<Record> = (0..)
            .zip(&pairs)
            .map(|(offset, (key, value))| Record {
                offset,
                timestamp: 0,
                key: Some(Bytes::from(key.clone())),
                value: value.clone().map(Bytes::from),
                headers: Vec::new(),
            })
            .collect();
        let builder = match producer {
            2 => BatchBuilder::default(),
            _ => BatchBuilder {
                producer_id: producer,
                producer_epoch: 0,
                base_sequence: 0,
                transactional: true,
                ..BatchBuilder::default()
            },
        };
        let base = append(store, p, &builder.build(&records));
        let written: Vec<Written> = (base..)
            .zip(pairs)
            .map(|(offset, (key, value))| (offset, key, value))
            .collect();
        model.written.extend(written.iter().cloned());
        match producer {
            2 => model.commit(written),
            _ => model.open.entry(producer).or_default().extend(written),
        }
    }
}

fn batches(p: &Partition) -> Vec<Bytes> {
    let mut out = Vec::new();
    let mut next = p.log_start_offset();
    while next < p.high_watermark() {
        let slice = p.read(next, p.high_watermark(), 1000, true).unwrap();
        assert!(slice.bytes > 0, "nothing at {next}");
        for chunk in slice.chunks {
            let mut bytes = match chunk {
                Chunk::Bytes(bytes) => bytes,
                Chunk::File {
                    file,
                    position,
                    len,
                } => {
                    let mut bytes = BytesMut::zeroed(len);
                    file.read_at(position, &mut bytes).unwrap();
                    bytes.freeze()
                }
            };
            while !bytes.is_empty() {
                let header = BatchHeader::parse(&bytes).unwrap();
                next = header.next_offset();
                out.push(bytes.split_to(header.size));
            }
        }
    }
    out
}

/// Reads as a consumer of committed records does (KIP-98), who is told of aborted transactions after it has read.
fn check(p: &Partition, model: &Model) -> Result<(), String> {
    let batches = batches(p);
    let aborted = p
        .aborted_between(p.log_start_offset(), p.high_watermark())
        .unwrap();
    let mut waiting: Vec<(i64, i64)> = aborted
        .iter()
        .map(|a| (a.first_offset, a.producer_id))
        .collect();
    waiting.sort_unstable();
    let mut hidden = BTreeSet::new();
    let mut seen = BTreeMap::new();
    for batch in batches {
        let header = BatchHeader::parse(&batch).unwrap();
        waiting.retain(|(first, producer)| {
            let begins = *first <= header.last_offset();
            if begins {
                hidden.insert(*producer);
            }
            !begins
        });
        if let Some(outcome) = control::outcome(&header, &batch) {
            if outcome == Outcome::Abort {
                hidden.remove(&header.producer_id);
            }
            continue;
        }
        if header.base_offset >= p.last_stable_offset() {
            break;
        }
        if header.is_transactional() && hidden.contains(&header.producer_id) {
            continue;
        }
        for record in iterate(batch, 1 << 20).unwrap() {
            let record = record.unwrap();
            let text = |b: Bytes| String::from_utf8(b.to_vec()).unwrap();
            let (key, value) = (text(record.key.unwrap()), record.value.map(text));
            let known = (record.offset, key.clone(), value.clone());
            if !model.written.contains(&known) {
                return Err(format!("{known:?} was never written"));
            }
            match value {
                Some(value) => seen.insert(key, value),
                None => seen.remove(&key),
            };
        }
    }
    let committed = model.values();
    if seen != committed {
        return Err(format!("seen: {seen:?}\ncommitted: {committed:?}"));
    }
    Ok(())
}

fn run(seed: u64, cuts: u64) -> (u64, u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let fs = SimFs::new(seed);
    let mut model = Model::default();
    let (store, p) = with_topic(&fs);
    churn(&store, &p, &mut model, &mut rng, 60);
    // With a transaction open, whose records must neither go nor count.
    store.compact_now(0);
    let open_producers: Vec<i64> = model.open.keys().copied().collect();
    for producer in open_producers {
        end(&store, &p, &mut model, producer, Outcome::Abort);
    }
    check(&p, &model).unwrap();
    churn(&store, &p, &mut model, &mut rng, 60);
    store.compact_now(0);
    churn(&store, &p, &mut model, &mut rng, 30);
    let open_producers: Vec<i64> = model.open.keys().copied().collect();
    for producer in open_producers {
        end(&store, &p, &mut model, producer, Outcome::Commit);
    }
    check(&p, &model).unwrap();
    let before = p.aborted_between(0, i64::MAX).unwrap().len();
    drop(p);
    store.close().unwrap();
    drop(store);

    // Markers go in this pass. How many calls it takes is known when it was done once.
    let whole = fs.fork();
    let store = open(&whole);
    let calls = whole.calls();
    store.compact_now(RETENTION_MS);
    let calls = whole.calls() - calls;
    let p = store.partition(&TOPIC, 0).unwrap();
    check(&p, &model).unwrap();
    let forgotten = before - p.aborted_between(0, i64::MAX).unwrap().len();
    drop(p);
    drop(store);
    for cut in 0..cuts {
        let fs = fs.fork();
        fs.reseed(seed ^ cut << 32);
        let store = open(&fs);
        fs.crash_after(rng.random_range(0..calls + 1));
        store.compact_now(RETENTION_MS);
        drop(store);
        fs.crash();
        let store = open(&fs);
        let p = store.partition(&TOPIC, 0).unwrap();
        let said = |e| panic!("seed {seed}, cut {cut}: {e}");
        check(&p, &model).unwrap_or_else(said);
        // And what was cut is done after all.
        store.compact_now(RETENTION_MS);
        check(&p, &model).unwrap_or_else(said);
        drop(p);
        store.close().unwrap();
        drop(store);
        let store = open(&fs);
        let p = store.partition(&TOPIC, 0).unwrap();
        check(&p, &model).unwrap_or_else(said);
    }
    (calls, forgotten as u64)
}

fn with_topic(fs: &SimFs) -> (Store, Arc<Partition>) {
    let store = open(fs);
    let new = NewTopic {
        id: TOPIC,
        name: "t".to_owned(),
        partitions: 1,
        configs: BTreeMap::new(),
        created_ms: 0,
    };
    store.create_topic(new).unwrap().unwrap();
    let p = store.partition(&TOPIC, 0).unwrap();
    (store, p)
}

#[test]
fn a_full_disk_ends_a_pass_and_it_is_done_when_there_is_room() {
    let fs = SimFs::new(1);
    let (store, p) = with_topic(&fs);
    let (mut model, mut rng) = (Model::default(), StdRng::seed_from_u64(1));
    churn(&store, &p, &mut model, &mut rng, 60);
    let open_producers: Vec<i64> = model.open.keys().copied().collect();
    for producer in open_producers {
        end(&store, &p, &mut model, producer, Outcome::Commit);
    }
    store.checkpoint().unwrap();
    let files = fs.files().len();
    fs.set_free(Some(1500));
    assert_eq!(store.compact_now(0), 0);
    assert_eq!(fs.files().len(), files, "what was begun is removed");
    assert_eq!(store.compaction_stats().passes_ended_early, 1);
    assert!(store.write_trouble().is_none(), "writes go on");
    check(&p, &model).unwrap();
    // It is tried again by itself after the backoff.
    let backoff = store.inner().compaction_config().backoff.as_millis() as i64;
    assert_eq!(store.inner().next_look_ms(), Some(backoff));
    fs.set_free(None);
    assert_eq!(store.compact_now(0), 1);
    check(&p, &model).unwrap();
}

#[test]
fn the_end_of_a_transaction_wakes_compaction_that_waits_for_it() {
    let fs = SimFs::new(1);
    let (store, p) = with_topic(&fs);
    let mut model = Model::default();
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(b"v")),
        headers: Vec::new(),
    };
    let of = |producer_id, transactional| BatchBuilder {
        producer_id,
        producer_epoch: 0,
        base_sequence: 0,
        transactional,
        ..BatchBuilder::default()
    };
    append(
        &store,
        &p,
        &of(1, true).build(std::slice::from_ref(&record)),
    );
    for _ in 0..20 {
        append(
            &store,
            &p,
            &of(-1, false).build(std::slice::from_ref(&record)),
        );
    }
    let asked = || store.inner().compactor.bell.take().some;
    asked();
    // Up to the first of a new segment: no other is closed by what follows.
    while asked().is_empty() {
        append(
            &store,
            &p,
            &of(-1, false).build(std::slice::from_ref(&record)),
        );
    }
    assert_eq!(
        store.compact_now(0),
        0,
        "all is behind the open transaction"
    );
    assert!(asked().is_empty());
    end(&store, &p, &mut model, 1, Outcome::Commit);
    assert!(asked().contains(&(TOPIC, 0)));
    assert_eq!(store.compact_now(0), 1);
}

/// `OTTLA_COMPACTION_SEEDS` sets how many histories there are.
#[test]
fn committed_values_survive_passes_that_a_power_cut_ends() {
    let seeds = std::env::var("OTTLA_COMPACTION_SEEDS");
    let seeds: u64 = seeds.map_or(12, |n| n.parse().unwrap());
    let (mut calls, mut forgotten) = (0, 0);
    for seed in 0..seeds {
        let (c, f) = run(seed, 25);
        calls += c;
        forgotten += f;
    }
    // It is about something.
    assert!(calls > 30 * seeds, "{calls}");
    assert!(forgotten > seeds, "{forgotten}");
}
