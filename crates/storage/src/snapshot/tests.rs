//! Snapshots and restores on a disk that crashes at any call, fills up, and loses bits.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::check_all;
use ottla_codec::records::{BatchBuilder, Record};

use super::{Snapshot, SnapshotError, copy, delete, list, path_of, restore};
use crate::fs::sim::SimFs;
use crate::fs::{Fs, OpenMode};
use crate::simulation::{headers_of, options, read_bytes, tuning};
use crate::{
    AppendContext, Durability, MetaOp, NewTopic, Partition, Problem, Store, StoreError, TopicId,
    Tree,
};

pub(crate) const DATA: &str = "/data";
pub(crate) const ORDERS: TopicId = TopicId::from_u128(5);
pub(crate) const LARGE: TopicId = TopicId::from_u128(6);

/// Where the log starts, and all bytes from there on.
type Log = (i64, Vec<u8>);

/// All that a client could see of a store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    logs: BTreeMap<(TopicId, i32), Log>,
    names: Vec<String>,
    rows: Vec<(Bytes, Bytes)>,
    cluster_id: String,
}

pub(crate) fn observe(store: &Store) -> Observed {
    let topics = store.topics();
    let all = |topic: &Arc<crate::Topic>| (0..topic.partitions).map(|i| (topic.id, i)).collect();
    let partitions: Vec<Vec<(TopicId, i32)>> = topics.iter().map(all).collect();
    let logs = partitions.into_iter().flatten().map(|(id, index)| {
        let p = store.partition(&id, index).unwrap();
        (
            (id, index),
            (p.log_start_offset(), bytes_from(&p, p.log_start_offset())),
        )
    });
    let trees = [Tree::Groups, Tree::Offsets];
    Observed {
        logs: logs.collect(),
        names: topics.iter().map(|t| t.name.to_string()).collect(),
        rows: trees.map(|t| store.scan(t, b"").unwrap()).concat(),
        cluster_id: store.cluster_id().to_owned(),
    }
}

fn bytes_from(p: &Partition, mut next: i64) -> Vec<u8> {
    let mut out = Vec::new();
    while next < p.high_watermark() {
        let bytes = read_bytes(p, next, 60_000).unwrap();
        // Compaction may have left nothing up to the end.
        let Some(last) = headers_of(&bytes).last().copied() else {
            break;
        };
        next = last.next_offset();
        out.extend(bytes);
    }
    out
}

fn open_in(fs: &SimFs, dir: &str) -> Store {
    let options = options(Durability::Disk);
    Store::open_stepped(Arc::new(fs.clone()), Path::new(dir), options, tuning()).unwrap()
}

pub(crate) fn open(fs: &SimFs) -> Store {
    open_in(fs, DATA)
}

/// What a snapshot restores to, in a directory of its own on a disk of its own. Nothing in it is damaged.
fn restored(fs: &SimFs, snapshot: &Path) -> Result<Observed, SnapshotError> {
    let (state, problems) = restored_with_problems(fs, snapshot)?;
    assert_eq!(problems, []);
    Ok(state)
}

/// As [`restored`], and what is damaged: an index may be, as it was in the store that was saved.
pub(crate) fn restored_with_problems(
    fs: &SimFs,
    snapshot: &Path,
) -> Result<(Observed, Vec<Problem>), SnapshotError> {
    let fs = fs.fork();
    fs.crash_after(u64::MAX);
    fs.set_free(None);
    restore(&fs, snapshot, Path::new("/restored"), false)?;
    // What was not synced is gone.
    fs.crash();
    let store = open_in(&fs, "/restored");
    let problems = store.check().unwrap().problems;
    Ok((observe(&store), problems))
}

pub(crate) fn create(store: &Store, id: TopicId, name: &str, segment_bytes: &str) {
    let new = NewTopic {
        id,
        name: name.to_owned(),
        partitions: 2,
        configs: BTreeMap::from([("segment.bytes".to_owned(), segment_bytes.to_owned())]),
        created_ms: 0,
    };
    store.create_topic(new).unwrap().unwrap();
}

