//! A store on a real file system: what it is told is there, also after it was closed, dropped or reopened.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ottla_storage::fs::OsFs;
use ottla_storage::{
    AppendError, DataWatcher, MetaOp, NewTopic, Op, OpenError, ReadError, Store, TopicId, Tree,
};

mod support;
use support::*;

#[tokio::test]
async fn records_small_and_large_are_there_after_a_close_and_after_a_drop() {
    let dir = tempfile::tempdir().unwrap();
    let large = vec![7u8; 100_000];
    let mut expected = Vec::new();
    for round in 0..4 {
        let store = open(dir.path());
        if round == 0 {
            create(&store, "orders", &[("segment.bytes", "300000")]);
        }
        let topic = store.topics().by_name("orders").unwrap().clone();
        let partition = store.partition(&topic.id, 0).unwrap();
        assert_eq!(read_all(&partition, 4096), expected, "round {round}");
        for i in 0..20u8 {
            let small = [i; 30];
            let values: Vec<&[u8]> = if i % 5 == 4 {
                vec![&large]
            } else {
                vec![&small, b"x"]
            };
            let base = append(&store, &partition, &values, 1000).await;
            for (n, v) in values.iter().enumerate() {
                expected.push((base + n as i64, v.to_vec()));
            }
        }
        assert_eq!(read_all(&partition, 50_000), expected);
        if round % 2 == 0 {
            store.close().unwrap();
        }
    }
    let store = open(dir.path());
    let topic = store.topics().by_name("orders").unwrap().clone();
    let partition = store.partition(&topic.id, 0).unwrap();
    assert_eq!(read_all(&partition, 1), expected);
    assert_eq!(read_all(&partition, 1 << 30), expected);
    assert!(store.partition(&topic.id, 1).is_some());
    assert!(store.partition(&topic.id, 2).is_none());
}

#[tokio::test]
async fn memory_stays_within_its_bound_and_evicted_records_are_read_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let partition = store.partition(&topic.id, 0).unwrap();
    let value = vec![1u8; 2000];
    let mut last = None;
    for i in 0..2000 {
        let (bytes, headers) = batch(&[&value], i);
        last = Some(partition.append(bytes, &headers, NOW).unwrap().commit);
    }
    store.durable(last.unwrap()).await.unwrap();
    let all = read_all(&partition, 64 << 10);
    assert_eq!(all.len(), 2000);
    let found = partition.offset_for_timestamp(700).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (700, 700));
    assert_eq!(partition.max_timestamp().unwrap().unwrap().offset, 1999);
    assert!(partition.offset_for_timestamp(2000).unwrap().is_none());
    store.close().unwrap();
    let store = open(dir.path());
    let partition = store.partition(&topic.id, 0).unwrap();
    for t in [0, 1, 999, 1999] {
        assert_eq!(
            partition.offset_for_timestamp(t).unwrap().unwrap().offset,
            t
        );
    }
    assert_eq!(read_all(&partition, 64 << 10).len(), 2000);
}

#[tokio::test]
async fn values_of_small_trees_survive_and_scan_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3u8 {
        let store = open(dir.path());
        if round > 0 {
            let all = store.scan(Tree::Groups, b"g").unwrap();
            assert_eq!(all.len(), 2);
            assert_eq!(all[0], (Bytes::from("g1"), Bytes::from(vec![round - 1])));
            assert_eq!(store.get(Tree::Groups, b"h").unwrap(), None);
        }
        let put = |key: &'static str| MetaOp::Put {
            tree: Tree::Groups,
            key: Bytes::from(key),
            value: Bytes::from(vec![round]),
        };
        store.commit(vec![put("g2"), put("g1"), put("h")]).unwrap();
        let commit = store
            .commit(vec![MetaOp::Delete {
                tree: Tree::Groups,
                key: Bytes::from("h"),
            }])
            .unwrap();
        store.durable(commit).await.unwrap();
        if round == 1 {
            store.close().unwrap();
            assert!(store.commit(vec![put("g1")]).is_err());
        }
    }
}

#[tokio::test]
async fn appends_and_changes_commit_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let op = |i: i32| {
        let (batches, headers) = batch(&[b"a"], 1);
        Op::Append {
            partition: store.partition(&topic.id, i).unwrap(),
            batches,
            headers,
            ctx: NOW,
        }
    };
    let meta = Op::Meta(MetaOp::Put {
        tree: Tree::Offsets,
        key: Bytes::from("k"),
        value: Bytes::from("v"),
    });
    let (appended, commit) = store.commit_all(vec![op(1), meta, op(0), op(1)]).unwrap();
    store.durable(commit).await.unwrap();
    let offsets: Vec<i64> = appended.iter().map(|a| a.base_offset).collect();
    assert_eq!(offsets, [0, 0, 1]);
    assert_eq!(store.partition(&topic.id, 1).unwrap().high_watermark(), 2);
}

