#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::fs::sim::SimFs;
use crate::fs::{Fs, OpenMode};
use crate::partition::closed::PIECE;
use crate::partition::files::SegmentFile;
use crate::partition::log::Cached;
use crate::simulation::read_bytes;
use crate::snapshot::tests::{DATA, ORDERS, append, create, observe, open, restored_with_problems};
use crate::{Store, snapshot};
use ottla_codec::batch::{BatchHeader, check_all};

const DIR: &str = "/data/topics/orders-0";
const RECORDS: i64 = 30;

/// What a pass does: copies the batches that `keep` says into one segment, and puts it in the place of `sources`.
pub(super) fn thin(
    p: &Partition,
    sources: &[ClosedSegment],
    mut keep: impl FnMut(&BatchHeader) -> bool,
) -> io::Result<Result<Replaced, StoreError>> {
    let new = written(p, sources, &mut keep)?;
    Ok(p.replace(sources, new))
}

fn written(
    p: &Partition,
    sources: &[ClosedSegment],
    keep: &mut impl FnMut(&BatchHeader) -> bool,
) -> io::Result<NewSegment> {
    let generation = sources.iter().map(|s| s.id.generation).max().unwrap() + 1;
    let mut writer = p.begin_segment(sources[0].id.base, generation)?;
    for source in sources {
        let mut reader = p.read_closed(source, |_| Ok(()))?;
        while let Some((header, bytes)) = reader.next()? {
            if keep(&header) {
                writer.append(&header, bytes)?;
            }
        }
    }
    writer.finish()
}

/// One record a batch, with times 1, 2, ..., a few batches a segment; all but the active segment are ready.
fn filled() -> (SimFs, Store, Arc<Partition>) {
    let fs = SimFs::new(1);
    let store = open(&fs);
    create(&store, ORDERS, "orders", "400");
    for i in 0..RECORDS {
        append(&store, ORDERS, 0, vec![i as u8; i as usize + 1]).unwrap();
        store.inner().step_writer();
    }
    store.checkpoint().unwrap();
    let p = store.partition(&ORDERS, 0).unwrap();
    assert!(p.closed_segments().ready.len() > 5);
    (fs, store, p)
}

/// The offset of the first batch that a read at `offset` gives, and where it says to go on.
fn first_at(p: &Partition, offset: i64) -> (Option<i64>, i64) {
    let bytes = read_bytes(p, offset, 1).unwrap();
    let slice = p.read(offset, i64::MAX, 1, true).unwrap();
    let first = check_all(&bytes).unwrap().first().map(|h| h.base_offset);
    (first, slice.next)
}

/// All offsets that a reader comes by, in pieces of `max_bytes`.
fn offsets(p: &Partition, max_bytes: usize) -> Vec<i64> {
    let (mut next, mut found) = (p.log_start_offset(), Vec::new());
    while next < p.high_watermark() {
        let before = next;
        let bytes = read_bytes(p, next, max_bytes).unwrap();
        next = p.read(next, i64::MAX, max_bytes, true).unwrap().next;
        assert!(next > before, "no way on from {before}");
        found.extend(check_all(&bytes).unwrap().iter().map(|h| h.base_offset));
    }
    found
}

fn names(fs: &SimFs) -> Vec<String> {
    let mut names: Vec<_> = fs.read_dir(Path::new(DIR)).unwrap();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    names.into_iter().map(|e| e.name).collect()
}

fn logs(fs: &SimFs) -> usize {
    names(fs).iter().filter(|n| n.ends_with(".log")).count()
}

fn segments(p: &Partition) -> Vec<SegmentId> {
    p.lock().segments.iter().map(Segment::id).collect()
}

