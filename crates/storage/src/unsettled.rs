//! What becomes of commits whose record in the journal, or whose large appends, a crash took without the other.

use std::path::Path;

use crate::fs::sim::SimFs;
use crate::snapshot::tests::{LARGE, append, filled, open};
use crate::{Store, StoreError};

/// The segment that large appends go to.
const SEGMENT: &str = "/data/topics/large-0/00000000000000000000.log";

/// A store that has a large append in its segment and in the journal, and was not told that the device has the first.
fn with_unsettled() -> (SimFs, Store) {
    let (fs, store) = filled();
    store.inner().step_writer();
    store.inner().checkpoint().unwrap();
    append(&store, LARGE, 0, vec![1; 70_000]).unwrap();
    assert!(store.inner().step_large_writes());
    assert!(store.inner().step_journal());
    assert_eq!(high_watermark(&store), 0);
    (fs, store)
}

fn high_watermark(store: &Store) -> i64 {
    store.partition(&LARGE, 0).unwrap().high_watermark()
}

fn reopened(fs: &SimFs, store: Store) -> Store {
    drop(store);
    fs.kill();
    open(fs)
}

/// Kept and left out by recovery.
fn counts(store: &Store) -> (u64, u64) {
    let of =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let core = &store.inner().core;
    (of(&core.kept_unsettled), of(&core.left_out))
}

#[test]
fn what_a_power_cut_took_of_a_segment_is_left_out_and_the_rest_is_kept() {
    let mut seen = [0, 0];
    let (fs, store) = with_unsettled();
    // A commit that has nothing to do with it is kept meanwhile.
    append(&store, LARGE, 1, vec![2; 10]).unwrap();
    let before = store.partition(&LARGE, 1).unwrap().high_watermark();
    assert!(store.inner().step_journal());
    let other = store.partition(&LARGE, 1).unwrap().high_watermark();
    assert_eq!(other, before + 1);
    for seed in 0..40 {
        let fs = fs.fork();
        fs.reseed(seed);
        fs.crash();
        let store = open(&fs);
        let (kept, left_out) = counts(&store);
        assert_eq!(kept + left_out, 1, "seed {seed}");
        assert_eq!(high_watermark(&store), kept as i64);
        assert_eq!(store.partition(&LARGE, 1).unwrap().high_watermark(), other);
        seen[left_out as usize] += 1;
        // Whatever is there of it, another takes its place.
        append(&store, LARGE, 0, vec![3; 80_000]).unwrap();
        store.inner().step_writer();
        let store = {
            drop(store);
            fs.crash();
            open(&fs)
        };
        assert_eq!(high_watermark(&store), kept as i64 + 1);
        let p = store.partition(&LARGE, 0).unwrap();
        let read = crate::simulation::read_bytes(&p, kept as i64, 1).unwrap();
        let headers = ottla_codec::batch::check_all(&read).unwrap();
        assert_eq!(headers[0].base_offset, kept as i64);
        assert!(read.len() > 80_000 && read[1000] == 3, "seed {seed}");
    }
    assert!(seen.iter().all(|n| *n > 3), "{seen:?}");
}

#[test]
fn who_ends_the_last_sync_tells_that_a_commit_is_kept_which_the_journal_has() {
    let (_fs, store) = with_unsettled();
    let last = store.inner().core.queue.last_seq();
    let outcome = || {
        let progress = &store.inner().core.queue.progress;
        progress.outcome(crate::progress::Stage::Durable, last)
    };
    assert!(outcome().is_none());
    assert!(store.inner().step_large_syncs());
    assert_eq!(high_watermark(&store), 1);
    assert!(matches!(outcome(), Some(Ok(()))));
    // The writer hears of it, and lets through what waited.
    append(&store, LARGE, 0, vec![2; 10]).unwrap();
    assert!(store.inner().step_journal());
    assert_eq!(high_watermark(&store), 2);
}

#[test]
fn a_commit_that_was_settled_is_not_left_out_when_its_segment_is_damaged_later() {
    for is_settled in [false, true] {
        let (fs, store) = with_unsettled();
        if is_settled {
            assert!(store.inner().step_large_syncs());
            assert!(store.inner().step_journal());
        }
        // The next group says how far all are settled.
        append(&store, LARGE, 1, vec![2; 10]).unwrap();
        assert!(store.inner().step_journal());
        drop(store);
        fs.kill();
        fs.flip_bit(Path::new(SEGMENT), 30_000);
        let store = open(&fs);
        let expected = if is_settled { (0, 0) } else { (0, 1) };
        assert_eq!(counts(&store), expected);
        assert_eq!(high_watermark(&store), i64::from(is_settled));
    }
}

#[test]
fn a_process_that_is_killed_leaves_an_unsettled_commit_which_then_outlasts_a_power_cut() {
    let (fs, store) = with_unsettled();
    let store = reopened(&fs, store);
    assert_eq!(counts(&store), (1, 0));
    assert_eq!(high_watermark(&store), 1);
    drop(store);
    for seed in 0..20 {
        let fs = fs.fork();
        fs.reseed(seed);
        fs.crash();
        assert_eq!(high_watermark(&open(&fs)), 1, "seed {seed}");
    }
}

#[test]
fn a_full_disk_takes_back_what_is_not_in_the_journal_and_keeps_what_is_unsettled() {
    for full_for_the_journal in [false, true] {
        let (fs, store) = with_unsettled();
        append(&store, LARGE, 0, vec![2; 70_000]).unwrap();
        fs.set_free(Some(0));
        if full_for_the_journal {
            // Nothing of the large appends is synced when there is no room for these.
            while append(&store, LARGE, 1, vec![3; 4_000]).is_ok() {
                assert_eq!(high_watermark(&store), 0);
                store.inner().step_journal();
            }
        } else {
            store.inner().step_large_writes();
            while store.inner().step_large_syncs() {}
            store.inner().step_journal();
        }
        let trouble = store.write_trouble();
        assert!(
            matches!(trouble, Some(StoreError::DiskFull)),
            "{full_for_the_journal}: {trouble:?}"
        );
        assert_eq!(high_watermark(&store), 1);
        let p = store.partition(&LARGE, 0).unwrap();
        assert_eq!(p.log_end_offset(), 1, "what was not in the journal");
        drop(p);
        fs.set_free(None);
        drop(store);
        fs.crash();
        assert_eq!(high_watermark(&open(&fs)), 1);
    }
}

#[test]
fn a_sync_that_fails_beside_the_journals_tells_that_nothing_is_known() {
    let (fs, store) = with_unsettled();
    let last = store.inner().core.queue.last_seq();
    fs.fail_next_sync_and_clean();
    assert!(store.inner().step_large_syncs());
    store.inner().step_journal();
    let progress = &store.inner().core.queue.progress;
    let outcome = progress.outcome(crate::progress::Stage::Durable, last);
    assert!(
        matches!(outcome, Some(Err(StoreError::Failed(_)))),
        "{outcome:?}"
    );
    assert_eq!(high_watermark(&store), 0);
    assert!(matches!(store.write_trouble(), Some(StoreError::Failed(_))));
    // Consumers may have it after the next start: then a power cut does not take it from them.
    let store = reopened(&fs, store);
    let seen = high_watermark(&store);
    assert_eq!((counts(&store), seen), ((1, 0), 1));
    drop(store);
    fs.crash();
    let store = open(&fs);
    assert_eq!(high_watermark(&store), seen);
    let p = store.partition(&LARGE, 0).unwrap();
    let read = crate::simulation::read_bytes(&p, 0, 1).unwrap();
    assert!(ottla_codec::batch::check_all(&read).is_ok());
}
