//! Passes over random histories, against a model that knows all that was ever written.
//!
//! `PROPTEST_CASES=n` runs that many.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_codec::batch::check_crc;
use ottla_codec::compression::Compression;
use ottla_codec::control::Outcome;
use ottla_codec::records::Record;
use proptest::prelude::*;

use super::filter::{Filter, Kept};
use super::offset_map::ENTRY_BYTES;
use super::pass::{MapBuilder, Room};

mod cases;
mod history;

use history::{History, KeyValue, committed, fold, header, records};

#[derive(Debug, Clone)]
enum Step {
    Write {
        producer: i64,
        compression: Compression,
        is_log_time: bool,
        rows: Vec<KeyValue>,
    },
    End {
        producer: i64,
        outcome: Outcome,
    },
    Clock(i64),
    /// A reader gets so many batches; it asks for aborted transactions some time later.
    Read(usize),
    Ask,
    Pass(Plan),
}

#[derive(Debug, Clone)]
struct Plan {
    /// Which of the places where it may end; the last without.
    bound: Option<usize>,
    /// And where its last segment ends.
    range: Option<usize>,
    /// Keys that the map has room for.
    keys: usize,
    /// Batches of a segment.
    group: usize,
    /// Ends after so many segments, as if the disk were full.
    stop: Option<usize>,
}

fn all_of_it() -> Plan {
    Plan {
        bound: None,
        range: None,
        keys: 1_000,
        group: 1_000,
        stop: None,
    }
}

fn place(places: &[i64], which: Option<usize>) -> i64 {
    places[which.map_or(places.len() - 1, |which| which % places.len())]
}

