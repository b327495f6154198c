//! What a large append holds up while its bytes are on their way to the disk, and what it does not.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::{AppendError, MetaOp, NewTopic, Op, Store, StoreError, Topic, TopicId, Tree};

#[path = "support/observed.rs"]
mod observed;
mod support;
use observed::ObservedFs;
use support::*;

/// Far longer than a commit takes, for who waits for one that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store and a topic whose first partition has a large append.
async fn opened(dir: &Path) -> (ObservedFs, Store, Arc<Topic>) {
    let fs = ObservedFs::default();
    let store = Store::open(Arc::new(fs.clone()), dir, options()).unwrap();
    let topic = create(&store, "orders", &[]);
    let partition = store.partition(&topic.id, 0).unwrap();
    append(&store, &partition, &[&[7; 100_000]], 1000).await;
    (fs, store, topic)
}

fn put(key: &'static str) -> MetaOp {
    MetaOp::Put {
        tree: Tree::Groups,
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(b"v"),
    }
}

#[tokio::test]
async fn small_commits_to_other_partitions_do_not_wait_for_the_disk_to_take_a_large_append() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let busy = store.partition(&topic.id, 0).unwrap();
    let calm = store.partition(&topic.id, 1).unwrap();
    let large = vec![8u8; 100_000];

    let held = fs.hold_segments();
    let begin = |partition: &ottla_storage::Partition, value: &[u8]| {
        let (bytes, headers) = batch(&[value], 1000);
        partition.append(bytes, &headers, NOW).unwrap().commit
    };
    let slow = begin(&busy, &large);
    for round in 0..3 {
        let small = begin(&calm, b"small");
        let kept = tokio::time::timeout(PATIENCE, store.durable(small)).await;
        kept.expect("it waits for nobody").unwrap();
        let change = store.commit(vec![put("k")]).unwrap();
        let kept = tokio::time::timeout(PATIENCE, store.durable(change)).await;
        kept.expect("it waits for nobody").unwrap();
        assert_eq!(calm.high_watermark(), round + 1);
    }
    // What comes after it in its partition, and what changes the catalogue, waits for it; and so does a change behind such.
    let behind = begin(&busy, b"behind");
    let other = NewTopic {
        id: TopicId::from_u128(77),
        name: "other".to_owned(),
        partitions: 1,
        configs: Default::default(),
        created_ms: 1,
    };
    let created = store.create_topic(other).unwrap().unwrap().1;
    let change = store.commit(vec![put("later")]).unwrap();
    let (bytes, headers) = batch(&[b"both"], 1000);
    let (_, both) = store
        .commit_all(vec![
            Op::Append {
                partition: calm.clone(),
                batches: bytes,
                headers,
                ctx: NOW,
            },
            Op::Meta(put("both")),
        ])
        .unwrap();
    let waiting: Vec<_> = [slow, behind, created, change, both]
        .map(|commit| tokio::spawn(store.durable(commit)))
        .into();
    // The way to the journal is not taken by any of them, or this would not be kept either.
    assert_eq!(busy.high_watermark(), 1);
    assert_eq!(calm.high_watermark(), 3);
    assert!(waiting.iter().all(|w| !w.is_finished()));

    drop(held);
    for one in waiting {
        let kept = tokio::time::timeout(PATIENCE, one).await;
        kept.expect("nothing holds it").unwrap().unwrap();
    }
    assert_eq!(busy.high_watermark(), 3);
    drop((busy, calm));
    store.close().unwrap();

    let store = open(dir.path());
    let values = |index| {
        let partition = store.partition(&topic.id, index).unwrap();
        let found = read_all(&partition, 1 << 20).into_iter();
        found.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(values(0), [vec![7; 100_000], large, b"behind".to_vec()]);
    assert_eq!(values(1), [&b"small"[..], b"small", b"small", b"both"]);
    for key in ["k", "later", "both"] {
        let found = store.get(Tree::Groups, key.as_bytes()).unwrap();
        assert_eq!(found.as_deref(), Some(&b"v"[..]), "{key}");
    }
}

