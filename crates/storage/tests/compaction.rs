//! Compaction of a store's partitions, by their settings.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::check_all;
use ottla_codec::records::{BatchBuilder, Record, iterate};
use ottla_storage::fs::OsFs;
use ottla_storage::{
    AppendContext, CleanupPolicy, CompactionConfig, CompactionOptions, LogConfig, Partition, Store,
    StoreOptions,
};
use support::{create, read_bytes};

const HOUR: i64 = 3_600_000;

fn options() -> StoreOptions {
    StoreOptions {
        log_config: Arc::new(|configs| {
            let number = |name: &str, default: u64| {
                configs
                    .get(name)
                    .map_or(default, |v| v.parse().expect("a number"))
            };
            let policy = configs.get("cleanup.policy").map_or("compact", |p| p);
            LogConfig {
                segment_bytes: number("segment.bytes", 1000),
                cleanup_policy: CleanupPolicy {
                    compact: policy.contains("compact"),
                    delete: policy.contains("delete"),
                },
                min_cleanable_dirty_ratio: configs
                    .get("min.cleanable.dirty.ratio")
                    .map_or(0.0, |v| v.parse().expect("a ratio")),
                min_compaction_lag_ms: number("min.compaction.lag.ms", 0),
                max_compaction_lag_ms: number("max.compaction.lag.ms", u64::MAX),
                delete_retention_ms: number("delete.retention.ms", HOUR as u64),
                index_interval_bytes: 200,
                retention_ms: None,
                ..LogConfig::default()
            }
        }),
        compaction: CompactionOptions {
            // Of most tests the store's own thread keeps out: they say when.
            config: Arc::new(|| CompactionConfig {
                enabled: std::thread::current().name() != Some("ottla-compact"),
                ..CompactionConfig::default()
            }),
            now_ms: || 0,
        },
        ..support::options()
    }
}

fn with_compaction(config: CompactionConfig) -> StoreOptions {
    StoreOptions {
        compaction: CompactionOptions {
            config: Arc::new(move || config),
            now_ms: || 0,
        },
        ..options()
    }
}

fn open(dir: &Path) -> Store {
    Store::open(Arc::new(OsFs), dir, options()).unwrap()
}

/// Of each key the value, or a tombstone; each a batch of its own.
async fn put(store: &Store, partition: &Partition, pairs: &[(&str, Option<&str>)], now_ms: i64) {
    for (key, value) in pairs {
        let record = Record {
            offset: 0,
            timestamp: now_ms,
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: value.map(|v| Bytes::copy_from_slice(v.as_bytes())),
            headers: Vec::new(),
        };
        let bytes = BatchBuilder::default().build(&[record]);
        let headers = check_all(&bytes).unwrap();
        let ctx = AppendContext::at(now_ms);
        let appended = partition
            .append(BytesMut::from(&bytes[..]), &headers, ctx)
            .unwrap();
        store.durable(appended.commit).await.unwrap();
    }
}

type Seen = Vec<(i64, String, Option<String>)>;

/// Every record from `offset` on, as a consumer gets there.
fn read_from(partition: &Partition, offset: i64) -> Seen {
    let mut seen = Vec::new();
    let mut next = offset;
    while next < partition.high_watermark() {
        let bytes = read_bytes(partition, next, 700);
        let headers = check_all(&bytes).unwrap();
        assert!(!headers.is_empty(), "nothing at {next}");
        let mut at = 0;
        for header in headers {
            let batch = Bytes::copy_from_slice(&bytes[at..at + header.size]);
            at += header.size;
            for record in iterate(batch, 1 << 20).unwrap() {
                let record = record.unwrap();
                let text = |b: &Bytes| String::from_utf8(b.to_vec()).unwrap();
                if record.offset >= next {
                    let key = record.key.as_ref().map(text).unwrap_or_default();
                    seen.push((record.offset, key, record.value.as_ref().map(text)));
                }
            }
            next = header.next_offset();
        }
    }
    seen
}

