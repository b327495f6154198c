//! What must hold when a file is damaged: the rules of docs/CRASH_SUITE.md, each held against all that was served before.

use std::collections::BTreeSet;
use std::path::Path;

use super::harm::FileKind;
use crate::crash::picture::Picture;
use crate::crash::promises::Promise;

/// What a start on damaged files came to.
pub(super) enum Outcome {
    /// It ended, and said this.
    Refused(String),
    Served(Picture),
}

/// Where what is served differs from what was.
#[derive(Default)]
pub(super) struct Difference {
    /// The partition says that it cannot read them.
    told: BTreeSet<(String, i32, i64)>,
    /// It serves something else at their place, or nothing, without a word.
    silent: BTreeSet<(String, i32, i64)>,
    /// Topics, partitions' ends, positions, the cluster's id.
    others: Vec<String>,
}

impl Difference {
    fn between(before: &Picture, after: &Picture) -> Difference {
        let mut found = Difference::default();
        if before.cluster_id != after.cluster_id {
            let (was, is) = (&before.cluster_id, &after.cluster_id);
            found.others.push(format!("cluster {was} is {is}"));
        }
        for (place, at) in &before.positions {
            let now = after.positions.get(place);
            if now != Some(at) {
                found
                    .others
                    .push(format!("{place:?} was at {at}, is at {now:?}"));
            }
        }
        for ((topic, index), was) in &before.partitions {
            let name = format!("{topic}-{index}");
            let Some(is) = after.partitions.get(&(topic.clone(), *index)) else {
                found.others.push(format!("{name} is gone"));
                continue;
            };
            if was.topic_id != is.topic_id {
                found.others.push(format!("{name} is another topic"));
            }
            if (was.start, was.end) != (is.start, is.end) {
                found.others.push(format!(
                    "{name} was {}..{}, is {}..{}",
                    was.start, was.end, is.start, is.end
                ));
            }
            let offsets: BTreeSet<i64> = was
                .records
                .keys()
                .chain(is.records.keys())
                .copied()
                .collect();
            for offset in offsets {
                let place = (topic.clone(), *index, offset);
                match (was.records.get(&offset), is.records.get(&offset)) {
                    (was, is) if was == is => {}
                    (_, Some(Err(_))) => _ = found.told.insert(place),
                    _ => _ = found.silent.insert(place),
                }
            }
        }
        found
    }

    fn is_none(&self) -> bool {
        self.told.is_empty() && self.silent.is_empty() && self.others.is_empty()
    }

    fn summary(&self) -> String {
        let first = |set: &BTreeSet<_>| format!("{}, from {:?}", set.len(), set.first());
        format!(
            "not readable: {}; absent or wrong: {}; {:?}",
            first(&self.told),
            first(&self.silent),
            self.others
        )
    }
}

/// Holds what a start came to against what was served before. `file` is the harmed one, by its path in the data directory; `what` tells
/// of it; `check` is what `ottla check` said, if it found anything. Returns how it went, in words.
pub(super) fn judge(
    file: &Path,
    what: &str,
    before: &Picture,
    outcome: &Outcome,
    check: Option<&str>,
) -> String {
    let kind = FileKind::of(file);
    let picture = match outcome {
        Outcome::Refused(said) => {
            let words: &[&str] = match kind {
                FileKind::Journal => &["/journal", "ottla.journal.cut.damaged=true"],
                FileKind::Catalogue => &["/meta", "ottla snapshot restore"],
                FileKind::Properties => &["meta.properties"],
                _ => panic!("{what}: refused, for a file that can be done without: {said}"),
            };
            for word in words {
                Promise::Told.hold(said.contains(word), || {
                    format!("{what}: the message has no {word}: {said}")
                });
            }
            return "refused, with the file and a way out".to_owned();
        }
        Outcome::Served(picture) => picture,
    };
    let found = Difference::between(before, picture);
    if found.is_none() {
        return "all is served".to_owned();
    }
    let lost = found.silent.len() as u64;
    if kind != FileKind::Segment {
        Promise::Kept.hold_all(lost.max(1), || format!("{what}: {}", found.summary()));
    }
    // Only in the partition and behind the base offset of the segment; and the check names it.
    let dir = file
        .parent()
        .and_then(Path::file_name)
        .and_then(|n| n.to_str());
    let base = file
        .file_stem()
        .and_then(|n| n.to_str())
        .and_then(|n| n.split('.').next());
    let base: i64 = base.and_then(|b| b.parse().ok()).expect("a segment's name");
    let strayed = found
        .told
        .iter()
        .chain(&found.silent)
        .find(|(topic, index, offset)| {
            let of_this =
                dir.is_some_and(|dir| dir.starts_with('~') || dir == format!("{topic}-{index}"));
            !of_this || *offset < base
        });
    Promise::Kept.hold(strayed.is_none() && found.others.is_empty(), || {
        format!(
            "{what}: not of this segment: {strayed:?}; {}",
            found.summary()
        )
    });
    Promise::Told.hold(
        check.is_some_and(|said| said.contains(&base.to_string())),
        || format!("{what}: the check does not tell: {check:?}"),
    );
    // Base offset and leader epoch are outside of a batch's checksum, as in Kafka: the check alone sees a changed one between two others.
    Promise::Kept.hold_all(
        if super::is_outside_of_checksums(what) {
            0
        } else {
            lost
        },
        || format!("{what}: {}", found.summary()),
    );
    format!("{} records are told to be damaged", found.told.len())
}

