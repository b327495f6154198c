//! What checkpoints, loads and fetches cost with a long history, counted; and crashes between the rows.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::Outcome;
use ottla_codec::records::{BatchBuilder, Record};

use super::*;
use crate::fs::sim::SimFs;
use crate::simulation::{options, tuning};
use crate::{
    AppendContext, Check, Durability, NewTopic, PartitionState, PartitionStateFactory, Store,
    StoreOptions, TopicId,
};

const TOPIC: TopicId = TopicId::from_u128(1);
const MILLION: i64 = 1_000_000;

/// Each offset is a transaction that was aborted at once.
#[derive(Default)]
struct AllAborted(Vec<i64>);

fn abort(offset: i64) -> SettledAbort {
    SettledAbort {
        transaction: AbortedTransaction {
            producer_id: 7,
            first_offset: offset,
            last_offset: offset,
        },
        last_stable_offset: offset + 1,
    }
}

impl PartitionState for AllAborted {
    fn check(&mut self, _: &BatchHeader, _: AppendContext) -> Result<Check, ResponseError> {
        Ok(Check::New)
    }
    fn appended(&mut self, batch: &BatchHeader, _: Option<Outcome>, _: i64) {
        self.0.extend(batch.base_offset..batch.next_offset());
    }
    fn snapshot(&self) -> Option<Vec<u8>> {
        Some(postcard::to_stdvec(&self.0).unwrap())
    }
    fn truncate(&mut self, offset: i64) {
        self.0.retain(|o| *o < offset);
    }
    fn log_starts_at(&mut self, log_start: i64) {
        self.0.retain(|o| *o >= log_start);
    }
    fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let all = self.0.iter().filter(|o| (from..to).contains(*o));
        all.map(|o| abort(*o).transaction).collect()
    }
    fn forget_aborted(&mut self, last_offsets: &[i64]) {
        self.0.retain(|o| !last_offsets.contains(o));
    }
    fn take_aborted(&mut self, end: i64) -> Vec<SettledAbort> {
        let kept = self.0.split_off(self.0.partition_point(|o| *o < end));
        std::mem::replace(&mut self.0, kept)
            .into_iter()
            .map(abort)
            .collect()
    }
}

struct Factory;
impl PartitionStateFactory for Factory {
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        let all = snapshot.map_or(Ok(Vec::new()), postcard::from_bytes);
        Ok(Box::new(AllAborted(all.map_err(|e| e.to_string())?)))
    }
}

fn open(fs: &SimFs, block_offsets: i64) -> Store {
    let options = StoreOptions {
        partition_state: Arc::new(Factory),
        ..options(Durability::Disk)
    };
    let tuning = crate::store::Tuning {
        block_offsets,
        ..tuning()
    };
    Store::open_stepped(Arc::new(fs.clone()), Path::new("/data"), options, tuning).unwrap()
}

fn made(block_offsets: i64) -> (SimFs, Store) {
    let fs = SimFs::new(1);
    let store = open(&fs, block_offsets);
    let new = NewTopic {
        id: TOPIC,
        name: "t".to_owned(),
        partitions: 1,
        configs: [("segment.bytes".to_owned(), "2000".to_owned())].into(),
        created_ms: 0,
    };
    store.create_topic(new).unwrap();
    (fs, store)
}

/// A batch that spans `count` offsets.
fn append(store: &Store, count: i64) {
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: None,
        value: Some(Bytes::from_static(b"x")),
        headers: Vec::new(),
    };
    let bytes = BatchBuilder::default().build_spanning(0, count - 1, &[record]);
    let headers = [BatchHeader::parse(&bytes).unwrap()];
    let p = store.partition(&TOPIC, 0).unwrap();
    p.append(BytesMut::from(&bytes[..]), &headers, AppendContext::at(1))
        .unwrap();
    store.inner().step_writer();
}

fn offsets(store: &Store, from: i64, to: i64) -> Vec<i64> {
    let p = store.partition(&TOPIC, 0).unwrap();
    let found = p.aborted_between(from, to).unwrap();
    found.iter().map(|t| t.last_offset).collect()
}

