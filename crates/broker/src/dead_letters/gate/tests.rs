//! Gates over a real log, against a model that knows the offsets alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_codec::batch::check_all;
use ottla_codec::compression::Compression;
use ottla_codec::records::{BatchBuilder, Record};
use ottla_dlq::Offsets;
use ottla_storage::fs::OsFs;
use ottla_storage::{AppendContext, NewTopic, Store, TopicId};

use super::*;
use crate::producer_state;
use crate::settings::{BrokerConfig, Settings};

const END: i64 = 24;
const ROOM: Room = Room {
    limit: 1 << 20,
    first_whole: true,
};

/// A log of three batches of eight records, each with another codec.
async fn log(dir: &std::path::Path) -> (Store, Arc<Partition>) {
    let config = BrokerConfig {
        data_dir: dir.to_owned(),
        values: BTreeMap::new(),
    };
    let settings = Arc::new(Settings::new(&config).expect("the defaults"));
    let options = settings.store_options(producer_state::factory(settings.clone()));
    let store = Store::open(Arc::new(OsFs), dir, options).expect("an empty directory");
    let id = TopicId::from_bytes([1; 16]);
    let new = NewTopic {
        id,
        name: "t".to_owned(),
        partitions: 1,
        configs: BTreeMap::new(),
        created_ms: 0,
    };
    store.create_topic(new).expect("the store takes writes");
    let partition = store.partition(&id, 0).expect("just created");
    for compression in [Compression::None, Compression::Zstd, Compression::Lz4] {
        let records: Vec<Record> = (0..8)
            .map(|offset| Record {
                offset,
                timestamp: 5,
                key: None,
                value: Some(Bytes::from(vec![7; 30])),
                headers: Vec::new(),
            })
            .collect();
        let builder = BatchBuilder {
            compression,
            ..BatchBuilder::default()
        };
        let batch = BytesMut::from(&builder.build(&records)[..]);
        let headers = check_all(&batch).expect("a sound batch");
        let appended = partition
            .append(batch, &headers, AppendContext::at(5))
            .expect("the store takes writes");
        store.durable(appended.commit).await.expect("kept");
    }
    assert_eq!(partition.high_watermark(), END);
    (store, partition)
}

/// What a fetch from `offset` is to be answered with: offsets, or how it waits.
fn model(gate: &Gate, offset: i64) -> Result<Vec<i64>, Option<bool>> {
    let until = match gate.serve {
        Serve::Nothing => return Err(None),
        Serve::Until(until) => until,
        Serve::All => i64::MAX,
    };
    if offset >= until {
        return Err(Some(false));
    }
    let skip = gate.skip.unwrap_or(Offsets { from: 0, until: 0 });
    let skipped = |o: &i64| (skip.from..skip.until).contains(o);
    let served: Vec<i64> = (offset..END)
        .filter(|o| *o < until && !skipped(o))
        .collect();
    let before: Vec<i64> = served.iter().copied().filter(|o| *o < skip.from).collect();
    if offset < skip.from && !before.is_empty() {
        return Ok(before);
    }
    if !served.is_empty() {
        return Ok(served);
    }
    let next = (offset..END).find(|o| *o >= until && !skipped(o));
    match next {
        Some(next) => Ok(vec![next]),
        None => Err((until != i64::MAX).then_some(true)),
    }
}

#[tokio::test]
async fn every_gate_lets_through_what_the_model_says() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (_store, partition) = log(dir.path()).await;
    let ranges = (0..=END)
        .step_by(3)
        .flat_map(|from| [1, 2, 9].map(|len| (from, from + len)));
    let skips = ranges.map(|(from, until)| Some(Offsets { from, until }));
    let skips: Vec<_> = skips.chain([None]).collect();
    let serves = (0..=END + 2).map(Serve::Until);
    for serve in serves.chain([Serve::All, Serve::Nothing]) {
        for skip in &skips {
            let gate = Gate { skip: *skip, serve };
            for offset in 0..=END {
                check(&partition, &gate, offset);
            }
        }
    }
}

fn check(partition: &Partition, gate: &Gate, offset: i64) {
    let read = read(partition, gate, offset, END, ROOM).expect("the log can be read");
    let mut found = Vec::new();
    for batch in batches(&read.chunks).expect("whole batches") {
        let records = iterate(batch, INFLATED_MAX).expect("a sound batch");
        found.extend(records.map(|r| r.expect("a sound record").offset));
    }
    let answer = match found.last() {
        Some(last) => {
            assert!(last < &read.next, "{gate:?} from {offset}");
            Ok(found)
        }
        None => Err(read.waits),
    };
    assert_eq!(answer, model(gate, offset), "{gate:?} from {offset}");
}

#[tokio::test]
async fn a_gate_keeps_to_the_limit_of_the_fetch() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (_store, partition) = log(dir.path()).await;
    let gate = Gate {
        skip: None,
        serve: Serve::Until(20),
    };
    let tight = Room {
        limit: 10,
        first_whole: false,
    };
    let none = read(&partition, &gate, 0, END, tight).expect("the log can be read");
    assert!(none.chunks.is_empty());
    assert_eq!(none.waits, None, "it does not wait at its gate");
}
