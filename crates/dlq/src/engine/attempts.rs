//! Attempts: who died on which head, and when that is a crash loop.

use super::case::Death;
use super::group::{Group, Member, Turn};
use super::isolation::MOST_DOUBLINGS;
use super::partition::{Range, Suspect};
use super::rows::StoredDeath;
use crate::event::{Alert, Departure, Served};
use crate::settings::{Mode, Settings};
use crate::{Offsets, TopicPartition};

/// Deaths that are kept of a suspect, for people.
pub(super) const DEATHS_KEPT: usize = 10;
/// Suspects of a group; with more, the one without a death for the longest time is forgotten.
const MOST_SUSPECTS: usize = 1000;

/// A member that is gone.
struct Gone<'a> {
    member_id: &'a str,
    client: String,
    how: &'static str,
    /// It read for so long without a position that it is not going to commit one.
    only_reads: bool,
}

/// What a member's end says of one partition.
struct Attempt {
    at: TopicPartition,
    head: i64,
    served: Served,
    settings: Settings,
}

impl Group {
    pub fn gone(
        &mut self,
        turn: &mut Turn<'_>,
        member_id: &str,
        how: Departure,
        served: Vec<(TopicPartition, Served)>,
    ) {
        let member = self.members.remove(member_id);
        let gone = Gone {
            member_id,
            only_reads: member.as_ref().is_some_and(|m| m.only_reads(turn)),
            client: member.map(|m| m.client).unwrap_or_default(),
            how: match how {
                Departure::Left => "left",
                Departure::TimedOut => "timed out",
                Departure::Replaced => "replaced",
            },
        };
        // All that it had in flight and that can be withheld, and whether that is all it had in flight.
        let (mut in_flight, mut pure) = (Vec::new(), true);
        let mut attempts = Vec::new();
        for (at, served) in served {
            let settings = turn.settings(&at);
            if settings.mode != Mode::Enforce {
                self.leave_case(turn, &at);
            }
            if served.ambiguous
                && let Some(offset) = self.case.as_ref().and_then(|c| c.first(&at))
            {
                // A window that cannot be kept says nothing, and may be in another group's way.
                self.leave_case(turn, &at);
                turn.effects.alerts.push(Alert::Ambiguous {
                    group: turn.group.to_owned(),
                    at: at.clone(),
                    offset,
                });
            }
            if let Some(range) = self.in_flight(&at, served) {
                match settings.mode == Mode::Enforce && self.can_search(&gone, &range, served) {
                    true => in_flight.push(range),
                    false => pure = false,
                }
            }
            let head = self.head(&gone, &at, served);
            if let Some(head) = head.filter(|_| settings.mode != Mode::Off) {
                attempts.push(Attempt {
                    at,
                    head,
                    served,
                    settings,
                });
            }
        }
        let of_case = self.case_death(turn, &gone.client, gone.how, &in_flight, pure);
        let mut looping = Vec::new();
        for attempt in attempts {
            let searched = self.case.as_ref().is_some_and(|c| c.has(&attempt.at));
            if !searched && self.count_attempt(turn, &gone, &attempt) {
                looping.push(attempt.at);
            }
        }
        if !of_case && !looping.is_empty() && !self.breaker.is_open() {
            self.open_case(turn, &looping, in_flight);
        }
        self.bound_suspects(turn);
    }

    /// What the member was served and nobody has committed.
    fn in_flight(&self, at: &TopicPartition, served: Served) -> Option<Range> {
        let position = self.partitions.get(at).and_then(|p| p.position);
        let left_out = self.skip_of(at).map(|s| s.until);
        let searched = || self.case.as_ref().and_then(|c| c.first(at));
        let head = position.or_else(searched).unwrap_or(served.first);
        let from = head.max(left_out.unwrap_or(0));
        (served.next > from).then(|| Range {
            at: at.clone(),
            offsets: Offsets {
                from,
                until: served.next,
            },
        })
    }

    /// Whether the range is what the group really reads next, so that a window on it says something.
    fn can_search(&self, gone: &Gone<'_>, range: &Range, served: Served) -> bool {
        let position = self.partitions.get(&range.at).and_then(|p| p.position);
        let only_reads = gone.only_reads && position.is_none();
        // A member that began behind the position has jumped over something.
        !served.ambiguous && !only_reads && served.first <= range.offsets.from
    }

