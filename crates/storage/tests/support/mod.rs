//! A store on a real file system, and batches for it.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::{BatchHeader, check_all};
use ottla_codec::records::{BatchBuilder, Record, iterate};
use ottla_codec::response::Chunk;
use ottla_storage::fs::OsFs;
use ottla_storage::{
    AppendContext, CompactionOptions, Durability, LogConfig, NewTopic, Partition, Store,
    StoreOptions, Topic, TopicId,
};

mod no_state;

pub use no_state::NoState;

pub fn options() -> StoreOptions {
    StoreOptions {
        durability: Durability::Disk,
        cache_bytes: 1 << 20,
        max_open_files: 16,
        checkpoint_bytes: 64 << 20,
        checkpoint_interval: Duration::from_secs(3600),
        log_config: Arc::new(|configs| LogConfig {
            segment_bytes: configs
                .get("segment.bytes")
                .map_or(1 << 30, |v| v.parse().unwrap()),
            retention_bytes: configs.get("retention.bytes").map(|v| v.parse().unwrap()),
            ..LogConfig::default()
        }),
        partition_state: Arc::new(NoState),
        compaction: CompactionOptions::new(|| 0),
        cluster_id: None,
        cut_damaged_journal: false,
    }
}

pub fn open(dir: &Path) -> Store {
    Store::open(Arc::new(OsFs), dir, options()).unwrap()
}

pub fn create(store: &Store, name: &str, configs: &[(&str, &str)]) -> Arc<Topic> {
    let new = NewTopic {
        id: TopicId::from_u128(name.bytes().fold(1, |h, b| h * 131 + u128::from(b))),
        name: name.to_owned(),
        partitions: 2,
        configs: configs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect::<BTreeMap<_, _>>(),
        created_ms: 1,
    };
    store.create_topic(new).unwrap().unwrap().0
}

pub fn batch(values: &[&[u8]], timestamp: i64) -> (BytesMut, Vec<BatchHeader>) {
    let records: Vec<Record> = values
        .iter()
        .enumerate()
        .map(|(i, v)| Record {
            offset: i as i64,
            timestamp: timestamp + i as i64,
            key: None,
            value: Some(Bytes::copy_from_slice(v)),
            headers: Vec::new(),
        })
        .collect();
    let bytes = BatchBuilder::default().build(&records);
    let headers = check_all(&bytes).unwrap();
    (BytesMut::from(&bytes[..]), headers)
}

pub const NOW: AppendContext = AppendContext::at(1000);

pub async fn append(store: &Store, partition: &Partition, values: &[&[u8]], timestamp: i64) -> i64 {
    let (bytes, headers) = batch(values, timestamp);
    let appended = partition.append(bytes, &headers, NOW).unwrap();
    store.durable(appended.commit).await.unwrap();
    appended.base_offset
}

pub fn read_bytes(partition: &Partition, offset: i64, max: usize) -> Vec<u8> {
    let slice = partition
        .read(offset, partition.high_watermark(), max, true)
        .unwrap();
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
                file.read_at(position, &mut out[at..]).unwrap();
            }
        }
    }
    assert_eq!(out.len(), slice.bytes);
    out
}

pub fn read_all(partition: &Partition, max: usize) -> Vec<(i64, Vec<u8>)> {
    let mut out: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut next = partition.log_start_offset();
    while next < partition.high_watermark() {
        let bytes = read_bytes(partition, next, max);
        let headers = check_all(&bytes).unwrap();
        assert!(!headers.is_empty(), "nothing at {next}");
        let mut at = 0;
        for h in headers {
            let whole = Bytes::copy_from_slice(&bytes[at..at + h.size]);
            at += h.size;
            for record in iterate(whole, 1 << 30).unwrap() {
                let record = record.unwrap();
                if record.offset >= next {
                    out.push((record.offset, record.value.unwrap().to_vec()));
                }
            }
            next = h.next_offset();
        }
    }
    out
}

/// All files below a directory, as they are now.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
