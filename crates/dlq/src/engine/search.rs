//! The search in a case: what deaths and waiting say of its segments.

use super::case::{Case, Death, Segment, Verdict, joined, len};
use super::partition::Range;
use crate::{Offsets, TopicPartition};

impl Case {
    /// A top segment that is known to be bad is split without another death.
    pub fn split_while_bad(&mut self) {
        while let Some(top) = self.segments.last()
            && top.verdict == Verdict::Bad
            && top.len() > 1
        {
            let top = self.segments.pop().expect("seen above");
            let half = top.len() / 2;
            self.push_halves(top.ranges, half, top.deaths);
        }
    }

    fn push_halves(&mut self, ranges: Vec<Range>, half: i64, deaths: u32) {
        let (front, back) = split(ranges, half);
        self.push(Segment::new(back, Verdict::BadIfAboveIsGood, deaths));
        self.push(Segment::new(front, Verdict::Unknown, deaths));
    }

    /// A member died that had `in_flight` unconfirmed. `pure`: that is all it had.
    pub fn death(&mut self, in_flight: Vec<Range>, pure: bool, isolation_attempts: u32) -> Death {
        let Some(top) = self.segments.last() else {
            return Death::Elsewhere;
        };
        let window = |at: &TopicPartition| {
            let range = top.ranges.iter().find(|r| r.at == *at);
            range.map(|r| r.offsets)
        };
        let (mut suspects, foreign): (Vec<Range>, Vec<Range>) = in_flight
            .iter()
            .cloned()
            .partition(|r| window(&r.at).is_some_and(|w| r.offsets.until > w.from));
        if suspects.is_empty() {
            return Death::Elsewhere;
        }
        let mut begins_before = false;
        for range in &mut suspects {
            let from = window(&range.at).map_or(range.offsets.from, |w| w.from);
            begins_before |= range.offsets.from < from;
            range.offsets.from = range.offsets.from.min(from);
        }
        // In a window that ends with a gap a member may be served one record beyond it. The next window is smaller than this
        // one all the same, down to one offset, of which it is known that a single record was served.
        let within = suspects.iter().map(|r| {
            let end = window(&r.at).map_or(r.offsets.until, |w| w.until);
            r.offsets.until.min(end) - r.offsets.from
        });
        let half = (within.fold(0, i64::saturating_add) / 2).max(1);
        self.size = self.size.saturating_add(len(&foreign));
        let top = self.segments.pop().expect("seen above");
        if let Some(below) = self.segments.last_mut()
            && below.verdict == Verdict::BadIfAboveIsGood
        {
            below.verdict = Verdict::Unknown;
        }
        for range in &in_flight {
            self.trim(&range.at, range.offsets.until, false);
        }
        let deaths = top.deaths.saturating_add(1);
        let one = top.len() == 1 && !begins_before;
        let failures = if one { top.failures } else { 0 };
        // What it was not served of the top is as good as before.
        let mut unserved = top.clone();
        for range in &suspects {
            let left = unserved.ranges.iter_mut().filter(|r| r.at == range.at);
            for left in left {
                left.offsets.from = left.offsets.from.max(range.offsets.until);
            }
        }
        unserved.ranges.retain(|r| r.offsets.from < r.offsets.until);
        unserved.verdict = Verdict::Unknown;
        unserved.failures = 0;
        self.push(unserved);

        let alone = suspects.len() == 1 && (one || len(&suspects) == 1);
        if !alone && foreign.is_empty() {
            self.push_halves(suspects, half, deaths);
            return Death::Searched;
        }
        // Records that were outside of the case were in flight, too. They wait, so that the next death is told from theirs.
        let outside = !foreign.is_empty();
        self.push(Segment::new(foreign, Verdict::BadIfAboveIsGood, 1));
        if !alone {
            self.push(Segment::new(suspects, Verdict::Unknown, deaths));
            return Death::Searched;
        }
        let Some(mut range) = suspects.into_iter().next() else {
            return Death::Searched;
        };
        let counts = pure && !outside;
        let failures = failures + u32::from(counts);
        if counts && failures >= isolation_attempts {
            return Death::Condemned { range, deaths };
        }
        // With a gap in the offsets the window begins before the record, and stays one offset long.
        range.offsets.until = range.offsets.from + 1;
        self.push(Segment {
            ranges: vec![range],
            verdict: Verdict::Unknown,
            failures,
            deaths,
        });
        Death::Searched
    }

    /// The window grows: by the segment below it, or to twice its size. `false`: it has grown enough to be given up.
    pub fn widen(&mut self) -> bool {
        let Some(top) = self.segments.pop() else {
            return false;
        };
        self.widened = true;
        let mut ranges = top.ranges;
        match self.segments.pop() {
            Some(below) => ranges = joined(ranges, below.ranges),
            None => {
                for Range { offsets, .. } in &mut ranges {
                    let len = offsets.until - offsets.from;
                    offsets.until = offsets.until.saturating_add(len);
                }
                if len(&ranges) > self.size.max(64).saturating_mul(4) {
                    return false;
                }
            }
        }
        self.segments
            .push(Segment::new(ranges, Verdict::Unknown, top.deaths));
        true
    }
}

/// The first `count` offsets of the ranges, and the others.
fn split(ranges: Vec<Range>, count: i64) -> (Vec<Range>, Vec<Range>) {
    let (mut front, mut back, mut left) = (Vec::new(), Vec::new(), count);
    for range in ranges {
        let Offsets { from, until } = range.offsets;
        let cut = from + left.min(until - from);
        left -= cut - from;
        let part = |from, until| Range {
            at: range.at.clone(),
            offsets: Offsets { from, until },
        };
        if cut > from {
            front.push(part(from, cut));
        }
        if until > cut {
            back.push(part(cut, until));
        }
    }
    (front, back)
}