pub(crate) fn append(
    store: &Store,
    topic: TopicId,
    index: i32,
    value: Vec<u8>,
) -> Result<(), StoreError> {
    let record = Record {
        offset: 0,
        timestamp: value.len() as i64,
        key: None,
        value: Some(value.into()),
        headers: Vec::new(),
    };
    let bytes = BytesMut::from(&BatchBuilder::default().build(&[record])[..]);
    let headers = check_all(&bytes).unwrap();
    let p = store.partition(&topic, index).unwrap();
    match p.append(bytes, &headers, AppendContext::at(1)) {
        Ok(_) => Ok(()),
        Err(crate::AppendError::Store(e)) => Err(e),
        Err(e) => panic!("{e}"),
    }
}

pub(crate) fn put(store: &Store, key: &'static str, value: u8) {
    let op = MetaOp::Put {
        tree: Tree::Offsets,
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::copy_from_slice(&[value]),
    };
    store.commit(vec![op]).unwrap();
}

/// Small records and large ones, deleted ones, closed segments and active ones, committed and on their way.
fn fill(store: &Store, round: u8) {
    for i in 0..30 {
        append(store, ORDERS, 0, vec![round.wrapping_add(i); 150]).unwrap();
        if i % 7 == 0 {
            store.inner().step_writer();
        }
    }
    append(store, LARGE, 1, vec![round; 70_000]).unwrap();
    put(store, "a", round);
    store.inner().step_writer();
    let p = store.partition(&ORDERS, 0).unwrap();
    p.delete_records(p.log_start_offset() + 5).unwrap().unwrap();
    append(store, LARGE, 1, vec![round; 10]).unwrap();
    append(store, ORDERS, 1, vec![round; 40]).unwrap();
    put(store, "b", round);
}

pub(crate) fn filled() -> (SimFs, Store) {
    let fs = SimFs::new(7);
    let store = open(&fs);
    create(&store, ORDERS, "orders", "2000");
    create(&store, LARGE, "large", "200000");
    fill(&store, 1);
    (fs, store)
}

fn saved() -> (SimFs, Store, Snapshot, Observed) {
    let (fs, store) = filled();
    let snapshot = store.save_snapshot("one", 5).unwrap();
    let state = observe(&store);
    (fs, store, snapshot, state)
}

#[test]
fn a_snapshot_is_what_there_was_whatever_happens_to_the_store_later() {
    let (fs, store, snapshot, state) = saved();
    assert_eq!((snapshot.topics, snapshot.partitions), (2, 4));
    assert_eq!(
        list(&fs, Path::new(DATA)).unwrap(),
        std::slice::from_ref(&snapshot)
    );
    assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
    for round in 2..5 {
        fill(&store, round);
        store.inner().checkpoint().unwrap();
        let p = store.partition(&ORDERS, 0).unwrap();
        p.retain(store.inner(), 100_000).unwrap();
        store.inner().collect_garbage();
        assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
    }
    store.delete_topic(&ORDERS).unwrap();
    store.inner().collect_garbage();
    store.close().unwrap();
    drop(store);
    let store = open(&fs);
    assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
    let second = store.save_snapshot("two", 6).unwrap();
    assert_eq!(restored(&fs, &second.path).unwrap(), observe(&store));
    delete(&fs, Path::new(DATA), "one").unwrap();
    assert_eq!(list(&fs, Path::new(DATA)).unwrap(), [second]);
    assert_eq!(store.check().unwrap().problems, []);
}

#[test]
fn partitions_that_are_not_in_memory_are_in_a_snapshot() {
    let (fs, store) = filled();
    store.inner().step_writer();
    let state = observe(&store);
    store.close().unwrap();
    drop(store);
    let store = open(&fs);
    let snapshot = store.save_snapshot("one", 5).unwrap();
    assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
    // Nor does the next one find anything to begin anew.
    drop(store);
    let store = open(&fs);
    let before = fs.files().len();
    store.save_snapshot("two", 6).unwrap();
    assert!(store.inner().partitions.read().is_empty());
    assert_eq!(
        restored(&fs, &path_of(Path::new(DATA), "two").unwrap()).unwrap(),
        state
    );
    assert!(fs.files().len() > before);
}