/// Waits until something holds that nothing announces.
async fn until(reached: &dyn Fn() -> bool, what: &str) {
    let steps = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, steps).await.expect(what);
}

#[tokio::test]
async fn a_large_append_is_written_and_on_its_way_to_the_disk_while_the_disk_takes_another() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let held = fs.hold_segments();
    let syncs = fs.syncs();
    let begin = |index| {
        let (bytes, headers) = batch(&[&[8; 100_000]], 1000);
        let partition = store.partition(&topic.id, index).unwrap();
        partition.append(bytes, &headers, NOW).unwrap().commit
    };
    let first = begin(0);
    until(&|| fs.syncs() > syncs, "its sync begins").await;
    let (used, started) = (fs.used(), fs.started());
    let second = begin(1);
    let is_written = || fs.used() > used + 100_000;
    until(&is_written, "it does not wait for the first").await;
    let is_started = || fs.started() - started == fs.used() - used;
    until(&is_started, "all of it is, before its own sync").await;
    assert_eq!(store.partition(&topic.id, 1).unwrap().high_watermark(), 0);

    drop(held);
    for commit in [first, second] {
        let kept = tokio::time::timeout(PATIENCE, store.durable(commit)).await;
        kept.expect("nothing holds it").unwrap();
    }
}

#[tokio::test]
async fn large_appends_to_other_partitions_do_not_wait_for_the_disk_to_take_one() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let large = [8; 100_000];
    let begin = |index: i32, values: &[&[u8]]| {
        let (bytes, headers) = batch(values, 1000);
        let partition = store.partition(&topic.id, index).unwrap();
        partition.append(bytes, &headers, NOW).unwrap().commit
    };
    let patiently = |commit| tokio::time::timeout(PATIENCE, store.durable(commit));
    // The topic was a small commit, and beside those one segment is synced at a time, for a while.
    for _ in 0..8 {
        let other = begin(1, &[&large]);
        patiently(other).await.expect("nothing is held").unwrap();
    }
    let held = fs.hold_segments_of("orders-0");
    let slow = begin(0, &[&large]);
    for round in 8..11 {
        let other = begin(1, &[&large]);
        let kept = patiently(other).await;
        kept.expect("its segment is not held").unwrap();
        let partition = store.partition(&topic.id, 1).unwrap();
        assert_eq!(partition.high_watermark(), round + 1);
    }
    // What came meanwhile to the segment that is held.
    let behind = [begin(0, &[&large]), begin(0, &[b"small"])];
    assert_eq!(store.partition(&topic.id, 0).unwrap().high_watermark(), 1);

    drop(held);
    for commit in [slow].into_iter().chain(behind) {
        patiently(commit).await.expect("nothing holds it").unwrap();
    }
    assert_eq!(store.partition(&topic.id, 0).unwrap().high_watermark(), 4);
}

#[tokio::test]
async fn beside_small_commits_the_disk_takes_one_large_append_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let change = || store.durable(store.commit(vec![put("k")]).unwrap());
    change().await.unwrap();
    let held = fs.hold_segments();
    let used = fs.used();
    let begin = |index| {
        let (bytes, headers) = batch(&[&[8; 100_000]], 1000);
        let partition = store.partition(&topic.id, index).unwrap();
        partition.append(bytes, &headers, NOW).unwrap().commit
    };
    let commits = [begin(0), begin(1)];
    until(&|| fs.used() > used + 200_000, "both are written").await;
    until(&|| fs.waiting() > 0, "one goes to the disk").await;
    for _ in 0..20 {
        change().await.unwrap();
        assert_eq!(fs.waiting(), 1);
    }
    drop(held);
    for commit in commits {
        let kept = tokio::time::timeout(PATIENCE, store.durable(commit)).await;
        kept.expect("nothing holds it").unwrap();
    }
}