    /// The head that the member began to read, was served, and left where it was.
    fn head(&self, gone: &Gone<'_>, at: &TopicPartition, served: Served) -> Option<i64> {
        let partition = self.partitions.get(at)?;
        let start = partition.start.as_ref()?;
        if start.member_id != gone.member_id {
            return None;
        }
        let head = match start.committed {
            Some(head) => head,
            None if gone.only_reads => return None,
            None => served.first,
        };
        let unmoved = partition.position == start.committed;
        (unmoved && served.first <= head && head < served.next).then_some(head)
    }

    /// Whether the head has as many attempts now as make a crash loop that is to be searched.
    fn count_attempt(&mut self, turn: &mut Turn<'_>, gone: &Gone<'_>, attempt: &Attempt) -> bool {
        let Attempt {
            at, head, settings, ..
        } = attempt;
        turn.touch(at);
        let partition = self.partitions.entry(at.clone()).or_default();
        if partition.suspect.as_ref().is_none_or(|s| s.head != *head) {
            partition.suspect = Some(Box::new(Suspect {
                head: *head,
                ..Suspect::default()
            }));
        }
        let Some(suspect) = partition.suspect.as_mut() else {
            return false;
        };
        if suspect.deaths.len() == DEATHS_KEPT {
            suspect.deaths.remove(0);
        }
        suspect.deaths.push(StoredDeath {
            member_id: gone.member_id.to_owned(),
            client: gone.client.clone(),
            how: gone.how.to_owned(),
            wall_ms: turn.now.wall_ms,
            served_until: attempt.served.next,
        });
        if attempt.served.ambiguous {
            suspect.ambiguous = suspect.ambiguous.saturating_add(1);
            if suspect.ambiguous == settings.max_attempts && settings.mode == Mode::Enforce {
                turn.effects.alerts.push(Alert::Ambiguous {
                    group: turn.group.to_owned(),
                    at: at.clone(),
                    offset: *head,
                });
            }
            return false;
        }
        suspect.count = suspect.count.saturating_add(1);
        if suspect.count < settings.max_attempts {
            return false;
        }
        if settings.mode == Mode::Detect && !suspect.told {
            suspect.told = true;
            turn.effects.alerts.push(Alert::Suspect {
                group: turn.group.to_owned(),
                at: at.clone(),
                offset: *head,
                members: suspect.deaths.iter().map(|d| d.member_id.clone()).collect(),
            });
        }
        settings.mode == Mode::Enforce
    }

    fn bound_suspects(&mut self, turn: &mut Turn<'_>) {
        let suspects = |g: &Group| {
            g.partitions
                .values()
                .filter(|p| p.suspect.is_some())
                .count()
        };
        while suspects(self) > MOST_SUSPECTS {
            let last = |s: &Suspect| s.deaths.last().map(|d| d.wall_ms);
            let oldest = self
                .partitions
                .iter()
                .filter_map(|(at, p)| p.suspect.as_ref().map(|s| (last(s), at)))
                .min();
            let Some(at) = oldest.map(|(_, at)| at.clone()) else {
                return;
            };
            if let Some(partition) = self.partitions.get_mut(&at) {
                partition.suspect = None;
            }
            turn.touch(&at);
        }
    }

    /// Gives the death to the case. `false`: there is none, or the member had nothing to do with what it serves.
    fn case_death(
        &mut self,
        turn: &mut Turn<'_>,
        client: &str,
        how: &str,
        in_flight: &[Range],
        pure: bool,
    ) -> bool {
        let Some(case) = &mut self.case else {
            return false;
        };
        let top = case.segments.last().and_then(|s| s.ranges.first());
        let Some(isolation_attempts) = top.map(|r| turn.settings(&r.at).isolation_attempts) else {
            return false;
        };
        match case.death(in_flight.to_vec(), pure, isolation_attempts) {
            Death::Elsewhere => return false,
            Death::Searched => {}
            Death::Condemned { range, deaths } => {
                let reason =
                    format!("members died on it {deaths} times, the last was {client} and {how}");
                self.condemn(turn, range, deaths, reason, client.to_owned());
            }
        }
        if let Some(case) = &mut self.case {
            case.waiting = false;
            if std::mem::take(&mut case.widened) {
                // It had not stopped to process what it had.
                self.patience_doublings = (self.patience_doublings + 1).min(MOST_DOUBLINGS);
            }
        }
        self.settle(turn);
        true
    }
}

impl Member {
    /// It lived longer than a member takes that is going to commit.
    fn only_reads(&self, turn: &Turn<'_>) -> bool {
        let timeout = u64::try_from(self.rebalance_timeout_ms).unwrap_or(0);
        turn.now.monotonic_ms.saturating_sub(self.since_ms) > timeout.saturating_mul(2)
    }
}