#[test]
fn what_a_restored_store_does_is_not_seen_in_the_snapshot_nor_in_the_store_it_is_of() {
    let (fs, store, snapshot, state) = saved();
    let dir = "/other";
    restore(&fs, &snapshot.path, Path::new(dir), false).unwrap();
    let other = open_in(&fs, dir);
    assert_eq!(observe(&other), state);
    for round in 9..12 {
        fill(&other, round);
        other.inner().checkpoint().unwrap();
        let p = other.partition(&LARGE, 1).unwrap();
        p.retain(other.inner(), 100_000).unwrap();
        other.inner().collect_garbage();
        assert_eq!(observe(&store), state);
        assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
    }
    other.close().unwrap();
    drop(other);
    let other = open_in(&fs, dir);
    assert_eq!(other.check().unwrap().problems, []);
    restore(&fs, &snapshot.path, Path::new("/third"), false).unwrap();
    assert_eq!(observe(&open_in(&fs, "/third")), state);
}

#[test]
fn a_crash_at_any_point_of_saving_leaves_a_whole_snapshot_or_none_and_the_store_as_it_was() {
    let (fs, store) = filled();
    store.inner().step_writer();
    let state = observe(&store);
    drop(store);
    let (mut whole, mut none) = (0, 0);
    for calls in 0.. {
        let fs = fs.fork();
        fs.kill();
        let store = open(&fs);
        fs.crash_after(calls);
        let saved = store.save_snapshot("one", 5);
        let done = !fs.has_crashed();
        assert_eq!(saved.is_ok(), done);
        drop(store);
        match calls % 3 {
            0 => fs.kill(),
            _ => fs.crash(),
        }
        let store = open(&fs);
        assert_eq!(observe(&store), state, "after {calls} calls");
        assert_eq!(store.check().unwrap().problems, []);
        store.inner().remove_leftovers();
        let found = list(&fs, Path::new(DATA)).unwrap();
        match &found[..] {
            [] => {
                none += 1;
                assert!(!done);
                let left = fs.files();
                let left = left
                    .iter()
                    .filter(|(p, _)| p.starts_with("/data/snapshots"));
                assert_eq!(left.count(), 0, "after {calls} calls");
                store.save_snapshot("one", 6).unwrap();
            }
            [one] => {
                whole += 1;
                assert_eq!(restored(&fs, &one.path).unwrap(), state);
            }
            _ => unreachable!("one was saved"),
        }
        if done {
            break;
        }
    }
    assert!(none > 20 && whole > 0, "{none} {whole}");
}

#[test]
fn a_crash_at_any_point_of_a_restore_leaves_the_old_state_or_the_new_one() {
    let (fs, store, snapshot, new) = saved();
    store.delete_topic(&LARGE).unwrap();
    fill_orders(&store);
    let old = observe(&store);
    store.close().unwrap();
    drop(store);
    let (mut was_old, mut was_new) = (0, 0);
    for calls in 0.. {
        let fs = fs.fork();
        fs.crash_after(calls);
        let result = restore(&fs, &snapshot.path, Path::new(DATA), true);
        let done = !fs.has_crashed();
        assert_eq!(result.is_ok(), done);
        match calls % 3 {
            0 => fs.kill(),
            _ => fs.crash(),
        }
        // So may the start that carries on.
        fs.crash_after(calls % 5);
        let options = options(Durability::Disk);
        let opened = Store::open_stepped(Arc::new(fs.clone()), Path::new(DATA), options, tuning());
        drop(opened);
        fs.crash();
        let store = open(&fs);
        let found = observe(&store);
        assert_eq!(store.check().unwrap().problems, []);
        if found == old {
            was_old += 1;
            assert!(!done);
        } else {
            was_new += 1;
            assert_eq!(found, new, "after {calls} calls");
        }
        let names: Vec<PathBuf> = fs.files().into_iter().map(|f| f.0).collect();
        let left = names
            .iter()
            .filter(|p| p.to_string_lossy().contains("restore~"));
        assert_eq!(left.count(), 0, "after {calls} calls");
        assert_eq!(restored(&fs, &snapshot.path).unwrap(), new);
        // It can be written to.
        append(&store, ORDERS, 0, vec![1; 10]).unwrap();
        store.inner().step_writer();
        store.close().unwrap();
        if done {
            break;
        }
    }
    assert!(was_old > 20 && was_new > 5, "{was_old} {was_new}");
}

