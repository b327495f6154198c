//! Any sequence of appends, reads, deletions, retention, look-ups by time and restarts, against a list of records.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::check_all;
use ottla_codec::records::{BatchBuilder, Record, iterate};
use proptest::prelude::*;

use crate::fs::sim::SimFs;
use crate::simulation::{RETENTION_MS, options, read_bytes, tuning};
use crate::{AppendContext, Durability, NewTopic, Partition, ReadError, Store, TopicId};

const TOPIC: TopicId = TopicId::from_u128(3);

#[derive(Debug, Clone)]
enum Step {
    Append {
        times: Vec<i64>,
        size: usize,
    },
    Commit,
    Checkpoint,
    Flush,
    /// In thousandths of what there is.
    Read {
        from: i64,
        max: usize,
    },
    LookUp {
        time: i64,
    },
    Newest,
    DeleteRecords {
        to: i64,
    },
    Retain {
        now: i64,
    },
    RemoveFiles,
    Close,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let times = || 0..3000i64;
    prop_oneof![
        8 => (prop::collection::vec(times(), 1..4), 0..400usize)
            .prop_map(|(times, size)| Step::Append { times, size }),
        1 => times().prop_map(|time| Step::Append { times: vec![time], size: 70_000 }),
        5 => Just(Step::Commit),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Flush),
        4 => (0..=1000i64, 1..3000usize).prop_map(|(from, max)| Step::Read { from, max }),
        3 => (0..3100i64).prop_map(|time| Step::LookUp { time }),
        2 => Just(Step::Newest),
        1 => (0..=1000i64).prop_map(|to| Step::DeleteRecords { to }),
        1 => (0..5000i64).prop_map(|now| Step::Retain { now }),
        1 => Just(Step::RemoveFiles),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

struct Rig {
    fs: SimFs,
    store: Store,
    partition: Arc<Partition>,
    /// Time and value; the offset is the place.
    records: Vec<(i64, Bytes)>,
    durable: i64,
    start: i64,
}

fn open(fs: &SimFs) -> Store {
    let options = options(Durability::Disk);
    Store::open_stepped(Arc::new(fs.clone()), Path::new("/data"), options, tuning()).unwrap()
}

impl Rig {
    fn new() -> Rig {
        let fs = SimFs::new(1);
        let store = open(&fs);
        let new = NewTopic {
            id: TOPIC,
            name: "t".to_owned(),
            partitions: 1,
            configs: BTreeMap::from([("segment.bytes".to_owned(), "72000".to_owned())]),
            created_ms: 0,
        };
        store.create_topic(new).unwrap().unwrap();
        store.inner().step_writer();
        let partition = store.partition(&TOPIC, 0).unwrap();
        Rig {
            fs,
            store,
            partition,
            records: Vec::new(),
            durable: 0,
            start: 0,
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Append { times, size } => self.append(&times, size),
            Step::Commit => {
                self.store.inner().step_writer();
                self.durable = self.records.len() as i64;
            }
            Step::Checkpoint => {
                self.store.inner().checkpoint().unwrap();
                self.durable = self.records.len() as i64;
            }
            Step::Flush => self.store.inner().flush_all().unwrap(),
            Step::Read { from, max } => self.read(from * (self.durable + 2) / 1000, max),
            Step::LookUp { time } => {
                let found = self.partition.offset_for_timestamp(time).unwrap();
                let live = self.start as usize..self.durable as usize;
                let expected = live
                    .clone()
                    .zip(&self.records[live])
                    .find(|(_, r)| r.0 >= time);
                assert_eq!(
                    found.map(|f| (f.offset, f.timestamp)),
                    expected.map(|(o, r)| (o as i64, r.0))
                );
            }
            Step::Newest => {
                let live = self.start as usize..self.durable as usize;
                let expected = live.max_by_key(|o| (self.records[*o].0, std::cmp::Reverse(*o)));
                assert_eq!(
                    self.newest(),
                    expected.map(|o| (o as i64, self.records[o].0))
                );
            }
            Step::DeleteRecords { to } => {
                self.delete_records(to * self.durable / 1000);
            }
            Step::Retain { now } => {
                self.partition.retain(self.store.inner(), now).unwrap();
                let start = self.partition.log_start_offset();
                assert!(self.start <= start && start <= self.durable);
                let gone = &self.records[self.start as usize..start as usize];
                assert!(gone.iter().all(|r| r.0 < now - RETENTION_MS as i64));
                self.start = start;
            }
            Step::RemoveFiles => {
                self.store.inner().collect_garbage();
                // It waits for the deletions, and so for what was before them.
                self.durable = self.partition.high_watermark();
            }
            Step::Close => {
                self.store.inner().step_writer();
                self.store.close().unwrap();
                self.reopen();
            }
            Step::Kill => {
                self.store.inner().step_writer();
                self.reopen();
            }
        }
        assert_eq!(self.partition.log_start_offset(), self.start);
        assert_eq!(self.partition.high_watermark(), self.durable);
        assert_eq!(self.partition.log_end_offset(), self.records.len() as i64);
    }

