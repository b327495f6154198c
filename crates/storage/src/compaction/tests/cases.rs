//! Single rules, one at a time.

use super::super::filter::Counts;
use super::*;

const NOW: i64 = 1_000_000;
const RETENTION: i64 = 500;

fn pass(log: &History, from: i64, end: i64, now_ms: i64) -> (Vec<Bytes>, Vec<i64>, Counts) {
    let mut builder = MapBuilder::new(1 << 10, from, log.aborted_between(from, end));
    for batch in &log.batches {
        assert_eq!(builder.batch(batch), Ok(Room::Left));
    }
    let aborted = log.aborted_between(0, end);
    let mut filter = Filter::new(builder.finish(end), aborted, now_ms, RETENTION);
    let mut out = Vec::new();
    for batch in &log.batches {
        let kept = filter.batch(batch).unwrap();
        out.extend(kept.bytes().map(Bytes::copy_from_slice));
    }
    (out, filter.take_forgotten(), filter.counts())
}

fn rows(keys: &[u8]) -> Vec<KeyValue> {
    keys.iter().map(|k| (Some(*k), Some(*k))).collect()
}

fn plain(log: &mut History, rows: &[KeyValue]) {
    log.write(0, Compression::None, false, rows);
}

fn in_transaction(log: &mut History, rows: &[KeyValue]) {
    log.write(2, Compression::None, false, rows);
}

#[test]
fn a_batch_of_which_all_stays_is_not_written_anew() {
    let mut log = History::default();
    log.write(1, Compression::Zstd, false, &rows(&[1, 2]));
    let mut builder = MapBuilder::new(1 << 10, 0, Vec::new());
    builder.batch(&log.batches[0]).unwrap();
    let mut filter = Filter::new(builder.finish(2), Vec::new(), NOW, RETENTION);
    let kept = filter.batch(&log.batches[0]).unwrap();
    assert!(matches!(kept, Kept::Original(bytes) if bytes.as_ptr() == log.batches[0].as_ptr()));
}

#[test]
fn a_tombstone_stays_for_its_time_from_the_pass_that_met_it_first() {
    let mut log = History::default();
    plain(&mut log, &rows(&[1]));
    plain(&mut log, &[(Some(1), None), (Some(2), Some(2))]);
    let (out, _, counts) = pass(&log, 0, 3, NOW);
    assert_eq!((counts.records_in, counts.records_out), (3, 2));
    let of = |batch: &Bytes| header(batch).delete_horizon();
    assert_eq!(
        out.iter().map(of).collect::<Vec<_>>(),
        [Some(NOW + RETENTION)]
    );
    log.batches = out;
    let (out, _, _) = pass(&log, 3, 3, NOW + RETENTION - 1);
    assert_eq!(out, log.batches);
    let (out, _, counts) = pass(&log, 3, 3, NOW + RETENTION);
    assert_eq!((counts.tombstones, counts.records_out), (1, 1));
    assert_eq!(
        of(&out[0]),
        Some(NOW + RETENTION),
        "it stays with the batch"
    );
    assert_eq!(records(&out[0])[0], log.written[&2].record);
}

#[test]
fn a_tombstone_that_the_map_does_not_have_is_not_met_yet() {
    let mut log = History::default();
    plain(&mut log, &rows(&[1]));
    plain(&mut log, &[(Some(1), None)]);
    let mut builder = MapBuilder::new(1 << 10, 0, Vec::new());
    builder.batch(&log.batches[0]).unwrap();
    let mut filter = Filter::new(builder.finish(1), Vec::new(), NOW, RETENTION);
    for batch in &log.batches {
        assert_eq!(filter.batch(batch), Ok(Kept::Original(batch)));
    }
}