fn fill_orders(store: &Store) {
    for i in 0..20 {
        append(store, ORDERS, 1, vec![i; 300]).unwrap();
    }
    put(store, "c", 9);
    store.inner().step_writer();
}

#[test]
fn data_is_replaced_only_if_asked_for_and_other_files_never() {
    let (fs, store, snapshot, state) = saved();
    store.close().unwrap();
    drop(store);
    let refused = restore(&fs, &snapshot.path, Path::new(DATA), false);
    assert!(matches!(refused, Err(SnapshotError::HoldsData { .. })));
    let foreign = Path::new("/home");
    fs.create_dir_all(foreign).unwrap();
    fs.open(&foreign.join("letter.txt"), OpenMode::Truncate)
        .unwrap();
    for replace in [false, true] {
        let refused = restore(&fs, &snapshot.path, foreign, replace);
        let Err(SnapshotError::Open(e)) = refused else {
            panic!("{refused:?}");
        };
        assert!(e.to_string().contains("letter.txt"), "{e}");
    }
    assert_eq!(fs.read_dir(foreign).unwrap().len(), 1);
    restore(&fs, &snapshot.path, Path::new(DATA), true).unwrap();
    assert_eq!(observe(&open(&fs)), state);
}

#[test]
fn names_cannot_leave_the_directory_nor_be_used_twice() {
    let (fs, store, _, _) = saved();
    let long = "x".repeat(101);
    for bad in [
        "", ".", "..", "../x", "a/b", "/etc", "a\0", ".hidden", "-x", "a~saving", &long,
    ] {
        let refused = store.save_snapshot(bad, 5);
        assert!(
            matches!(refused, Err(SnapshotError::BadName { .. })),
            "{bad:?}"
        );
        let refused = delete(&fs, Path::new(DATA), bad);
        assert!(
            matches!(refused, Err(SnapshotError::BadName { .. })),
            "{bad:?}"
        );
    }
    let again = store.save_snapshot("one", 5);
    assert!(matches!(again, Err(SnapshotError::Exists { .. })));
    let none = delete(&fs, Path::new(DATA), "two");
    assert!(matches!(none, Err(SnapshotError::NotFound { .. })));
}