#[test]
fn a_million_aborted_transactions_cost_what_a_request_touches() {
    let (fs, store) = made(BLOCK_OFFSETS);
    append(&store, MILLION);
    store.inner().checkpoint().unwrap();
    let before = fs.stats();
    append(&store, 1);
    store.inner().checkpoint().unwrap();
    let after = fs.stats();
    let (rows, bytes) = (
        after.rows_written - before.rows_written,
        after.row_bytes_written - before.row_bytes_written,
    );
    // The partition's row, its state with less than a block, the position.
    assert!(rows <= 3 && bytes < 50_000, "{rows} rows of {bytes} bytes");

    let before = fs.stats().rows_read;
    assert_eq!(offsets(&store, MILLION - 10, MILLION + 1).len(), 11);
    assert_eq!(fs.stats().rows_read, before, "the last ones are in memory");
    assert_eq!(
        offsets(&store, 500_000, 500_003),
        [500_000, 500_001, 500_002]
    );
    let read = fs.stats().rows_read - before;
    assert!(read <= 2, "{read} rows read");
    assert_eq!(offsets(&store, 0, MILLION).len() as i64, MILLION);

    drop(store);
    fs.kill();
    let store = open(&fs, BLOCK_OFFSETS);
    let before = fs.stats();
    let p = store.partition(&TOPIC, 0).unwrap();
    let after = fs.stats();
    let (rows, bytes) = (
        after.rows_read - before.rows_read,
        after.row_bytes_read - before.row_bytes_read,
    );
    assert!(
        rows <= 5 && bytes < 50_000,
        "{rows} rows of {bytes} bytes for a load"
    );
    assert!(p.lock().blocks.unwritten.is_empty());
    assert_eq!(offsets(&store, 70_000, 70_002), [70_000, 70_001]);
}

#[test]
fn blocks_go_with_the_log_start_and_with_their_topic() {
    let (fs, store) = made(8);
    for _ in 0..60 {
        append(&store, 3);
    }
    store.inner().checkpoint().unwrap();
    let blocks = || store.inner().meta.scan(meta::ABORTED, b"").unwrap().len();
    assert_eq!(blocks(), 180 / 8);
    let p = store.partition(&TOPIC, 0).unwrap();
    p.delete_records(100).unwrap().unwrap();
    store.inner().step_writer();
    store.inner().collect_garbage();
    store.inner().checkpoint().unwrap();
    assert_eq!(blocks(), 180 / 8 - 100 / 8);
    assert_eq!(offsets(&store, 100, 180), (100..180).collect::<Vec<_>>());
    store.delete_topic(&TOPIC).unwrap();
    store.inner().step_writer();
    store.inner().collect_garbage();
    store.inner().checkpoint().unwrap();
    assert_eq!(blocks(), 0);
    drop(fs);
}

#[test]
fn what_compaction_took_is_forgotten_in_blocks_too_and_stays_so() {
    let (fs, store) = made(8);
    for _ in 0..10 {
        append(&store, 3);
    }
    store.inner().checkpoint().unwrap();
    let p = store.partition(&TOPIC, 0).unwrap();
    // A part of a block, a whole one, one that is not there, and one that is in memory.
    let gone: Vec<i64> = [3].into_iter().chain(8..16).chain([99, 27]).collect();
    p.forget_aborted(&gone).unwrap();
    let left: Vec<i64> = (0..30).filter(|o| !gone.contains(o)).collect();
    assert_eq!(offsets(&store, 0, 30), left);
    store.inner().checkpoint().unwrap();
    assert_eq!(offsets(&store, 0, 30), left);
    assert_eq!(
        store.inner().meta.scan(meta::ABORTED, b"").unwrap().len(),
        2
    );
    drop((p, store));
    fs.crash();
    let store = open(&fs, 8);
    assert_eq!(offsets(&store, 0, 30), left);
    for from in 0..30 {
        for to in from..30 {
            let expected: Vec<i64> = left
                .iter()
                .copied()
                .filter(|o| (from..to).contains(o))
                .collect();
            assert_eq!(offsets(&store, from, to), expected, "{from}..{to}");
        }
    }
}

#[test]
fn a_crash_anywhere_in_a_checkpoint_leaves_all_of_them() {
    let (fs, store) = made(8);
    for _ in 0..5 {
        append(&store, 3);
    }
    store.inner().checkpoint().unwrap();
    for _ in 0..12 {
        append(&store, 5);
    }
    drop(store);
    fs.kill();
    let all: Vec<i64> = (0..75).collect();
    for run in 0..300 {
        let fs = fs.fork();
        fs.reseed(run);
        // The recovery makes a checkpoint.
        fs.crash_after(run / 6);
        let options = StoreOptions {
            partition_state: Arc::new(Factory),
            ..options(Durability::Disk)
        };
        let tuning = crate::store::Tuning {
            block_offsets: 8,
            ..tuning()
        };
        let opened = Store::open_stepped(Arc::new(fs.clone()), Path::new("/data"), options, tuning);
        drop(opened);
        fs.crash();
        let store = open(&fs, 8);
        assert_eq!(offsets(&store, 0, 75), all, "run {run}");
        store.inner().checkpoint().unwrap();
        assert_eq!(offsets(&store, 0, 75), all, "run {run}");
    }
}
