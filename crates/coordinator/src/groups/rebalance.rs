//! Rebalances: from the first reason for one to the next generation.

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::coordinator::GroupConfig;
use super::event::{Reply, TimerKind};
use super::group::{Group, State};
use super::initial_delay::InitialDelay;
use super::member::Awaiting;
use super::{Departure, GroupEffects, JoinReply};
use crate::Now;

impl<T> Group<T> {
    /// After members changed: starts a rebalance, or ends the join phase of the one that runs, if that is due.
    pub(crate) fn rebalance_or_complete_join(
        &mut self,
        now: Now,
        config: &GroupConfig,
        out: &mut GroupEffects<T>,
    ) {
        if self.is_preparing() {
            self.maybe_complete_join(now, out);
        } else {
            self.prepare_rebalance(now, config, out);
        }
    }

    /// Starts a rebalance. The first one of an empty group waits for more members, any other for those it knows.
    pub(crate) fn prepare_rebalance(
        &mut self,
        now: Now,
        config: &GroupConfig,
        out: &mut GroupEffects<T>,
    ) {
        if matches!(self.state, State::CompletingRebalance { .. }) {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(ticket) = member.take_sync() {
                    let reply = Reply::Sync(Err(ResponseError::RebalanceInProgress));
                    out.replies.push((ticket, reply));
                }
            }
            self.touch_all_sessions(now, out);
        }
        out.timers.push((self.key(TimerKind::Sync), None));

        if !self.is_empty() {
            self.transition(State::PreparingRebalance { initial: None }, now);
            if self.has_all_members_joined() {
                self.complete_join(now, out);
            } else {
                let deadline = now.monotonic_ms + self.rebalance_timeout_ms();
                out.timers.push((self.key(TimerKind::Join), Some(deadline)));
            }
            return;
        }

        let delay_ms = config.initial_rebalance_delay_ms;
        let latest_ms = now.monotonic_ms + self.rebalance_timeout_ms().max(delay_ms);
        let initial = Some(InitialDelay::new(latest_ms));
        self.transition(State::PreparingRebalance { initial }, now);
        if delay_ms == 0 {
            self.complete_join(now, out);
        } else {
            self.extend_initial_delay(now, config, out);
        }
    }

    /// Ends the join phase if everybody is here; the first one of an empty group always waits for its delay.
    pub(crate) fn maybe_complete_join(&mut self, now: Now, out: &mut GroupEffects<T>) {
        let running = matches!(self.state, State::PreparingRebalance { initial: None });
        if running && self.has_all_members_joined() {
            self.complete_join(now, out);
        }
    }

    /// The join timer is due: nobody is waited for any longer.
    pub(crate) fn join_timer_due(&mut self, now: Now, out: &mut GroupEffects<T>) {
        if self.is_preparing() {
            self.complete_join(now, out);
        }
    }

    /// Ends the join phase: dynamic members that did not come are removed, the rest is the next generation.
    pub(crate) fn complete_join(&mut self, now: Now, out: &mut GroupEffects<T>) {
        out.timers.push((self.key(TimerKind::Join), None));
        let late: Vec<String> = self
            .members
            .values()
            .filter(|m| !m.is_awaiting_join() && m.instance_id.is_none())
            .map(|m| m.id.clone())
            .collect();
        for member_id in late {
            self.remove(&member_id, Departure::TimedOut, out);
        }

        if self.members.is_empty() {
            self.generation = self.generation.saturating_add(1);
            self.protocol_name = None;
            self.leader = None;
            self.refresh_subscriptions();
            self.transition(State::Empty, now);
            self.persist(out);
            self.observe_assigned(out);
            return;
        }
        if !self.elect_joined_leader() {
            // Static members alone, and none of them came: wait until their sessions expire.
            let deadline = now.monotonic_ms + self.rebalance_timeout_ms().max(1_000);
            out.timers.push((self.key(TimerKind::Join), Some(deadline)));
            return;
        }
        self.start_generation(now, out);
    }

    /// Keeps a leader that joined, otherwise makes the first member that did. False if none did.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &String| self.members.get(id).is_some_and(|m| m.is_awaiting_join());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let Some(next) = self.members.values().find(|m| m.is_awaiting_join()) else {
            return false;
        };
        self.leader = Some(next.id.clone());
        true
    }

    fn start_generation(&mut self, now: Now, out: &mut GroupEffects<T>) {
        self.generation = self.generation.saturating_add(1);
        self.protocol_name = self.select_protocol();
        self.refresh_subscriptions();
        let pending_sync: BTreeSet<String> = self.members.keys().cloned().collect();
        self.transition(State::CompletingRebalance { pending_sync }, now);
        // Members keep the last assignment until the leader sends the next: that is what DescribeGroups shows meanwhile.
        // Kafka stores a generation when its assignment is known. Here it is stored before a member hears of it,
        // so that no two generations ever carry the same number, whatever crashes.
        self.persist(out);

        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in &ids {
            let reply = self.join_reply(id);
            let member = self
                .members
                .get_mut(id)
                .expect("an id of the map just read");
            member.is_new = false;
            if let Some(ticket) = member.take_join() {
                out.replies.push((ticket, Reply::Join(reply)));
            }
        }
        self.touch_all_sessions(now, out);
        self.start_sync_timer(now, out);
    }

    /// Members that do not sync within the rebalance timeout are removed.
    pub(crate) fn start_sync_timer(&self, now: Now, out: &mut GroupEffects<T>) {
        let deadline = now.monotonic_ms + self.rebalance_timeout_ms();
        out.timers.push((self.key(TimerKind::Sync), Some(deadline)));
    }

    pub(crate) fn touch_all_sessions(&self, now: Now, out: &mut GroupEffects<T>) {
        for id in self.members.keys() {
            self.touch_session(id, now, out);
        }
    }

    /// The broker lost this group's live state: everybody who waits is sent to look for the coordinator again.
    pub(crate) fn answer_all(&mut self, error: ResponseError, out: &mut GroupEffects<T>) {
        for (id, member) in &mut self.members {
            match std::mem::replace(&mut member.awaiting, Awaiting::Nothing) {
                Awaiting::Nothing => {}
                Awaiting::Join(ticket) => {
                    let reply = Reply::Join(JoinReply::error(id, error));
                    out.replies.push((ticket, reply));
                }
                Awaiting::Sync(ticket) => out.replies.push((ticket, Reply::Sync(Err(error)))),
            }
        }
    }
}