#[test]
fn a_full_disk_refuses_a_snapshot_and_keeps_nothing_of_it() {
    let (fs, store) = filled();
    store.inner().checkpoint().unwrap();
    let state = observe(&store);
    let mut refused = 0;
    for free in (0..20_000).step_by(500) {
        fs.set_free(Some(free));
        match store.save_snapshot("one", 5) {
            Ok(snapshot) => {
                assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
                break;
            }
            Err(SnapshotError::DiskFull { .. } | SnapshotError::Store(StoreError::DiskFull)) => {
                refused += 1;
            }
            Err(e) => panic!("{e}"),
        }
        assert_eq!(list(&fs, Path::new(DATA)).unwrap(), []);
        fs.set_free(None);
        store.inner().step_writer();
        assert!(store.write_trouble().is_none());
        assert_eq!(observe(&store), state);
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn a_damaged_snapshot_is_refused_by_name() {
    let (fs, _store, snapshot, state) = saved();
    let files = fs.files();
    let of_it: Vec<&(PathBuf, u64)> = files
        .iter()
        .filter(|(p, _)| p.starts_with(&snapshot.path))
        .collect();
    let logs = of_it
        .iter()
        .filter(|(p, _)| p.extension().is_some_and(|e| e == "log"));
    assert!(logs.count() > 3);
    for (path, len) in &of_it {
        let is_index = path
            .extension()
            .is_some_and(|e| e == "index" || e == "timeindex");
        // A new length, or gone.
        for cut in [Some(0), Some(len - 1), None] {
            let fs = fs.fork();
            match cut {
                Some(len) => fs
                    .open(path, OpenMode::Write)
                    .unwrap()
                    .set_len(len)
                    .unwrap(),
                None => fs.remove_file(path).unwrap(),
            }
            match restored_leniently(&fs, &snapshot.path) {
                Ok(found) => {
                    let only_newline = path.ends_with("snapshot.json") && cut == Some(len - 1);
                    assert!(
                        only_newline || is_index && cut.is_none(),
                        "{path:?} {cut:?}"
                    );
                    assert_eq!(found, state);
                }
                Err(e) => {
                    assert!(
                        matches!(
                            e,
                            SnapshotError::Damaged { .. } | SnapshotError::NotFound { .. }
                        ),
                        "{path:?} {cut:?}: {e}"
                    );
                    assert!(e.to_string().contains("/data/snapshots/one"), "{e}");
                    assert!(!fs.exists(Path::new("/restored/meta.properties")).unwrap());
                }
            }
        }
    }
    let catalogue = snapshot.path.join("catalogue");
    let (_, len) = of_it.iter().find(|(p, _)| *p == catalogue).unwrap();
    for at in 0..*len {
        let fs = fs.fork();
        fs.flip_bit(&catalogue, at);
        let refused = restore(&fs, &snapshot.path, Path::new("/restored"), false);
        assert!(
            matches!(refused, Err(SnapshotError::Damaged { .. })),
            "{at}"
        );
    }
}

/// As [`restored`]: a missing index is made anew by the first who reads.
fn restored_leniently(fs: &SimFs, snapshot: &Path) -> Result<Observed, SnapshotError> {
    let fs = fs.fork();
    restore(&fs, snapshot, Path::new("/restored"), false)?;
    Ok(observe(&open_in(&fs, "/restored")))
}

#[test]
fn a_newer_snapshot_is_refused_by_its_format_whatever_else_it_says() {
    let (fs, _store, snapshot, _) = saved();
    let text = br#"{"format": 9, "name": {"of": "another kind"}}"#;
    let file = fs
        .open(&snapshot.path.join("snapshot.json"), OpenMode::Truncate)
        .unwrap();
    file.write_at(0, &[text]).unwrap();
    let refused = restore(&fs, &snapshot.path, Path::new("/restored"), false);
    let Err(e @ SnapshotError::NewerFormat { .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(e.to_string().contains("format 9"), "{e}");
}

#[test]
fn one_that_was_deleted_stays_away_when_the_power_goes() {
    for seed in 0..20 {
        let (fs, store, _, _) = saved();
        fs.reseed(seed);
        delete(&fs, Path::new(DATA), "one").unwrap();
        drop(store);
        fs.crash();
        assert_eq!(list(&fs, Path::new(DATA)).unwrap(), [], "seed {seed}");
    }
}

#[test]
fn one_whose_deletion_a_dead_process_left_half_done_is_whole_or_gone_when_the_power_goes_later() {
    let (mut half_done, mut back) = (0, 0);
    for seed in 0..40 {
        for calls in 0..8 {
            let (fs, store, snapshot, state) = saved();
            fs.reseed(seed);
            fs.crash_after(calls);
            let deleted = delete(&fs, Path::new(DATA), "one");
            drop(store);
            // The process alone: what it had done is there.
            fs.kill();
            if deleted.is_ok() {
                break;
            }
            half_done += 1;
            super::remove_leftovers(&fs, Path::new(DATA)).unwrap();
            fs.crash();
            let found = list(&fs, Path::new(DATA)).unwrap();
            if !found.is_empty() {
                assert_eq!(found[0].path, snapshot.path);
                assert_eq!(restored(&fs, &snapshot.path).unwrap(), state);
                back += 1;
            }
        }
    }
    assert!(half_done > 100 && back > 0, "{half_done}, {back}");
}

#[test]
fn a_copy_of_a_snapshot_is_one() {
    let (fs, store, snapshot, state) = saved();
    let there = Path::new("/backups");
    fs.create_dir_all(there).unwrap();
    let copied = copy(&fs, &snapshot.path, there).unwrap();
    assert_eq!(copied.path, there.join("one"));
    let again = copy(&fs, &snapshot.path, there);
    assert!(matches!(again, Err(SnapshotError::Exists { .. })));
    delete(&fs, Path::new(DATA), "one").unwrap();
    store.delete_topic(&ORDERS).unwrap();
    store.inner().collect_garbage();
    assert_eq!(restored(&fs, &copied.path).unwrap(), state);
}