    fn append(&mut self, times: &[i64], size: usize) {
        let first = self.records.len();
        let records: Vec<Record> = times
            .iter()
            .enumerate()
            .map(|(i, time)| Record {
                offset: i as i64,
                timestamp: *time,
                key: None,
                value: Some(vec![(first + i) as u8; size].into()),
                headers: Vec::new(),
            })
            .collect();
        let bytes = BytesMut::from(&BatchBuilder::default().build(&records)[..]);
        let headers = check_all(&bytes).unwrap();
        let ctx = AppendContext::at(1);
        let appended = self.partition.append(bytes, &headers, ctx).unwrap();
        assert_eq!(appended.base_offset, first as i64);
        let values = records.into_iter().map(|r| (r.timestamp, r.value.unwrap()));
        self.records.extend(values);
    }

    /// The record with the largest time: its offset and that time.
    fn newest(&self) -> Option<(i64, i64)> {
        let found = self.partition.max_timestamp().unwrap();
        found.map(|f| (f.offset, f.timestamp))
    }

    fn delete_records(&mut self, to: i64) {
        self.partition.delete_records(to).unwrap().unwrap();
        self.start = self.start.max(to);
    }

    fn read(&self, from: i64, max: usize) {
        let end = self.records.len() as i64;
        if from < self.start || from > end {
            let result = self.partition.read(from, self.durable, max, true);
            assert!(matches!(result, Err(ReadError::OutOfRange { .. })));
            return;
        }
        let bytes = Bytes::from(read_bytes(&self.partition, from, max).unwrap());
        let headers = check_all(&bytes).unwrap();
        assert_eq!(headers.is_empty(), from >= self.durable, "at {from}");
        assert!(bytes.len() <= max || headers.len() == 1);
        let mut next = headers.first().map_or(from, |h| h.base_offset);
        assert!(next <= from);
        let mut at = 0;
        for h in headers {
            for record in iterate(bytes.slice(at..at + h.size), 1 << 20).unwrap() {
                let record = record.unwrap();
                let (time, value) = &self.records[next as usize];
                assert_eq!((record.offset, record.timestamp), (next, *time));
                assert!(record.value.as_ref() == Some(value));
                next += 1;
            }
            at += h.size;
        }
        assert!(next > from || from >= self.durable);
    }

    fn reopen(&mut self) {
        self.fs.kill();
        self.store = open(&self.fs);
        self.partition = self.store.partition(&TOPIC, 0).unwrap();
        self.durable = self.records.len() as i64;
    }
}

#[test]
fn the_largest_time_is_that_of_the_records_left_when_the_one_that_had_it_is_deleted() {
    let mut rig = Rig::new();
    rig.append(&[10, 90], 10);
    rig.append(&[70, 30, 70], 10);
    rig.run(Step::Commit);
    assert_eq!(rig.newest(), Some((1, 90)));
    // The rest of its segment, one batch of which is cut in two.
    rig.delete_records(2);
    assert_eq!(rig.newest(), Some((2, 70)));
    rig.delete_records(3);
    assert_eq!(rig.newest(), Some((4, 70)));
    rig.run(Step::Commit);
    rig.run(Step::Close);
    assert_eq!(rig.newest(), Some((4, 70)), "from the file");
    rig.delete_records(5);
    assert_eq!(rig.newest(), None);
}

#[test]
fn the_largest_time_is_found_while_a_segment_of_deleted_records_is_still_there() {
    let mut rig = Rig::new();
    rig.append(&[50], 70_000);
    rig.append(&[90], 40_000);
    rig.append(&[20], 10_000);
    rig.run(Step::Commit);
    rig.delete_records(2);
    assert_eq!(rig.newest(), Some((2, 20)));
    rig.run(Step::RemoveFiles);
    assert_eq!(rig.newest(), Some((2, 20)));
}

#[test]
fn the_largest_time_is_one_that_consumers_see() {
    let mut rig = Rig::new();
    rig.append(&[50], 10);
    rig.run(Step::Commit);
    rig.append(&[90], 10);
    rig.append(&[60], 72_000 - 200);
    assert_eq!(rig.newest(), Some((0, 50)));
    rig.run(Step::Commit);
    assert_eq!(rig.newest(), Some((1, 90)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_log_is_the_list_of_what_was_appended(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new();
        for step in steps {
            rig.run(step);
        }
        assert_eq!(rig.store.check().unwrap().problems, []);
    }
}
