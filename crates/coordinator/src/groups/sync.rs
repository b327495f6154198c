//! SyncGroup: the leader's assignment on its way to all members.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::coordinator::GroupConfig;
use super::event::{Reply, SyncRequest, TimerKind};
use super::group::{Group, State};
use super::member::Awaiting;
use super::{Departure, GroupEffects};
use crate::Now;

impl<T> Group<T> {
    pub(crate) fn sync(
        &mut self,
        now: Now,
        ticket: T,
        request: SyncRequest,
        out: &mut GroupEffects<T>,
    ) {
        if let Err(error) = self.validate_sync(&request) {
            out.replies.push((ticket, Reply::Sync(Err(error))));
            return;
        }
        let member_id = request.member_id.clone();
        match &mut self.state {
            State::Empty => {
                let error = ResponseError::UnknownMemberId;
                out.replies.push((ticket, Reply::Sync(Err(error))));
            }
            State::PreparingRebalance { .. } => {
                let error = ResponseError::RebalanceInProgress;
                out.replies.push((ticket, Reply::Sync(Err(error))));
            }
            State::CompletingRebalance { .. } => {
                self.await_sync(&member_id, ticket, out);
                self.note_synced(&member_id, out);
                if self.is_leader(&member_id) {
                    self.assign(now, request.assignments, out);
                }
            }
            State::Stable { .. } => {
                self.note_synced(&member_id, out);
                let assignment = self.members[&member_id].assignment.clone();
                let reply = self.sync_reply(assignment);
                out.replies.push((ticket, Reply::Sync(Ok(reply))));
            }
        }
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), ResponseError> {
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |given: &Option<String>, have: &Option<String>| {
            given.is_some() && have.is_some() && given != have
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn await_sync(&mut self, member_id: &str, ticket: T, out: &mut GroupEffects<T>) {
        let member = self
            .members
            .get_mut(member_id)
            .expect("the caller has validated the member");
        // A second SyncGroup replaces the first, whose sender has given it up.
        if let Awaiting::Sync(old) = std::mem::replace(&mut member.awaiting, Awaiting::Sync(ticket))
        {
            let reply = Reply::Sync(Err(ResponseError::RebalanceInProgress));
            out.replies.push((old, reply));
        }
    }

    fn note_synced(&mut self, member_id: &str, out: &mut GroupEffects<T>) {
        if let State::CompletingRebalance { pending_sync } | State::Stable { pending_sync } =
            &mut self.state
        {
            pending_sync.remove(member_id);
            if pending_sync.is_empty() {
                out.timers.push((self.key(TimerKind::Sync), None));
            }
        }
    }

    /// Takes the leader's assignment over: from here on the group is stable. Members it left out get nothing to read.
    fn assign(&mut self, now: Now, assignments: Vec<(String, Bytes)>, out: &mut GroupEffects<T>) {
        let State::CompletingRebalance { pending_sync } = &mut self.state else {
            return;
        };
        let pending_sync = std::mem::take(pending_sync);
        self.transition(State::Stable { pending_sync }, now);
        let mut by_member: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        for member in self.members.values_mut() {
            member.assignment = by_member.remove(&member.id).unwrap_or_default();
        }
        self.persist(out);
        self.observe_assigned(out);

        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in &ids {
            let member = self
                .members
                .get_mut(id)
                .expect("an id of the map just read");
            let Some(ticket) = member.take_sync() else {
                continue;
            };
            let assignment = member.assignment.clone();
            let reply = self.sync_reply(assignment);
            out.replies.push((ticket, Reply::Sync(Ok(reply))));
            self.touch_session(id, now, out);
        }
    }

    /// The sync timer is due: members that never fetched their assignment are removed.
    pub(crate) fn sync_timer_due(
        &mut self,
        now: Now,
        config: &GroupConfig,
        out: &mut GroupEffects<T>,
    ) {
        let (State::CompletingRebalance { pending_sync } | State::Stable { pending_sync }) =
            &mut self.state
        else {
            return;
        };
        if pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(pending_sync) {
            self.remove(&member_id, Departure::TimedOut, out);
        }
        self.prepare_rebalance(now, config, out);
    }
}