/// What `filled` has of it after this: every seventh record of the first segments, nothing of those behind them.
fn compact(p: &Partition) -> Vec<i64> {
    let ready = p.closed_segments().ready;
    let (front, back) = ready.split_at(ready.len() / 2);
    let end = back[0].id.base;
    let done = thin(p, front, |h| h.base_offset % 7 == 3).unwrap().unwrap();
    assert_eq!(done, Replaced::Done);
    assert_eq!(thin(p, back, |_| false).unwrap().unwrap(), Replaced::Done);
    let first_active = p.lock().segments.last().unwrap().base_offset;
    (0..end)
        .filter(|o| o % 7 == 3)
        .chain(first_active..RECORDS)
        .collect()
}

#[test]
fn a_read_in_a_gap_gives_the_next_batch_in_whatever_segment() {
    let (fs, store, p) = filled();
    let left = compact(&p);
    assert!(left.len() > 4);
    let check = |p: &Partition| {
        for offset in 0..RECORDS {
            let next = left.iter().copied().find(|o| *o >= offset);
            assert_eq!(first_at(p, offset).0, next, "at {offset}");
        }
        for max_bytes in [1, 100, 300, 100_000] {
            assert_eq!(offsets(p, max_bytes), left);
        }
        for time in 0..=RECORDS + 1 {
            // The record at offset 0 has time 1.
            let expected = left.iter().copied().find(|o| *o + 1 >= time);
            let found = p.offset_for_timestamp(time).unwrap().map(|t| t.offset);
            assert_eq!(found, expected, "time {time}");
        }
        let largest = p.max_timestamp().unwrap().unwrap();
        assert_eq!(largest.offset, *left.last().unwrap());
    };
    check(&p);
    assert_eq!(store.check().unwrap().problems, []);
    // The check made a checkpoint.
    store.inner().collect_garbage();
    check(&p);
    let of_one = 3;
    assert_eq!(names(&fs).len(), 2 * of_one, "{:?}", names(&fs));
    let before = segments(&p);
    drop((p, store));
    fs.crash();
    let store = open(&fs);
    let p = store.partition(&ORDERS, 0).unwrap();
    assert_eq!(segments(&p), before);
    check(&p);
    assert_eq!(store.check().unwrap().problems, []);
    append(&store, ORDERS, 0, vec![1; 10]).unwrap();
    store.inner().step_writer();
    assert_eq!(p.log_end_offset(), RECORDS + 1);
}

#[test]
fn a_log_of_which_compaction_left_nothing_is_empty_up_to_its_end() {
    let (fs, store, p) = filled();
    assert!(p.roll(5) && !p.roll(5));
    store.checkpoint().unwrap();
    let all = p.closed_segments().ready;
    assert_eq!(all.last().unwrap().end, RECORDS);
    thin(&p, &all, |_| false).unwrap().unwrap();
    let check = |p: &Partition| {
        for offset in 0..=RECORDS {
            assert_eq!(first_at(p, offset), (None, RECORDS));
        }
        assert_eq!(p.max_timestamp().unwrap(), None);
        assert_eq!(p.offset_for_timestamp(0).unwrap(), None);
        assert_eq!((p.size_bytes(), p.log_start_offset()), (0, 0));
        assert_eq!(p.closed_segments().ready.len(), 1);
    };
    check(&p);
    store.checkpoint().unwrap();
    store.inner().collect_garbage();
    assert_eq!(logs(&fs), 0, "neither is there a file of it");
    drop((p, store));
    fs.crash();
    let store = open(&fs);
    let p = store.partition(&ORDERS, 0).unwrap();
    check(&p);
    append(&store, ORDERS, 0, vec![1; 10]).unwrap();
    store.inner().step_writer();
    assert_eq!(first_at(&p, 0), (Some(RECORDS), RECORDS + 1));
    assert_eq!(store.check().unwrap().problems, []);
    // DeleteRecords goes over it.
    p.delete_records(RECORDS).unwrap().unwrap();
    store.inner().step_writer();
    store.inner().collect_garbage();
    assert_eq!(p.lock().segments.len(), 1);
    assert_eq!(offsets(&p, 1), [RECORDS]);
}