/// Records that a start said it gave up: partition by topic's name and index, from, until.
fn told_as_lost(said: &str) -> Vec<((String, i32), i64, i64)> {
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}="))?;
        let value = rest.split(' ').next()?;
        Some(value.trim_matches('"').to_owned())
    };
    let lines = said.lines().filter(|l| l.contains("records are lost"));
    let told = lines.map(|line| {
        let number = |name| field(line, name)?.parse::<i64>().ok();
        let topic = field(line, "topic")?;
        let place = (topic, i32::try_from(number("partition")?).ok()?);
        Some((place, number("from")?, number("until")?))
    });
    told.map(|place| place.expect("a line with all of its fields"))
        .collect()
}

/// Holds what readers of committed records see after a cut against what they saw before: nothing else. A transaction whose end is given up
/// is open, or aborted: its records are not shown any more.
pub(super) fn judge_shown(what: &str, before: &Picture, after: &Picture) -> String {
    let mut shown = 0;
    for (place, was) in &before.partitions {
        let is = after.partitions.get(place);
        let Some(is) = is.filter(|is| is.topic_id == was.topic_id) else {
            continue;
        };
        for (offset, record) in is.records.range(was.start..) {
            let same = was.records.get(offset) == Some(record);
            Promise::Atomic.hold(same, || {
                format!("{what}: {place:?} shows {record:?} at {offset}")
            });
            shown += 1;
        }
    }
    format!("{shown} are shown")
}

/// Holds a journal that was cut on demand against all records that were there before: what is there is a beginning, and what is gone is told.
pub(super) fn judge_cut(what: &str, before: &Picture, after: &Picture, said: &str) -> String {
    let mut gone = 0;
    for (place, was) in &before.partitions {
        // If the topic's making is given up, so may be the deletion of an earlier one of its name.
        let is = after.partitions.get(place);
        let is = is.filter(|is| is.topic_id == was.topic_id).cloned();
        let is = is.unwrap_or_default();
        Promise::Kept.hold(is.start <= was.start && is.end <= was.end, || {
            format!(
                "{what}: {place:?} was {}..{}, is {}..{}",
                was.start, was.end, is.start, is.end
            )
        });
        // What stood before the log start was deleted. Where that is given up, its files may be gone already: nothing is promised of it.
        for (offset, record) in is.records.range(was.start..) {
            let same = was.records.get(offset) == Some(record);
            Promise::Kept.hold(same, || {
                format!("{what}: {place:?} at {offset} is {record:?}")
            });
        }
        let lost = was.records.keys().filter(|at| !is.records.contains_key(at));
        let before_end = lost.clone().filter(|at| **at < is.end).count() as u64;
        Promise::Kept.hold_all(before_end, || format!("{what}: {place:?} has holes"));
        gone += lost.count();
    }
    for (place, at) in &before.positions {
        let now = after.positions.get(place).copied().unwrap_or(-1);
        Promise::Kept.hold(now <= *at, || {
            format!("{what}: {place:?} was at {at}, and is at {now} after the cut")
        });
    }
    Promise::Told.hold(gone == 0 || said.contains("commits are lost"), || {
        format!("{what}: {gone} records are given up, and nobody says so")
    });
    for (place, from, until) in told_as_lost(said) {
        let is = after.partitions.get(&place);
        // Not there if the topic was deleted, and that is given up, too.
        let was = before.partitions.get(&place);
        let was = was.filter(|was| is.is_some_and(|is| is.topic_id == was.topic_id));
        let [is, was] = [is, was].map(|p| p.map(|p| p.end));
        let fits = is == Some(from) && from < until && was.is_none_or(|end| until <= end);
        Promise::Told.hold(fits, || {
            format!("{what}: {place:?} is said to have lost {from}..{until}, ended at {was:?} and ends at {is:?}")
        });
    }
    format!("given up on demand: {gone} records")
}
