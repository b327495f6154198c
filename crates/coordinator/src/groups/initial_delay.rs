//! How long the first rebalance of an empty group waits for more members (KIP-134).
//!
//! Kafka counts `group.initial.rebalance.delay.ms` from the last member that joined. Most clients join a few milliseconds after they
//! start, but librdkafka joins after 5 or after 55, as its connections happen to come about, and the time until then is a time in which
//! others can start as well. So the delay counts from when a member was first heard of: from its question for the coordinator,
//! where that is known. After a member joined there is always a part of the delay for those that came with it. While somebody
//! who asked is still on the way, it counts from the last member that joined, as in Kafka, and from the last who asked, but no
//! more than twice: a member that comes too late is heard of by the others with their next heartbeat, 3 s later.

use super::GroupEffects;
use super::coordinator::GroupConfig;
use super::event::TimerKind;
use super::group::{Group, State};
use crate::Now;

/// Of the delay, so much follows every member that joins.
const PART_AFTER_JOIN: u64 = 3;

/// The delay of the first rebalance of a group, in monotonic milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitialDelay {
    /// When it ends, whoever comes: the rebalance timeout after the first join.
    pub latest_ms: u64,
    /// When the last member joined.
    pub joined_ms: u64,
    /// When the delay of each has passed, if nobody else is on the way.
    pub due_ms: u64,
}

impl InitialDelay {
    pub(crate) fn new(latest_ms: u64) -> InitialDelay {
        InitialDelay {
            latest_ms,
            joined_ms: 0,
            due_ms: 0,
        }
    }
}

impl<T> Group<T> {
    fn initial_delay(&mut self) -> Option<&mut InitialDelay> {
        match &mut self.state {
            State::PreparingRebalance { initial } => initial.as_mut(),
            _ => None,
        }
    }

    /// Somebody new joined: the first rebalance of an empty group is due when the delay has passed from now. Kafka lets the delay
    /// that runs end first and then begins another, up to twice as long for the same members.
    pub(crate) fn extend_initial_delay(
        &mut self,
        now: Now,
        config: &GroupConfig,
        out: &mut GroupEffects<T>,
    ) {
        if let Some(initial) = self.initial_delay() {
            initial.joined_ms = now.monotonic_ms;
            self.wait_for_those_on_the_way(now, config, out);
        }
    }

    /// The member that just joined was heard of before, at `asked_ms`, or not; and others who asked are on the way, or not.
    pub(crate) fn shorten_initial_delay(
        &mut self,
        now: Now,
        config: &GroupConfig,
        asked_ms: Option<u64>,
        others_are_on_the_way: bool,
        out: &mut GroupEffects<T>,
    ) {
        let Some(initial) = self.initial_delay() else {
            return;
        };
        let delay_ms = config.initial_rebalance_delay_ms;
        let heard_of_ms = asked_ms.unwrap_or(now.monotonic_ms);
        let due_ms = (heard_of_ms + delay_ms).max(now.monotonic_ms + delay_ms / PART_AFTER_JOIN);
        initial.due_ms = initial.due_ms.max(due_ms);
        if !others_are_on_the_way {
            let deadline = initial.due_ms.min(initial.latest_ms);
            out.timers.push((self.key(TimerKind::Join), Some(deadline)));
        }
    }

    /// Somebody is on the way who joined or asked for the coordinator now.
    pub(crate) fn wait_for_those_on_the_way(
        &mut self,
        now: Now,
        config: &GroupConfig,
        out: &mut GroupEffects<T>,
    ) {
        if let Some(initial) = self.initial_delay() {
            let delay_ms = config.initial_rebalance_delay_ms;
            let deadline = (now.monotonic_ms + delay_ms)
                .min(initial.joined_ms + 2 * delay_ms)
                .min(initial.latest_ms);
            out.timers.push((self.key(TimerKind::Join), Some(deadline)));
        }
    }
}