#[test]
fn the_sources_files_go_after_the_next_checkpoint_and_a_crash_before_it_brings_them_back() {
    let (fs, store, p) = filled();
    let before = (names(&fs), segments(&p));
    let kept = compact(&p);
    store.inner().collect_garbage();
    let with_both = names(&fs);
    assert!(before.0.iter().all(|name| with_both.contains(name)));
    let crashed = fs.fork();
    crashed.crash();
    let old = open(&crashed);
    let q = old.partition(&ORDERS, 0).unwrap();
    assert_eq!(segments(&q), before.1);
    assert_eq!(offsets(&q, 200), (0..RECORDS).collect::<Vec<_>>());
    // What is there of the new segment is not in the way of the next.
    assert_eq!(q.sweep().unwrap(), with_both.len() - before.0.len());
    assert_eq!(names(&crashed), before.0);
    assert_eq!(compact(&q), kept);
    store.checkpoint().unwrap();
    store.inner().collect_garbage();
    assert_eq!(names(&fs).len(), 6);
    assert_eq!(p.sweep().unwrap(), 0);
    assert_eq!(offsets(&p, 200), kept);
}

#[test]
fn what_is_not_in_a_checkpoint_waits_for_one() {
    let (_fs, store, p) = filled();
    let ready = p.closed_segments().ready.len();
    for _ in 0..10 {
        append(&store, ORDERS, 0, vec![1; 100]).unwrap();
    }
    let closed = p.closed_segments();
    let seen = |s: &ClosedSegment| s.end <= RECORDS;
    assert!(closed.waiting.iter().all(seen), "{closed:?}");
    store.inner().step_writer();
    let closed = p.closed_segments();
    assert_eq!(closed.ready.len(), ready);
    assert!(closed.waiting.len() > 1);
    store.inner().flush_all().unwrap();
    assert_eq!(p.closed_segments(), closed);
    store.checkpoint().unwrap();
    let after = p.closed_segments();
    assert!(after.waiting.is_empty());
    assert_eq!(after.ready.len(), ready + closed.waiting.len());
}

#[test]
fn batches_of_the_sources_leave_memory() {
    let (_fs, store, p) = filled();
    let cached = || store.inner().core.cached.load(Ordering::Relaxed);
    let weight = |p: &Partition| p.lock().ring.iter().map(Cached::weight).sum::<usize>();
    assert_eq!(cached(), weight(&p));
    assert_eq!(p.lock().ring.front().unwrap().base_offset, 0);
    let left = compact(&p);
    assert_eq!(cached(), weight(&p));
    assert!(weight(&p) > 0);
    assert_eq!(store.inner().core.unflushed.load(Ordering::Relaxed), 0);
    assert_eq!(offsets(&p, 1000), left);
    let readable: usize = p.lock().ring.len();
    assert_eq!(p.evict(usize::MAX), readable);
    assert_eq!(cached(), 0);
    assert_eq!(offsets(&p, 1000), left);
}

#[test]
fn deleted_records_and_topics_are_faster() {
    let (fs, store, p) = filled();
    let ready = p.closed_segments().ready;
    let new = written(&p, &ready[..3], &mut |_| true).unwrap();
    assert_eq!(
        p.begin_segment(0, 1).err().unwrap().kind(),
        io::ErrorKind::AlreadyExists
    );
    p.delete_records(ready[1].end).unwrap().unwrap();
    store.inner().step_writer();
    store.inner().collect_garbage();
    let before = segments(&p);
    assert_eq!(p.replace(&ready[..3], new).unwrap(), Replaced::Overtaken);
    assert_eq!(segments(&p), before);
    assert_eq!(logs(&fs), before.len());
    // By another pass.
    let new = written(&p, &ready[3..5], &mut |_| true).unwrap();
    thin(&p, &ready[3..4], |_| true).unwrap_err();
    drop(new);
    thin(&p, &ready[3..4], |_| true).unwrap().unwrap();
    let told = thin(&p, &ready[3..5], |_| true).unwrap_err();
    assert_eq!(told.kind(), io::ErrorKind::AlreadyExists);
    let new = written(&p, &ready[4..6], &mut |_| true).unwrap();
    store.delete_topic(&ORDERS).unwrap().unwrap();
    assert_eq!(p.replace(&ready[4..6], new).unwrap(), Replaced::Overtaken);
    store.inner().step_writer();
    store.inner().collect_garbage();
    store.checkpoint().unwrap();
    store.inner().collect_garbage();
    assert!(!fs.exists(Path::new(DIR)).unwrap());
    assert_eq!(p.sweep().unwrap(), 0);
}

