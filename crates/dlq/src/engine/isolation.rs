//! Isolation: a group's case from its opening to its end. The bookkeeping of the search itself is in `case.rs`.

use super::case::{Condemned, CondemnedRecord, Segment, Verdict};
use super::group::{Group, Turn};
use super::moves::{Origin, Plan};
use super::partition::Range;
use crate::event::{Alert, Destination};
use crate::settings::Mode;
use crate::{Offsets, TopicPartition};

/// Condemned records of a case that wait for a proof; with more, it is given up.
const MOST_CONDEMNED: usize = 100;
/// A case in which nothing happens goes on after twice the members' rebalance time-out, and not sooner than this.
const SHORTEST_STALL_MS: u64 = 60_000;
/// How often patience doubles for consumers that die later than it expects.
pub(super) const MOST_DOUBLINGS: u32 = 6;

impl Group {
    /// Begins to search what a member had in flight when it died, or adds it to what is searched already.
    pub fn open_case(
        &mut self,
        turn: &mut Turn<'_>,
        looping: &[TopicPartition],
        in_flight: Vec<Range>,
    ) {
        let case = self.case.get_or_insert_default();
        let mut ranges = in_flight;
        ranges.retain(|r| !case.has(&r.at));
        // The poison is likelier where nothing moved for longer.
        let attempts = |r: &Range| {
            let suspect = self.partitions.get(&r.at).and_then(|p| p.suspect.as_ref());
            suspect.map_or(0, |s| s.count)
        };
        ranges.sort_by_cached_key(|r| std::cmp::Reverse(attempts(r)));
        let deaths = looping.iter().filter_map(|at| {
            let suspect = self.partitions.get(at)?.suspect.as_ref()?;
            Some(suspect.count)
        });
        let deaths = deaths.max().unwrap_or(1);
        let segment = Segment::new(ranges, Verdict::Bad, deaths);
        case.size = case.size.saturating_add(segment.len());
        case.push(segment);
        self.settle(turn);
    }

    /// A record failed alone, and often enough.
    pub fn condemn(
        &mut self,
        turn: &mut Turn<'_>,
        range: Range,
        deaths: u32,
        reason: String,
        client: String,
    ) {
        let Some(case) = &mut self.case else { return };
        let Range { at, offsets } = range;
        let record = CondemnedRecord {
            offset: offsets.from,
            attempts: deaths,
            reason,
            client,
        };
        match case.condemned.get_mut(&at) {
            Some(before) => {
                before.offsets.until = offsets.until;
                before.records.push(record);
            }
            None => {
                let records = vec![record];
                case.condemned
                    .insert(at.clone(), Condemned { offsets, records });
            }
        }
        if !case.proven.contains(&at) {
            // The record behind it, alone: if that one can be processed, the group works.
            let probe = Range {
                at: at.clone(),
                offsets: Offsets {
                    from: offsets.until,
                    until: offsets.until + 1,
                },
            };
            case.trim(&at, probe.offsets.until, false);
            case.push(Segment::new(vec![probe], Verdict::Unknown, 0));
        }
        let waiting = case.condemned.values().map(|c| c.records.len()).sum();
        if let Some(reason) = self.count_condemned(turn, &at, waiting) {
            self.open_breaker(turn, reason);
        } else if waiting >= MOST_CONDEMNED {
            self.end_case(turn);
        }
    }

    /// Something was committed in a partition.
    pub fn case_progress(&mut self, turn: &mut Turn<'_>, at: &TopicPartition, offset: i64) {
        let Some(case) = &mut self.case else { return };
        case.group_proven = true;
        if case.has(at) {
            case.proven.insert(at.clone());
            case.trim(at, offset, true);
            case.patience_at_ms = None;
        } else if !case.waiting {
            return;
        }
        self.settle(turn);
    }

    /// A partition's position has changed by other means than progress, or it must not be searched any more.
    pub fn leave_case(&mut self, turn: &mut Turn<'_>, at: &TopicPartition) {
        if let Some(case) = &mut self.case
            && case.has(at)
        {
            case.remove(at);
            self.settle(turn);
        }
    }