fn last_values(seen: &Seen) -> BTreeMap<String, String> {
    let mut last = BTreeMap::new();
    for (_, key, value) in seen {
        match value {
            Some(value) => last.insert(key.clone(), value.clone()),
            None => last.remove(key),
        };
    }
    last
}

/// `count` records over `keys` keys, from `first` on.
async fn churn(store: &Store, partition: &Partition, keys: usize, first: usize, count: usize) {
    for n in first..first + count {
        let (key, value) = (format!("k{}", n % keys), format!("v{n}"));
        put(store, partition, &[(&key, Some(&value))], 1000 + n as i64).await;
    }
}

#[tokio::test]
async fn of_each_key_the_last_value_stays_and_offsets_stay_what_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 10, 0, 200).await;
    let (before, size) = (read_from(&p, 0), p.size_bytes());
    store.compact_now(HOUR);
    let after = read_from(&p, 0);
    assert!(after.len() < 40, "{}", after.len());
    assert!(p.size_bytes() < size / 3);
    assert!(after.iter().all(|r| before.contains(r)), "{after:?}");
    assert!(after.is_sorted());
    assert_eq!(last_values(&after), last_values(&before));
    assert_eq!((p.log_start_offset(), p.high_watermark()), (0, 200));
    // Consumers that were in the middle go on with what is left from there.
    for offset in 0..200 {
        let rest: Seen = after.iter().filter(|r| r.0 >= offset).cloned().collect();
        assert_eq!(read_from(&p, offset), rest, "from {offset}");
    }
    // And it is all the same after a restart, and after another pass over more.
    drop(p);
    store.close().unwrap();
    drop(store);
    let store = open(dir.path());
    let p = store.partition(&topic.id, 0).unwrap();
    assert_eq!(read_from(&p, 0), after);
    churn(&store, &p, 12, 200, 100).await;
    let values = last_values(&read_from(&p, 0));
    store.compact_now(HOUR);
    let again = read_from(&p, 0);
    assert_eq!(last_values(&again), values);
    assert!(again.len() < 50, "{again:?}");
    assert_eq!(store.compact_now(HOUR), 0, "nothing is dirty");
    let stats = store.compaction_stats();
    assert!(stats.passes >= 1 && stats.records_removed > 50, "{stats:?}");
    assert_eq!(stats.max_dirty_ratio, 0.0);
    assert_eq!(stats.uncleanable_partitions, 0);
}

#[tokio::test]
async fn a_tombstone_stays_for_its_time_and_goes_with_the_next_pass() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[("delete.retention.ms", "1000")]);
    let p = store.partition(&topic.id, 0).unwrap();
    put(
        &store,
        &p,
        &[("a", Some("1")), ("b", Some("2")), ("a", None)],
        5,
    )
    .await;
    churn(&store, &p, 3, 0, 30).await;
    store.compact_now(10_000);
    let tombstones = |p: &Partition| {
        let seen = read_from(p, 0);
        seen.iter().filter(|r| r.2.is_none()).count()
    };
    assert_eq!(tombstones(&p), 1);
    churn(&store, &p, 3, 30, 30).await;
    assert!(store.compact_now(10_999) > 0);
    assert_eq!(tombstones(&p), 1, "its time has not come");
    churn(&store, &p, 3, 60, 30).await;
    assert!(store.compact_now(11_000) > 0);
    assert_eq!(tombstones(&p), 0);
    assert_eq!(last_values(&read_from(&p, 0))["b"], "2");
}

