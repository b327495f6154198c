//! A case: the records that were in flight when members died, searched by halves.
//!
//! Pure bookkeeping over offsets. Within a partition, what is nearer to the top of the stack has the smaller offsets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::partition::Range;
use crate::event::{Cause, DeadRecord};
use crate::{Offsets, TopicPartition};

/// More segments than this are joined at the bottom, so that a case stays small whatever happens.
const MOST_SEGMENTS: usize = 64;

/// What is searched in a group.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Case {
    /// The last one is the top: it alone is served.
    pub segments: Vec<Segment>,
    /// Records that failed alone and wait for a proof that the group works.
    pub condemned: BTreeMap<TopicPartition, Condemned>,
    /// Partitions in which something was committed since the case was opened, or a record was moved.
    pub proven: BTreeSet<TopicPartition>,
    /// Something was committed in the group since the case was opened.
    pub group_proven: bool,
    /// Only probes are left: the log ends behind what is condemned.
    pub waiting: bool,
    /// Partitions of which people were told that they are searched.
    pub told: BTreeSet<TopicPartition>,
    /// How many offsets were put into it, for a bound on how far a window grows.
    pub size: i64,
    /// The window has grown since the last death.
    pub widened: bool,
    /// Owners that have all of their window, and where it ended.
    #[serde(skip)]
    pub waits: BTreeMap<TopicPartition, i64>,
    /// When the window grows, on the monotonic clock.
    #[serde(skip)]
    pub patience_at_ms: Option<u64>,
    /// When it grows because nothing at all happened in it, while other partitions wait for it.
    #[serde(skip)]
    pub stalled_at_ms: Option<u64>,
}

/// Ranges that are served together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub ranges: Vec<Range>,
    pub verdict: Verdict,
    /// How often its only record failed alone.
    pub failures: u32,
    /// How many deaths it took part in.
    pub deaths: u32,
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    Unknown,
    /// A record in it fails.
    Bad,
    /// It and the segment above it are the halves of a bad one.
    BadIfAboveIsGood,
}

/// Neighbouring records that failed alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condemned {
    pub offsets: Offsets,
    pub records: Vec<CondemnedRecord>,
}

/// A record that failed alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CondemnedRecord {
    pub offset: i64,
    pub attempts: u32,
    pub reason: String,
    pub client: String,
}

impl CondemnedRecord {
    pub fn dead(&self) -> DeadRecord {
        DeadRecord {
            offset: self.offset,
            attempts: self.attempts,
            cause: Cause::CrashLoop,
            reason: self.reason.clone(),
            client: self.client.clone(),
        }
    }
}

/// What a death did to a case.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// The member was served nothing of the top segment.
    Elsewhere,
    /// The search goes on.
    Searched,
    /// This record failed alone, and often enough.
    Condemned { range: Range, deaths: u32 },
}

impl Segment {
    pub fn new(ranges: Vec<Range>, verdict: Verdict, deaths: u32) -> Segment {
        Segment {
            ranges,
            verdict,
            failures: 0,
            deaths,
        }
    }

    pub fn len(&self) -> i64 {
        len(&self.ranges)
    }
}

/// How many offsets these are.
pub(super) fn len(ranges: &[Range]) -> i64 {
    ranges
        .iter()
        .map(|r| r.offsets.until - r.offsets.from)
        .fold(0, i64::saturating_add)
}

impl Case {
    /// The window of a partition, if it is in the top segment.
    pub fn window(&self, at: &TopicPartition) -> Option<Offsets> {
        let top = self.segments.last()?;
        let range = top.ranges.iter().find(|r| r.at == *at)?;
        Some(range.offsets)
    }

    /// Whether the partition is searched, or has a condemned record.
    pub fn has(&self, at: &TopicPartition) -> bool {
        let ranges = self.segments.iter().flat_map(|s| &s.ranges);
        self.condemned.contains_key(at) || ranges.into_iter().any(|r| r.at == *at)
    }

    /// The first offset that is searched of a partition, or condemned.
    pub fn first(&self, at: &TopicPartition) -> Option<i64> {
        let ranges = self.segments.iter().flat_map(|s| &s.ranges);
        let searched = ranges.filter(|r| r.at == *at).map(|r| r.offsets.from);
        let condemned = self.condemned.get(at).map(|c| c.offsets.from);
        searched.chain(condemned).min()
    }

    /// Records before `position` have left, as the position says.
    pub fn moved(&mut self, at: &TopicPartition, position: i64) {
        if let Some(condemned) = self.condemned.get_mut(at)
            && condemned.offsets.from < position
        {
            condemned.records.retain(|r| r.offset >= position);
            condemned.offsets.from = position;
            if condemned.records.is_empty() {
                self.condemned.remove(at);
            }
            self.proven.remove(at);
        }
        self.trim(at, position, false);
    }

    /// All partitions of it.
    pub fn partitions(&self) -> BTreeSet<TopicPartition> {
        let ranges = self.segments.iter().flat_map(|s| &s.ranges);
        let ranges = ranges.map(|r| r.at.clone());
        ranges.chain(self.condemned.keys().cloned()).collect()
    }

    /// Puts a segment on top.
    pub fn push(&mut self, segment: Segment) {
        if segment.ranges.is_empty() {
            return;
        }
        self.segments.push(segment);
        while self.segments.len() > MOST_SEGMENTS {
            let above = self.segments.remove(1);
            let bottom = &mut self.segments[0];
            bottom.ranges = joined(above.ranges, std::mem::take(&mut bottom.ranges));
            bottom.verdict = Verdict::Unknown;
            bottom.failures = 0;
        }
    }

    /// Takes offsets before `until` out of all segments. With `committed` they were processed, which says something of the others.
    pub fn trim(&mut self, at: &TopicPartition, until: i64, committed: bool) {
        let top = self.segments.len().saturating_sub(1);
        for i in (0..self.segments.len()).rev() {
            let segment = &mut self.segments[i];
            let before = segment.ranges.len();
            for range in segment.ranges.iter_mut().filter(|r| r.at == *at) {
                range.offsets.from = range.offsets.from.max(until);
            }
            segment.ranges.retain(|r| r.offsets.from < r.offsets.until);
            if !segment.ranges.is_empty() || before == 0 {
                continue;
            }
            if let Some(below) = i.checked_sub(1).map(|i| &mut self.segments[i])
                && below.verdict == Verdict::BadIfAboveIsGood
            {
                below.verdict = match committed && i == top {
                    true => Verdict::Bad,
                    false => Verdict::Unknown,
                };
            }
        }
        self.segments.retain(|s| !s.ranges.is_empty());
    }

    /// Takes a partition out of it.
    pub fn remove(&mut self, at: &TopicPartition) {
        self.trim(at, i64::MAX, false);
        self.condemned.remove(at);
        self.proven.remove(at);
    }

    /// Probes for records behind those that are condemned.
    pub fn probes(&self) -> Vec<Range> {
        let condemned = self.condemned.iter();
        condemned
            .map(|(at, c)| Range {
                at: at.clone(),
                offsets: Offsets {
                    from: c.offsets.until,
                    until: c.offsets.until + 1,
                },
            })
            .collect()
    }
}

/// The ranges of two segments; `front` has the smaller offsets of the partitions that are in both.
pub(super) fn joined(front: Vec<Range>, back: Vec<Range>) -> Vec<Range> {
    let mut all = front;
    for range in back {
        match all.iter_mut().find(|r| r.at == range.at) {
            Some(before) => before.offsets.until = range.offsets.until,
            None => all.push(range),
        }
    }
    all
}