    /// Takes the steps that need no event.
    pub fn settle(&mut self, turn: &mut Turn<'_>) {
        let Some(case) = &mut self.case else { return };
        for at in case.told.iter().chain(&case.partitions()) {
            turn.touch(at);
        }
        if case.waiting && case.group_proven {
            case.segments.clear();
            case.waiting = false;
        }
        case.split_while_bad();
        case.stalled_at_ms = None;
        let proven = case.condemned.keys().filter(|at| case.proven.contains(*at));
        let mut ready: Vec<(TopicPartition, usize)> =
            proven.map(|at| (at.clone(), usize::MAX)).collect();
        if case.segments.is_empty() {
            if case.condemned.is_empty() {
                self.patience_doublings = 0;
                return self.end_case(turn);
            }
            if case.group_proven {
                ready = case
                    .condemned
                    .keys()
                    .map(|at| (at.clone(), usize::MAX))
                    .collect();
            } else if !self.breaker.counts.unproven
                && let Some(at) = case.condemned.keys().next()
            {
                // Nothing can prove that the group works. One record goes on trust.
                self.breaker.counts.unproven = true;
                ready = vec![(at.clone(), 1)];
            } else if !self.is_moving_condemned() {
                let Some(case) = &mut self.case else { return };
                let probes = case.probes();
                case.push(Segment::new(probes, Verdict::Unknown, 0));
                case.waiting = true;
            }
        }
        for (at, count) in ready {
            self.move_condemned(turn, &at, count);
        }
    }

    fn is_moving_condemned(&self) -> bool {
        let condemned = self.case.iter().flat_map(|c| c.condemned.keys());
        condemned
            .into_iter()
            .any(|at| self.partitions.get(at).is_some_and(|p| p.moving.is_some()))
    }

    fn move_condemned(&mut self, turn: &mut Turn<'_>, at: &TopicPartition, count: usize) {
        let partition = self.partitions.entry(at.clone()).or_default();
        if partition.moving.is_some() {
            return;
        }
        let expected = partition.position;
        let Some(condemned) = self.case.as_ref().and_then(|c| c.condemned.get(at)) else {
            return;
        };
        let position = match condemned.records.get(count) {
            Some(next) => next.offset,
            None => condemned.offsets.until,
        };
        let records = condemned
            .records
            .iter()
            .take(count)
            .map(CondemnedRecord::dead);
        let records = records.collect();
        let plan = Plan {
            at: at.clone(),
            records,
            to: Destination::DeadLetters,
            expected,
            position,
            origin: Origin::Case,
        };
        self.ask_for(turn, plan);
    }

    /// Condemned records before `position` have left.
    pub fn case_moved(&mut self, turn: &mut Turn<'_>, at: &TopicPartition, position: i64) {
        if let Some(case) = &mut self.case {
            case.moved(at, position);
            self.settle(turn);
        }
    }

    pub fn waits_at_gate(&mut self, turn: &mut Turn<'_>, at: &TopicPartition, at_log_end: bool) {
        let Some(case) = &mut self.case else { return };
        let Some(window) = case.window(at) else {
            return;
        };
        turn.touch(at);
        let condemned = case.condemned.get(at);
        if at_log_end && condemned.is_some_and(|c| c.offsets.until == window.from) {
            if !case.waiting {
                // There is no record to probe. Others of the case may give the proof.
                case.trim(at, i64::MAX, false);
                self.settle(turn);
            }
            return;
        }
        case.waits.insert(at.clone(), window.until);
    }