#[test]
fn a_full_disk_ends_a_pass_and_nothing_else() {
    let (fs, store, p) = filled();
    let ready = p.closed_segments().ready;
    let before = names(&fs);
    fs.set_free(Some(4500));
    let told = thin(&p, &ready, |_| true).unwrap_err();
    assert_eq!(told.kind(), io::ErrorKind::StorageFull);
    assert_eq!(names(&fs), before);
    assert!(store.write_trouble().is_none());
    append(&store, ORDERS, 0, vec![1; 10]).unwrap();
    store.inner().step_writer();
    assert_eq!(p.high_watermark(), RECORDS + 1);
    fs.set_free(None);
    // So does a sync that fails: nobody saw what it was to keep.
    fs.fail_next_sync();
    thin(&p, &ready, |_| true).unwrap_err();
    assert_eq!(names(&fs), before);
    assert!(store.write_trouble().is_none());
    thin(&p, &ready, |_| true).unwrap().unwrap();
}

#[test]
fn what_is_being_made_is_not_swept_away() {
    let (fs, _store, p) = filled();
    let ready = p.closed_segments().ready;
    let before = names(&fs);
    let writer = p.begin_segment(0, 1).unwrap();
    for name in [
        "00000000000000000003.2.log",
        "00000000000000000003.rebuilt",
        "notes.log",
    ] {
        fs.open(&Path::new(DIR).join(name), OpenMode::Truncate)
            .unwrap();
    }
    assert_eq!(p.sweep().unwrap(), 2);
    assert_eq!(names(&fs).len(), before.len() + 4);
    fs.remove_file(&Path::new(DIR).join("notes.log")).unwrap();
    writer.abandon();
    assert_eq!(names(&fs), before);
    let new = written(&p, &ready, &mut |_| true).unwrap();
    assert_eq!(p.sweep().unwrap(), 0);
    assert_eq!(p.replace(&ready, new).unwrap(), Replaced::Done);
    assert_eq!(p.sweep().unwrap(), 0);
    assert_eq!(offsets(&p, 300), (0..RECORDS).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_has_the_segments_of_its_time() {
    let (fs, store, p) = filled();
    let path = |name| snapshot::path_of(Path::new(DATA), name).unwrap();
    let states: Vec<_> = ["before", "between", "after"]
        .into_iter()
        .map(|name| {
            store.save_snapshot(name, 1).unwrap();
            let state = observe(&store);
            // The source of the second time is the result of the first, and what the snapshots before closed.
            let ready = p.closed_segments().ready;
            thin(&p, &ready, |h| h.base_offset % 3 != 0 || name == "before")
                .unwrap()
                .unwrap();
            (path(name), state)
        })
        .collect();
    store.checkpoint().unwrap();
    store.inner().collect_garbage();
    assert_ne!(states[1].1, states[2].1);
    for (path, state) in states {
        let (restored, problems) = restored_with_problems(&fs, &path).unwrap();
        assert_eq!(problems, []);
        assert_eq!(restored, state);
    }
}

#[test]
fn where_it_is_clean_is_kept_by_the_next_checkpoint() {
    let (fs, store, p) = filled();
    p.set_cleaned_to(12);
    assert_eq!(p.cleaned_to(), 12);
    drop(p);
    store.checkpoint().unwrap();
    drop(store);
    fs.crash();
    let store = open(&fs);
    assert_eq!(store.partition(&ORDERS, 0).unwrap().cleaned_to(), 12);
}

#[test]
fn damage_in_a_source_is_told_with_its_place_and_removes_nothing() {
    let (fs, store, p) = filled();
    let source = p.closed_segments().ready[1];
    let path = p.path(source.id, SegmentFile::Log);
    let mut uncovered = Vec::new();
    let mut reader = p.read_closed(&source, |_| Ok(())).unwrap();
    while let (at, Some(_)) = (reader.position(), reader.next().unwrap()) {
        // The leader epoch is in no CRC.
        uncovered.extend(at + 12..at + 16);
    }
    drop((p, store));
    for at in (0..source.size).filter(|at| !uncovered.contains(at)) {
        let fs = fs.fork();
        fs.flip_bit(&path, at);
        let store = open(&fs);
        let p = store.partition(&ORDERS, 0).unwrap();
        let before = names(&fs);
        let told = thin(&p, &[source], |_| true).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::InvalidData, "{told}");
        assert!(told.to_string().contains("at position "), "{told}");
        assert_eq!(names(&fs), before);
    }
    let short = fs.fork();
    let file = short.open(&path, OpenMode::Write).unwrap();
    file.set_len(source.size - 1).unwrap();
    let store = open(&short);
    let p = store.partition(&ORDERS, 0).unwrap();
    let told = thin(&p, &[source], |_| true).unwrap_err();
    assert_eq!(told.kind(), io::ErrorKind::InvalidData, "{told}");
}

#[test]
fn what_is_read_is_told_before_it_is_and_may_be_refused() {
    let (_fs, _store, p) = filled();
    let source = p.closed_segments().ready[0];
    let mut told = 0;
    let mut reader = p.read_closed(&source, |n| {
        told += n;
        Ok(())
    });
    let reader = reader.as_mut().unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(told as u64, source.size);
    let mut refusing = p
        .read_closed(&source, |_| Err(io::ErrorKind::Interrupted.into()))
        .unwrap();
    let refused = refusing.next().unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Interrupted);
}