fn step() -> impl Strategy<Value = Step> {
    let codecs = vec![
        Compression::None,
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let key = prop::option::weighted(0.9, 0_u8..6);
    let row = (key, prop::option::weighted(0.7, 0_u8..9));
    let write = (
        0_i64..5,
        prop::sample::select(codecs),
        prop::bool::weighted(0.1),
        prop::collection::vec(row, 1..5),
    );
    let plan = (
        prop::option::of(0_usize..100),
        prop::option::of(0_usize..100),
        prop_oneof![Just(1_000), 1_usize..6],
        1_usize..9,
        prop::option::weighted(0.2, 0_usize..3),
    );
    prop_oneof![
        8 => write.prop_map(|(producer, compression, is_log_time, rows)| Step::Write { producer, compression, is_log_time, rows }),
        4 => (2_i64..5, any::<bool>()).prop_map(|(producer, commit)| Step::End {
            producer,
            outcome: if commit { Outcome::Commit } else { Outcome::Abort },
        }),
        2 => (0_i64..150).prop_map(Step::Clock),
        2 => (1_usize..6).prop_map(Step::Read),
        2 => Just(Step::Ask),
        3 => plan.prop_map(|(bound, range, keys, group, stop)| Step::Pass(Plan { bound, range, keys, group, stop })),
        1 => Just(Step::Pass(all_of_it())),
    ]
}

/// A reader that is under way, from offset 0 on.
#[derive(Debug, Default)]
struct Reader {
    began_ms: i64,
    position: i64,
    seen: Vec<Record>,
    /// What it got and did not ask about yet; and passes since.
    pending: Option<(Vec<Bytes>, usize)>,
}

struct World {
    log: History,
    now_ms: i64,
    retention_ms: i64,
    cleaned_to: i64,
    /// By base offset.
    horizons: BTreeMap<i64, i64>,
    reader: Reader,
}

impl World {
    fn new(retention_ms: i64) -> World {
        World {
            log: History::default(),
            now_ms: 10_000,
            retention_ms,
            cleaned_to: 0,
            horizons: BTreeMap::new(),
            reader: Reader {
                began_ms: 10_000,
                ..Reader::default()
            },
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write {
                producer,
                compression,
                is_log_time,
                rows,
            } => self.log.write(*producer, *compression, *is_log_time, rows),
            Step::End { producer, outcome } => self.log.end_transaction(*producer, *outcome),
            Step::Clock(ms) => self.now_ms += ms,
            Step::Read(count) => {
                self.ask();
                let batches = self.log.read(self.reader.position, *count);
                self.reader.pending = Some((batches, 0));
            }
            Step::Ask => self.ask(),
            Step::Pass(plan) => self.pass(plan),
        }
    }

    /// Ends the reader's fetch.
    fn ask(&mut self) {
        let Some((batches, _)) = self.reader.pending.take() else {
            return;
        };
        let Some(last) = batches.last() else {
            return;
        };
        let (from, next) = (self.reader.position, header(last).next_offset());
        let aborted = self.log.aborted_between(from, next);
        let seen = committed(&batches, &aborted, from);
        let is_expected = |r: &Record| r.offset >= from && !self.log.is_aborted(r.offset);
        let data = batches.iter().filter(|b| !header(b).is_control());
        let expected: Vec<Record> = data.flat_map(records).filter(is_expected).collect();
        assert_eq!(seen, expected, "what a reader from {from} on is told");
        self.reader.seen.extend(seen);
        self.reader.position = next;
    }

    /// Every reader of what is there now sees what is committed, and the last value of each key.
    fn check_readers(&self, folded: &BTreeMap<Bytes, Bytes>) {
        let stable = self.log.last_stable_offset();
        let mut committed = self.log.offsets();
        committed.retain(|o| *o < stable && !self.log.is_aborted(*o));
        for (quarter, count) in [(0, 1), (0, usize::MAX), (1, 2), (2, 3), (3, 2)] {
            let from = stable * quarter / 4;
            let seen = self.read_all(from, count);
            assert!(
                seen.iter().map(|r| &r.offset).eq(committed.range(from..)),
                "a reader from {from} on sees what is committed, in fetches of {count}"
            );
            if from == 0 {
                assert_eq!(&fold(&seen), folded);
            }
        }
    }

    fn read_all(&self, from: i64, count: usize) -> Vec<Record> {
        let (mut position, mut all) = (from, Vec::new());
        loop {
            let batches = self.log.read(position, count);
            let Some(last) = batches.last() else {
                return all;
            };
            let next = header(last).next_offset();
            let aborted = self.log.aborted_between(position, next);
            all.extend(committed(&batches, &aborted, position));
            position = next;
        }
    }

    fn pass(&mut self, plan: &Plan) {
        // The order that a broker promises is held over one pass: no fetch takes as long as two.
        match &mut self.reader.pending {
            Some((_, passes @ 0)) => *passes = 1,
            _ => self.ask(),
        }
        let mut boundaries = self.log.boundaries();
        boundaries.retain(|b| *b >= self.cleaned_to);
        let bound = place(&boundaries, plan.bound);
        let mut builder = MapBuilder::new(
            // A table is at most 9/10 full.
            (plan.keys * 10).div_ceil(9) * ENTRY_BYTES,
            self.cleaned_to,
            self.log.aborted_between(self.cleaned_to, bound),
        );
        for batch in self
            .log
            .batches
            .iter()
            .filter(|b| header(b).base_offset < bound)
        {
            if builder.batch(batch).unwrap() == Room::Full {
                break;
            }
        }
        let mapped = builder.finish(bound);
        let end = mapped.end;
        assert!(end <= bound && (end > self.cleaned_to || bound == self.cleaned_to));
        let beyond: Vec<i64> = boundaries.into_iter().filter(|b| *b >= end).collect();
        let range = place(&beyond, plan.range);

        let before = self.log.clone();
        let folded = fold(&self.read_all(0, usize::MAX));
        let aborted = self.log.aborted_between(0, range);
        let mut filter = Filter::new(mapped, aborted, self.now_ms, self.retention_ms);
        assert_eq!(filter.map_end(), end);
        let in_range = |b: &&Bytes| header(b).base_offset < range;
        let sources: Vec<Bytes> = before.batches.iter().filter(in_range).cloned().collect();
        let rest = before.batches[sources.len()..].to_vec();
        let mut done: Vec<Bytes> = Vec::new();
        for (i, group) in sources.chunks(plan.group).enumerate() {
            if plan.stop == Some(i) {
                break;
            }
            let kept: Vec<Bytes> = group
                .iter()
                .filter_map(|b| filter.batch(b).unwrap().bytes().map(Bytes::copy_from_slice))
                .collect();
            self.log.forget_aborted(&filter.take_forgotten());
            self.check_readers(&folded);
            done.extend(kept);
            let after = sources.iter().skip((i + 1) * plan.group).chain(&rest);
            self.log.batches = done.iter().chain(after).cloned().collect();
            self.check_readers(&folded);
        }
        self.check_survivors();
        if plan.stop.is_some() {
            // Horizons of what was put in place are there.
            let thinned = self.log.batches.iter().map(|b| header(b));
            self.horizons = thinned
                .filter_map(|h| Some((h.base_offset, h.delete_horizon()?)))
                .collect();
            return;
        }
        self.check_against_model(&before, bound, end, range);
        self.cleaned_to = end;
        self.check_idempotent(range);
    }

    /// What is there is as it was written.
    fn check_survivors(&self) {
        let mut last = -1;
        for batch in &self.log.batches {
            let now = header(batch);
            check_crc(batch).unwrap();
            assert!(now.base_offset > last);
            last = now.last_offset();
            if now.is_control() {
                continue;
            }
            for record in records(batch) {
                let was = &self.log.written[&record.offset];
                assert_eq!(record, was.record);
                assert_eq!(
                    (
                        now.base_offset,
                        now.last_offset_delta,
                        now.leader_epoch,
                        now.attributes & !0x40
                    ),
                    (
                        was.batch.base_offset,
                        was.batch.last_offset_delta,
                        was.batch.leader_epoch,
                        was.batch.attributes
                    ),
                );
                assert_eq!(
                    (now.producer_id, now.producer_epoch, now.base_sequence),
                    (
                        was.batch.producer_id,
                        was.batch.producer_epoch,
                        was.batch.base_sequence
                    ),
                );
            }
        }
    }

    /// What a whole pass left of `before`, by the rules as the documentation gives them.
    fn check_against_model(&mut self, before: &History, bound: i64, end: i64, range: i64) {
        let old = before.offsets();
        let left = self.log.offsets();
        let newest = |key: &Bytes, from: i64, to: i64| -> Option<i64> {
            let all = before.written.range(from..to).rev();
            let mut of_key = all.filter(|(_, w)| w.record.key.as_ref() == Some(key));
            of_key
                .find(|(o, _)| !before.is_aborted(**o))
                .map(|(o, _)| *o)
        };
        for &offset in &old {
            let was = &before.written[&offset];
            let base = was.batch.base_offset;
            let stays = left.contains(&offset);
            let is_due = self.horizons.get(&base).is_some_and(|h| *h <= self.now_ms);
            if base >= range {
                assert!(stays, "{offset} is not in the pass");
            } else if before.is_aborted(offset) {
                assert!(!stays, "{offset} was aborted");
            } else if offset >= end {
                assert!(stays, "{offset} is above the map's end");
            } else {
                let Some(key) = &was.record.key else {
                    assert!(!stays, "{offset} has no key");
                    continue;
                };
                let is_old = newest(key, offset + 1, end).is_some();
                let may_go = newest(key, offset + 1, bound).is_some();
                let is_gone_tombstone = was.record.value.is_none() && is_due;
                if is_old || is_gone_tombstone {
                    assert!(!stays, "{offset} is superseded or its time has come");
                } else if !may_go {
                    assert!(stays, "{offset} is the last of its key");
                }
            }
        }
        assert!(left.is_subset(&old));

        let new_horizon = self.now_ms.checked_add(self.retention_ms);
        let mut horizons = BTreeMap::new();
        let mut markers: BTreeSet<i64> = BTreeSet::new();
        for batch in &before.batches {
            let was = header(batch);
            let base = was.base_offset;
            let mut horizon = self.horizons.get(&base).copied();
            let touched = base < range && was.next_offset() <= end;
            if was.is_control() {
                let of = before.ended.iter().find(|t| t.marker == base);
                let has = |offsets: &BTreeSet<i64>| {
                    let Some(of) = of else { return false };
                    let mut all = offsets.range(of.first_offset..of.marker);
                    all.any(|o| before.written[o].batch.producer_id == of.producer_id)
                };
                if touched && !has(&left) {
                    if !has(&old) && horizon.is_some_and(|h| h <= self.now_ms) {
                        continue;
                    }
                    horizon = horizon.or(new_horizon);
                }
                markers.insert(base);
            } else {
                let mut kept = left.range(base..was.next_offset());
                let has_tombstone = kept.any(|o| before.written[o].record.value.is_none());
                if touched && has_tombstone {
                    horizon = horizon.or(new_horizon);
                }
                if left.range(base..was.next_offset()).next().is_none() {
                    continue;
                }
            }
            horizons.extend(horizon.map(|h| (base, h)));
        }
        let is_marker = |b: &&Bytes| header(b).is_control();
        let left_markers = self.log.batches.iter().filter(is_marker);
        let left_markers: BTreeSet<i64> = left_markers.map(|b| header(b).base_offset).collect();
        assert_eq!(left_markers, markers);
        let thinned = self.log.batches.iter().map(|b| header(b));
        let found: BTreeMap<i64, i64> = thinned
            .filter_map(|h| Some((h.base_offset, h.delete_horizon()?)))
            .collect();
        assert_eq!(found, horizons);
        self.horizons = horizons;
        for aborted in &self.log.aborted {
            assert!(
                markers.contains(&aborted.last_offset),
                "one without a marker is not told of any more"
            );
        }
    }

    /// The same pass again, at the same time, changes nothing.
    fn check_idempotent(&self, range: i64) {
        if self.retention_ms == 0 {
            return;
        }
        let mapped = MapBuilder::new(0, self.cleaned_to, Vec::new()).finish(self.cleaned_to);
        let aborted = self.log.aborted_between(0, range);
        let mut filter = Filter::new(mapped, aborted, self.now_ms, self.retention_ms);
        for batch in self
            .log
            .batches
            .iter()
            .filter(|b| header(b).base_offset < range)
        {
            assert_eq!(filter.batch(batch).unwrap(), Kept::Original(batch));
        }
        assert_eq!(filter.take_forgotten(), [] as [i64; 0]);
        let counts = filter.counts();
        assert_eq!(
            (counts.bytes_in, counts.records_in),
            (counts.bytes_out, counts.records_out)
        );
    }

    /// A reader that was not slower than `delete.retention.ms` knows the last value of every key.
    fn check_reader(&mut self) {
        let stable = self.log.last_stable_offset();
        self.ask();
        while self.reader.position < stable {
            let batches = self.log.read(self.reader.position, usize::MAX);
            if batches.is_empty() {
                break;
            }
            self.reader.pending = Some((batches, 0));
            self.ask();
        }
        if self.now_ms.saturating_sub(self.reader.began_ms) < self.retention_ms {
            let written = self.log.written.range(..stable);
            let of_all: Vec<Record> = written
                .filter(|(o, _)| !self.log.is_aborted(**o))
                .map(|(_, w)| w.record.clone())
                .collect();
            assert_eq!(fold(&self.reader.seen), fold(&of_all));
        }
    }

    /// Passes long after leave of every key one value, and markers for records that are there alone.
    fn check_the_end(&mut self) {
        if self.retention_ms == i64::MAX {
            return;
        }
        for _ in 0..3 {
            self.pass(&all_of_it());
            self.now_ms += self.retention_ms + 1;
        }
        self.pass(&all_of_it());
        let stable = self.log.last_stable_offset();
        let mut keys = BTreeSet::new();
        let offsets = self.log.offsets();
        for offset in offsets.range(..stable) {
            let record = &self.log.written[offset].record;
            assert!(keys.insert(record.key.clone().unwrap()), "{offset}");
            assert!(record.value.is_some(), "{offset}");
        }
        for batch in &self.log.batches {
            let header = header(batch);
            if header.is_control() && header.base_offset < stable {
                let of = |offset: &i64| {
                    let transaction = self.log.transaction(*offset);
                    transaction.is_some_and(|t| t.marker == header.base_offset)
                };
                assert!(offsets.iter().any(of), "marker {}", header.base_offset);
            }
        }
        let is_over = |marker: i64| marker < stable;
        assert!(!self.log.aborted.iter().any(|a| is_over(a.last_offset)));
    }
}

proptest! {
    #[test]
    fn passes_keep_what_the_model_says(
        steps in prop::collection::vec(step(), 1..40),
        retention_ms in prop::sample::select(vec![0, 1, 100, 100, 1_000, i64::MAX]),
    ) {
        let mut world = World::new(retention_ms);
        for step in &steps {
            world.step(step);
        }
        world.check_reader();
        world.check_the_end();
    }
}