    /// Lets the window grow if it is time to, and ends what must not be searched any more because settings have changed.
    pub fn case_timer(&mut self, turn: &mut Turn<'_>) {
        let Some(case) = &mut self.case else { return };
        for at in case.partitions() {
            if turn.settings(&at).mode != Mode::Enforce {
                self.leave_case(turn, &at);
            }
        }
        let Some(case) = &mut self.case else { return };
        let due = |at: Option<u64>| at.is_some_and(|at| at <= turn.now.monotonic_ms);
        if !due(case.patience_at_ms) && !due(case.stalled_at_ms) {
            return;
        }
        case.patience_at_ms = None;
        case.waiting = false;
        match case.widen() {
            true => self.settle(turn),
            false => {
                self.patience_doublings = (self.patience_doublings + 1).min(MOST_DOUBLINGS);
                self.end_case(turn);
            }
        }
    }

    /// Everything is served again.
    pub fn end_case(&mut self, turn: &mut Turn<'_>) {
        let Some(case) = self.case.take() else { return };
        for at in case.told.iter().chain(&case.partitions()) {
            turn.touch(at);
            // What it failed on is over, or begins anew.
            if let Some(partition) = self.partitions.get_mut(at) {
                partition.suspect = None;
            }
        }
        for at in case.told {
            turn.effects.alerts.push(Alert::IsolationEnds {
                group: turn.group.to_owned(),
                at,
            });
        }
    }

    /// Tells of partitions that came or went, and keeps the clock of patience.
    pub fn finish_case(&mut self, turn: &mut Turn<'_>) {
        let Some(case) = &mut self.case else { return };
        let now = case.partitions();
        for at in case.told.difference(&now) {
            turn.effects.alerts.push(Alert::IsolationEnds {
                group: turn.group.to_owned(),
                at: at.clone(),
            });
            turn.touched.insert(at.clone());
            if let Some(partition) = self.partitions.get_mut(at) {
                partition.suspect = None;
            }
        }
        for at in now.difference(&case.told) {
            let ranges = || case.segments.iter().flat_map(|s| &s.ranges);
            let of_it = || ranges().filter(|r| r.at == *at).map(|r| r.offsets);
            let (from, until) = (
                of_it().map(|o| o.from).min(),
                of_it().map(|o| o.until).max(),
            );
            if let (Some(offset), Some(until)) = (from, until) {
                turn.effects.alerts.push(Alert::IsolationBegins {
                    group: turn.group.to_owned(),
                    at: at.clone(),
                    offset,
                    until,
                });
            }
            self.partitions.entry(at.clone()).or_default();
        }
        case.told = now;

        let doublings = self.patience_doublings;
        let windows: Vec<(TopicPartition, i64)> = case
            .waits
            .iter()
            .filter(|(at, until)| case.window(at).is_some_and(|w| w.until == **until))
            .map(|(at, until)| (at.clone(), *until))
            .collect();
        case.waits = windows.into_iter().collect();
        case.patience_at_ms = case.waits.keys().next().map(|at| {
            let patience = turn
                .settings(at)
                .isolation_patience_ms
                .saturating_mul(1 << doublings);
            let at = turn.now.monotonic_ms.saturating_add(patience);
            case.patience_at_ms.unwrap_or(at)
        });
        let served = case.segments.last().map_or(0, |s| s.ranges.len());
        let longest = self.members.values().map(|m| m.rebalance_timeout_ms).max();
        let longest = longest.filter(|_| case.told.len() > served);
        case.stalled_at_ms = longest.map(|longest| {
            // A member that reads is heard of within this time: it polls, or it is put out of the group.
            let longest = u64::try_from(longest).unwrap_or(0).saturating_mul(2);
            let at = turn
                .now
                .monotonic_ms
                .saturating_add(longest.max(SHORTEST_STALL_MS));
            case.stalled_at_ms.unwrap_or(at)
        });
    }

    /// A case as it was stored meets the committed positions.
    pub fn reconcile_case(
        &mut self,
        turn: &mut Turn<'_>,
        position: &dyn Fn(&TopicPartition) -> Option<i64>,
    ) {
        let Some(case) = &mut self.case else { return };
        for at in case.partitions() {
            let partition = self.partitions.entry(at.clone()).or_default();
            partition.position = position(&at);
            turn.touch(&at);
            if let Some(position) = partition.position {
                case.moved(&at, position);
            }
        }
        self.settle(turn);
    }
}