#[test]
fn a_marker_goes_after_the_records_in_a_pass_of_its_own() {
    for outcome in [Outcome::Abort, Outcome::Commit] {
        let mut log = History::default();
        in_transaction(&mut log, &rows(&[1]));
        log.end_transaction(2, outcome);
        plain(&mut log, &rows(&[1]));
        let (out, forgotten, counts) = pass(&log, 0, 3, NOW);
        assert_eq!((out.len(), forgotten, counts.markers), (2, vec![], 0));
        assert_eq!(counts.aborted, u64::from(outcome == Outcome::Abort));
        let marker = header(&out[0]);
        assert_eq!(marker.delete_horizon(), Some(NOW + RETENTION));
        assert_eq!(
            ottla_codec::control::outcome(&marker, &out[0]),
            Some(outcome)
        );
        // Where the records are still there, it stays however late it is.
        let mut with_records = log.clone();
        with_records.batches.splice(1.., out.clone());
        let (again, forgotten, _) = pass(&with_records, 3, 3, NOW + RETENTION);
        assert!(forgotten.is_empty());
        assert!(again.contains(&out[0]));

        log.batches = out;
        let (early, forgotten, _) = pass(&log, 3, 3, NOW + RETENTION - 1);
        assert_eq!((early.len(), forgotten), (2, vec![]));
        let (late, forgotten, counts) = pass(&log, 3, 3, NOW + RETENTION);
        let told = match outcome {
            Outcome::Abort => vec![1],
            Outcome::Commit => vec![],
        };
        assert_eq!((late.len(), forgotten, counts.markers), (1, told, 1));
    }
}

#[test]
fn a_commit_marker_stays_as_long_as_a_record_does() {
    let mut log = History::default();
    in_transaction(&mut log, &rows(&[1, 2]));
    log.end_transaction(2, Outcome::Commit);
    plain(&mut log, &rows(&[1]));
    let (out, _, _) = pass(&log, 0, 4, NOW);
    assert_eq!(header(&out[0]).record_count, 1);
    assert_eq!(out[1], log.batches[1], "as it was, without a horizon");
}

#[test]
fn the_first_batch_of_a_pass_is_taken_in_part_where_it_does_not_fit() {
    let mut log = History::default();
    plain(&mut log, &rows(&[0, 1, 2, 3, 4]));
    let room = 3 * ENTRY_BYTES; // For two keys.
    let mut builder = MapBuilder::new(room, 0, Vec::new());
    assert_eq!(builder.batch(&log.batches[0]), Ok(Room::Full));
    assert_eq!(builder.finish(5).end, 2);
    let mut builder = MapBuilder::new(room, 2, Vec::new());
    builder.batch(&log.batches[0]).unwrap();
    assert_eq!(builder.finish(5).end, 4);
    let mut builder = MapBuilder::new(room, 4, Vec::new());
    assert_eq!(builder.batch(&log.batches[0]), Ok(Room::Left));
    assert_eq!(builder.finish(5).end, 5);

    // Behind another the pass ends before it.
    plain(&mut log, &rows(&[5, 6, 7, 8]));
    let mut builder = MapBuilder::new(room, 4, Vec::new());
    builder.batch(&log.batches[0]).unwrap();
    assert_eq!(builder.batch(&log.batches[1]), Ok(Room::Full));
    assert_eq!(builder.finish(9).end, 5);
}

#[test]
fn a_batch_that_is_none_is_an_error_in_both_halves() {
    let mut log = History::default();
    plain(&mut log, &rows(&[1]));
    in_transaction(&mut log, &rows(&[1]));
    log.end_transaction(2, Outcome::Abort);
    for batch in &log.batches {
        let bytes = &batch[..batch.len() - 1];
        let mut builder = MapBuilder::new(1 << 10, 0, Vec::new());
        let mapped = MapBuilder::new(1 << 10, 0, Vec::new()).finish(3);
        let mut filter = Filter::new(mapped, Vec::new(), NOW, RETENTION);
        if !header(batch).is_control() {
            assert!(builder.batch(bytes).is_err());
            assert!(filter.batch(bytes).is_err());
        }
    }
}

#[test]
fn a_horizon_that_never_comes_is_not_set() {
    let mut log = History::default();
    plain(&mut log, &[(Some(1), None)]);
    let mut builder = MapBuilder::new(1 << 10, 0, Vec::new());
    builder.batch(&log.batches[0]).unwrap();
    let mut filter = Filter::new(builder.finish(1), Vec::new(), NOW, i64::MAX);
    let batch = &log.batches[0];
    assert_eq!(filter.batch(batch), Ok(Kept::Original(batch)));
}