#[tokio::test]
async fn a_topic_made_again_does_not_meet_old_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let old = store.partition(&topic.id, 0).unwrap();
    append(&store, &old, &[&vec![1; 90_000]], 1).await;
    let commit = store.delete_topic(&topic.id).unwrap().unwrap();
    assert!(store.delete_topic(&topic.id).unwrap().is_none());
    let new = NewTopic {
        id: TopicId::from_u128(99),
        name: "t".to_owned(),
        partitions: 1,
        configs: BTreeMap::new(),
        created_ms: 2,
    };
    store.create_topic(new).unwrap().unwrap();
    let partition = store.partition(&TopicId::from_u128(99), 0).unwrap();
    append(&store, &partition, &[b"new"], 1).await;
    store.durable(commit).await.unwrap();
    let (bytes, headers) = batch(&[b"late"], 1);
    assert!(matches!(
        old.append(bytes, &headers, NOW),
        Err(AppendError::Deleted)
    ));
    assert!(matches!(old.read(0, 1, 1, true), Err(ReadError::Deleted)));
    drop((partition, old, store));
    let store = open(dir.path());
    let partition = store.partition(&TopicId::from_u128(99), 0).unwrap();
    assert_eq!(read_all(&partition, 100), [(0, b"new".to_vec())]);
}

#[tokio::test]
async fn retention_and_delete_records_move_the_start_and_free_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(
        &store,
        "t",
        &[("segment.bytes", "100000"), ("retention.bytes", "200000")],
    );
    let partition = store.partition(&topic.id, 0).unwrap();
    for _ in 0..8 {
        append(&store, &partition, &[&vec![1; 80_000]], 1000).await;
    }
    assert_eq!(store.run_retention(2000).unwrap(), 5);
    assert_eq!(partition.log_start_offset(), 5);
    assert!(matches!(
        partition.read(4, 8, 1, true),
        Err(ReadError::OutOfRange { start: 5, .. })
    ));
    let (start, commit) = partition.delete_records(7).unwrap().unwrap();
    store.durable(commit).await.unwrap();
    assert_eq!(start, 7);
    assert!(partition.delete_records(9).is_err());
    drop((partition, store));
    let store = open(dir.path());
    let partition = store.partition(&topic.id, 0).unwrap();
    assert_eq!(partition.log_start_offset(), 7);
    assert_eq!(read_all(&partition, 10).len(), 1);
    assert!(partition.size_bytes() < 100_000);
}

#[tokio::test]
async fn a_watcher_is_told_once() {
    struct Counter(AtomicUsize);
    impl DataWatcher for Counter {
        fn data_available(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let partition = store.partition(&topic.id, 0).unwrap();
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let watcher: Arc<dyn DataWatcher> = counter.clone();
    partition.watch(&watcher);
    append(&store, &partition, &[b"a"], 1).await;
    append(&store, &partition, &[b"b"], 1).await;
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
}

#[test]
fn directories_that_cannot_be_used_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let again = Store::open(Arc::new(OsFs), dir.path(), options());
    let pid = std::process::id();
    assert!(matches!(again, Err(OpenError::Locked { pid: Some(p), .. }) if p == pid));
    let id = store.cluster_id().to_owned();
    assert_eq!(id.len(), 22);
    store.close().unwrap();
    assert_eq!(open(dir.path()).cluster_id(), id);
    let properties = dir.path().join("meta.properties");
    std::fs::write(&properties, "ottla.format=2\ncluster.id=x\n").unwrap();
    assert!(matches!(
        Store::open(Arc::new(OsFs), dir.path(), options()),
        Err(OpenError::NewerFormat { found: 2, .. })
    ));
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("thesis.txt"), "x").unwrap();
    assert!(matches!(
        Store::open(Arc::new(OsFs), foreign.path(), options()),
        Err(OpenError::NotOurs { .. })
    ));
}

#[tokio::test]
async fn a_check_counts_what_is_sound_and_names_a_flipped_bit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "t", &[]);
    let partition = store.partition(&topic.id, 0).unwrap();
    for _ in 0..10 {
        append(&store, &partition, &[&[1; 5000]], 1).await;
    }
    let report = store.check().unwrap();
    assert_eq!((report.batches, report.problems.len()), (10, 0));
    let path = dir.path().join("topics/t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[12_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = store.check().unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].reason.contains("CRC"), "{report:?}");
}