#[test]
fn large_batches_come_whole_and_once_and_a_length_that_is_none_takes_no_memory() {
    let fs = SimFs::new(1);
    let store = open(&fs);
    create(&store, ORDERS, "orders", "8000000");
    let p = store.partition(&ORDERS, 0).unwrap();
    let lens = [10, 900_000, 300_000, 20, PIECE - 200, PIECE, 5];
    for len in lens.into_iter().chain([900_000; 3]) {
        append(&store, ORDERS, 0, vec![7; len]).unwrap();
        store.inner().step_writer();
    }
    p.roll(2);
    store.checkpoint().unwrap();
    let ready = p.closed_segments().ready;
    let state = observe(&store);
    thin(&p, &ready, |_| true).unwrap().unwrap();
    assert_eq!(observe(&store), state);
    assert_eq!(store.check().unwrap().problems, []);
    let ready = p.closed_segments().ready;
    let path = p.path(ready[0].id, SegmentFile::Log);
    let mut told = 0;
    let count = |n| {
        told += n;
        Ok(())
    };
    let mut reader = p.read_closed(&ready[0], count).unwrap();
    let mut second = 0;
    while let (at, Some(_)) = (reader.position(), reader.next().unwrap()) {
        second = if second == 0 { at } else { second };
    }
    assert_eq!(told as u64, ready[0].size);
    fs.flip_bit(&path, 500_000);
    let second_of = |p: &Partition| {
        let mut reader = p.read_closed(&ready[0], |_| Ok(())).unwrap();
        reader.next().unwrap().unwrap();
        let told = reader.next().unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::InvalidData, "{told}");
        reader.buffered()
    };
    second_of(&p);
    fs.flip_bit(&path, 500_000);
    // It claims 2 MiB more than it has, which are there.
    let file = fs.open(&path, OpenMode::Write).unwrap();
    let mut length = [0];
    file.read_exact_at(second + 9, &mut length).unwrap();
    file.write_at(second + 9, &[&[length[0] | 0x20]]).unwrap();
    assert!(second_of(&p) <= PIECE);
    file.write_at(second + 9, &[&length]).unwrap();
    file.set_len(600_000).unwrap();
    second_of(&p);
}
