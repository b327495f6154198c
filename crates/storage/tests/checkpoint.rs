//! What a checkpoint costs where there are many partitions.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/observed.rs"]
mod observed;
mod support;

use std::path::Path;
use std::sync::Arc;

use observed::ObservedFs;
use ottla_storage::{Durability, NewTopic, Store, StoreOptions, TopicId};
use support::*;

const PARTITIONS: i32 = 300;
const ID: TopicId = TopicId::from_u128(1);

/// A checkpoint syncs the files of so many partitions together, in the order of its own.
const GROUPS: u64 = (PARTITIONS as u64).div_ceil(64);

fn open_observed(dir: &Path) -> (Store, ObservedFs) {
    let fs = ObservedFs::default();
    let options = StoreOptions {
        // The journal's own syncs are not what is counted.
        durability: Durability::Os,
        ..options()
    };
    let store = Store::open(Arc::new(fs.clone()), dir, options).unwrap();
    (store, fs)
}

async fn write_to_each(store: &Store) {
    let mut last = None;
    for index in 0..PARTITIONS {
        let partition = store.partition(&ID, index).unwrap();
        let (bytes, headers) = batch(&[b"x"], 5);
        last = Some(partition.append(bytes, &headers, NOW).unwrap().commit);
    }
    store.durable(last.unwrap()).await.unwrap();
}

async fn filled(dir: &Path) -> (Store, ObservedFs) {
    let (store, fs) = open_observed(dir);
    let new = NewTopic {
        id: ID,
        name: "orders".to_owned(),
        partitions: PARTITIONS,
        configs: Default::default(),
        created_ms: 0,
    };
    store.create_topic(new).unwrap().unwrap();
    write_to_each(&store).await;
    (store, fs)
}

#[tokio::test]
async fn a_checkpoint_waits_for_the_device_once_for_many_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let (store, fs) = filled(dir.path()).await;
    for what in ["files are made", "files are there"] {
        let before = fs.syncs();
        store.checkpoint().unwrap();
        let syncs = fs.syncs() - before;
        assert!(
            syncs >= GROUPS,
            "{what}: {syncs} is fewer than its files need"
        );
        // The journal is synced as well.
        assert!(syncs <= GROUPS + 4, "{what}: {syncs}");
        write_to_each(&store).await;
    }
}

#[tokio::test]
async fn a_start_after_a_crash_waits_for_the_device_once_for_many_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    // Nothing but the journal has the records: a checkpoint makes the files.
    let (made, syncs) = start_again(dir.path());
    assert!(syncs >= GROUPS, "{syncs} is fewer than the files need");
    assert!(syncs <= GROUPS + 12, "{syncs}");
    drop(made);
    store.checkpoint().unwrap();
    write_to_each(&store).await;
    // The files are there: names that a process may have made without a sync are synced first.
    let (there, syncs) = start_again(dir.path());
    assert!(syncs <= 2 * GROUPS + 12, "{syncs}");
    let last = there.store.partition(&ID, PARTITIONS - 1).unwrap();
    assert_eq!(last.high_watermark(), 2);
}

struct Copy {
    store: Store,
    _dir: tempfile::TempDir,
}

/// A store on the files as they are now, as after a crash, and how often its start waited for the device.
fn start_again(dir: &Path) -> (Copy, u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir, copy.path());
    let (store, fs) = open_observed(copy.path());
    let syncs = fs.syncs();
    (Copy { store, _dir: copy }, syncs)
}