#[tokio::test]
async fn nothing_happens_below_the_ratio_or_within_the_lag() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let half = create(&store, "half", &[("min.cleanable.dirty.ratio", "0.5")]);
    let p = store.partition(&half.id, 0).unwrap();
    churn(&store, &p, 100, 0, 100).await;
    assert_eq!(store.compact_now(HOUR), 1, "all is dirty");
    churn(&store, &p, 100, 100, 60).await;
    assert_eq!(store.compact_now(HOUR), 0);
    let ratio = store.compaction_stats().max_dirty_ratio;
    assert!(ratio > 0.2 && ratio <= 0.5, "{ratio}");
    churn(&store, &p, 100, 160, 60).await;
    assert_eq!(store.compact_now(HOUR), 1);

    let lag = create(&store, "lag", &[("min.compaction.lag.ms", "5000")]);
    let p = store.partition(&lag.id, 0).unwrap();
    // Its records are of 1000 to 1100 ms.
    churn(&store, &p, 2, 0, 100).await;
    assert_eq!(store.compact_now(5_000), 0);
    assert_eq!(store.compact_now(6_100), 1);
}

#[tokio::test]
async fn an_idle_partition_is_compacted_when_its_records_get_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let settings = [
        ("min.cleanable.dirty.ratio", "1"),
        ("max.compaction.lag.ms", "60000"),
        ("segment.bytes", "1000000"),
    ];
    let topic = create(&store, "t", &settings);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 2, 0, 50).await;
    assert_eq!(store.compact_now(61_000), 0);
    // It is in one segment, the active one.
    assert_eq!(store.compact_now(61_001), 1);
    assert_eq!(read_from(&p, 0).len(), 2);
    assert_eq!(p.high_watermark(), 50);
    put(&store, &p, &[("new", Some("n"))], 70_000).await;
    assert_eq!(read_from(&p, 30).len(), 3);
}

#[tokio::test]
async fn a_topic_that_is_not_compacted_is_left_alone_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[("cleanup.policy", "delete")]);
    let p = store.partition(&topic.id, 0).unwrap();
    support::append(&store, &p, &[b"without a key"], 1).await;
    churn(&store, &p, 5, 0, 100).await;
    assert_eq!(store.compact_now(HOUR), 0);
    assert_eq!(read_from(&p, 0).len(), 101);
    let both = BTreeMap::from([("cleanup.policy".to_owned(), "compact,delete".to_owned())]);
    store.set_topic_configs(&topic.id, both).unwrap();
    assert_eq!(store.compact_now(HOUR), 1);
    assert!(read_from(&p, 0).len() < 30);
    assert!(read_from(&p, 0).iter().all(|r| !r.1.is_empty()));
    let delete = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
    store.set_topic_configs(&topic.id, delete).unwrap();
    churn(&store, &p, 5, 0, 100).await;
    assert_eq!(store.compact_now(HOUR), 0);
}

#[tokio::test]
async fn a_log_of_records_without_a_key_can_be_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[("max.compaction.lag.ms", "1")]);
    let p = store.partition(&topic.id, 0).unwrap();
    for n in 0..30 {
        support::append(&store, &p, &[format!("{n}").as_bytes()], 1).await;
    }
    // The active segment is closed, too.
    assert!(store.compact_now(HOUR) > 0);
    let left = read_from(&p, 0);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].0, 29);
}

#[tokio::test]
async fn deleted_records_do_not_come_back_and_do_not_disturb() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[("cleanup.policy", "compact,delete")]);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 7, 0, 100).await;
    store.compact_now(HOUR);
    churn(&store, &p, 7, 100, 40).await;
    let (start, commit) = p.delete_records(110).unwrap().unwrap();
    store.durable(commit).await.unwrap();
    assert_eq!(start, 110);
    store.compact_now(HOUR);
    assert_eq!(p.log_start_offset(), 110);
    let seen = read_from(&p, 110);
    assert_eq!(last_values(&seen).len(), 7);
    assert!(seen[0].0 >= 110);
    store.delete_topic(&topic.id).unwrap().unwrap();
    assert_eq!(store.compact_now(HOUR), 0);
    assert_eq!(store.compaction_stats().max_dirty_ratio, 0.0);
}