#[tokio::test]
async fn the_journal_is_synced_while_the_device_takes_a_large_append() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let partition = store.partition(&topic.id, 0).unwrap();
    let held = fs.hold_segments();
    let syncs = store.stats().journal_syncs;
    let (bytes, headers) = batch(&[&[8; 100_000]], 1000);
    let commit = partition.append(bytes, &headers, NOW).unwrap().commit;
    let is_synced = || fs.waiting() == 1 && store.stats().journal_syncs > syncs;
    until(&is_synced, "neither waits for the other").await;
    let kept = tokio::spawn(store.durable(commit));
    // A commit after it is kept, which comes to its end in the journal after the first has done so.
    let change = store.commit(vec![put("k")]).unwrap();
    let second = tokio::time::timeout(PATIENCE, store.durable(change)).await;
    second.expect("it waits for nobody").unwrap();
    assert!(!kept.is_finished());
    assert_eq!(partition.high_watermark(), 1);

    drop(held);
    let kept = tokio::time::timeout(PATIENCE, kept).await;
    kept.expect("nothing holds it").unwrap().unwrap();
    assert_eq!(partition.high_watermark(), 2);
    assert_eq!(store.stats().journal_syncs, syncs + 2);
}

#[tokio::test]
async fn a_store_that_is_closed_keeps_a_large_append_that_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let partition = store.partition(&topic.id, 0).unwrap();
    let held = fs.hold_segments();
    let (bytes, headers) = batch(&[&[8; 100_000]], 1000);
    let commit = partition.append(bytes, &headers, NOW).unwrap().commit;
    let kept = tokio::spawn(store.durable(commit));
    let closing = tokio::task::spawn_blocking(move || store.close());
    drop(held);
    closing.await.unwrap().unwrap();
    kept.await.unwrap().unwrap();
    drop(partition);
    let store = open(dir.path());
    let partition = store.partition(&topic.id, 0).unwrap();
    assert_eq!(partition.log_end_offset(), 2);
}

#[tokio::test]
async fn a_sync_that_fails_while_a_full_disk_gives_commits_up_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, store, topic) = opened(dir.path()).await;
    let partition = store.partition(&topic.id, 0).unwrap();
    let begin = |value: &[u8]| {
        let (bytes, headers) = batch(&[value], 1000);
        partition.append(bytes, &headers, NOW).map(|a| a.commit)
    };
    let reserve = dir.path().join("reserve");
    let is_there = || reserve.metadata().is_ok_and(|m| m.len() == 2 << 20);
    until(&is_there, "a new store makes a reserve").await;
    let held = fs.hold_segments();
    let large = begin(&[8; 100_000]).unwrap();
    until(&|| fs.waiting() == 1, "its sync begins").await;

    // The journal has no room for these. Nobody is told so before the sync has ended.
    fs.limit(fs.used());
    let change = || {
        store.commit(vec![MetaOp::Put {
            tree: Tree::Groups,
            key: Bytes::from_static(b"k"),
            value: Bytes::from_static(&[9; 20_000]),
        }])
    };
    let mut last = change().unwrap();
    while let Ok(commit) = change() {
        last = commit;
        tokio::task::yield_now().await;
    }
    assert!(matches!(store.write_trouble(), Some(StoreError::DiskFull)));
    fs.fail_segments();
    drop(held);

    for commit in [large, last] {
        let kept = tokio::time::timeout(PATIENCE, store.durable(commit)).await;
        let told = kept.expect("nothing holds it");
        assert!(
            matches!(told, Err(StoreError::Failed(_))),
            "{commit:?} of {large:?} to {last:?}: {told:?}"
        );
    }
    // Room makes no difference any more.
    fs.limit(u64::MAX);
    let refused = begin(b"later");
    let is_final = matches!(refused, Err(AppendError::Store(StoreError::Failed(_))));
    assert!(is_final, "{refused:?}");
    let closed = store.close();
    assert!(matches!(closed, Err(StoreError::Failed(_))), "{closed:?}");
}