#[tokio::test]
async fn a_damaged_batch_ends_compaction_of_its_partition_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    let whole = store.partition(&topic.id, 1).unwrap();
    churn(&store, &whole, 5, 0, 60).await;
    churn(&store, &p, 5, 0, 60).await;
    store.checkpoint().unwrap();
    let size = p.size_bytes();
    flip_a_bit(&dir.path().join("topics/t-0"));
    store.compact_now(HOUR);
    assert_eq!(p.size_bytes(), size, "nothing was removed");
    assert!(read_from(&whole, 0).len() < 20);
    let stats = store.compaction_stats();
    assert_eq!(stats.uncleanable_partitions, 1, "{stats:?}");
    // It is left alone, not tried again and again.
    assert_eq!(stats.passes_ended_early, 1);
    churn(&store, &p, 5, 60, 60).await;
    store.compact_now(2 * HOUR);
    assert_eq!(store.compaction_stats().passes_ended_early, 1);
}

/// In the first batch of every segment.
fn flip_a_bit(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "log") {
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(byte) = bytes.get_mut(65) {
                *byte ^= 4;
                std::fs::write(&path, bytes).unwrap();
            }
        }
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn the_thread_compacts_when_a_segment_is_closed_and_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let by_itself = |dir: &Path| {
        let options = with_compaction(CompactionConfig::default());
        Store::open(Arc::new(OsFs), dir, options).unwrap()
    };
    let store = by_itself(dir.path());
    let topic = create(&store, "t", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 4, 0, 100).await;
    wait_for(|| read_from(&p, 0).len() < 30);
    drop(p);
    store.close().unwrap();
    drop(store);
    // What is due is found at the start.
    let store = open(dir.path());
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 4, 100, 100).await;
    drop(p);
    store.close().unwrap();
    drop(store);
    let store = by_itself(dir.path());
    let p = store.partition(&topic.id, 0).unwrap();
    wait_for(|| read_from(&p, 0).len() < 30);
    let values = last_values(&read_from(&p, 0));
    assert_eq!(values["k3"], "v199");
    assert_eq!(values.len(), 4);
}

#[tokio::test]
async fn without_log_cleaner_enable_nothing_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let off = with_compaction(CompactionConfig {
        enabled: false,
        ..CompactionConfig::default()
    });
    let store = Store::open(Arc::new(OsFs), dir.path(), off).unwrap();
    let topic = create(&store, "t", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 4, 0, 100).await;
    assert_eq!(store.compact_now(HOUR), 0);
    assert_eq!(read_from(&p, 0).len(), 100);
}

#[tokio::test]
async fn a_map_that_is_too_small_takes_several_passes() {
    let dir = tempfile::tempdir().unwrap();
    let small = with_compaction(CompactionConfig {
        map_bytes: 20 * 24,
        ..CompactionConfig::default()
    });
    let store = Store::open(Arc::new(OsFs), dir.path(), small).unwrap();
    let topic = create(&store, "t", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 100, 0, 400).await;
    let values = last_values(&read_from(&p, 0));
    store.compact_now(HOUR);
    let stats = store.compaction_stats();
    assert!(stats.passes >= 10, "{stats:?}");
    let after = read_from(&p, 0);
    assert_eq!(last_values(&after), values);
    assert!(after.len() < 140, "{}", after.len());
}

#[tokio::test]
async fn the_thread_ends_with_the_store_in_the_middle_of_a_slow_pass() {
    let dir = tempfile::tempdir().unwrap();
    let slow = with_compaction(CompactionConfig {
        bytes_per_second: 100.0,
        ..CompactionConfig::default()
    });
    let store = Store::open(Arc::new(OsFs), dir.path(), slow).unwrap();
    let topic = create(&store, "t", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    churn(&store, &p, 4, 0, 200).await;
    // It is under way, and would take minutes.
    wait_for(|| store.compaction_stats().bytes_read > 0);
    drop(p);
    store.close().unwrap();
    drop(store);
    let store = open(dir.path());
    let p = store.partition(&topic.id, 0).unwrap();
    store.compact_now(HOUR);
    assert_eq!(last_values(&read_from(&p, 0))["k3"], "v199");
}
