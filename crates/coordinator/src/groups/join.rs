//! JoinGroup.

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::coordinator::GroupConfig;
use super::event::{JoinReply, JoinRequest, Reply};
use super::group::{Group, State};
use super::member::{Awaiting, Member};
use super::{Departure, GroupEffects};
use crate::Now;

/// A new member waits in JoinGroup and cannot heartbeat: it is given up after this time, in milliseconds.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1000;

impl<T> Group<T> {
    pub(crate) fn join(
        &mut self,
        now: Now,
        config: &GroupConfig,
        ticket: T,
        request: JoinRequest,
        out: &mut GroupEffects<T>,
    ) {
        if !self.accepts(&request.member_id, config.max_size) {
            self.remove(&request.member_id, Departure::Left, out);
            return refuse(ticket, "", ResponseError::GroupMaxSizeReached, out);
        }
        if !self.supports_protocols(&request.protocol_type, &request.protocols) {
            let error = ResponseError::InconsistentGroupProtocol;
            return refuse(ticket, &request.member_id, error, out);
        }
        if !request.member_id.is_empty() {
            return self.join_with_id(now, config, ticket, request, out);
        }
        match &request.instance_id {
            Some(instance) => {
                let member_id = format!("{instance}-{}", request.new_member_suffix);
                match self.static_members.get(instance).cloned() {
                    Some(old) => {
                        self.rejoin_static(now, config, ticket, request, &old, member_id, out);
                    }
                    None => self.add_joining(now, config, ticket, request, member_id, out),
                }
            }
            None => {
                let member_id = format!("{}-{}", request.client_id, request.new_member_suffix);
                if request.require_known_member_id {
                    self.add_pending(now, ticket, &request, member_id, out);
                } else {
                    self.add_joining(now, config, ticket, request, member_id, out);
                }
            }
        }
    }

    /// `group.max.size`. During a rebalance those who wait count, so that the last to come are left out.
    fn accepts(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance { .. } => {
                let waiting = || self.members.values().filter(|m| m.is_awaiting_join());
                member.is_some_and(Member::is_awaiting_join) || waiting().count() < max_size
            }
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                member.is_some() || self.members.len() < max_size
            }
        }
    }

    /// Tells a dynamic member its id; it has its session timeout to join with it (KIP-394).
    fn add_pending(
        &mut self,
        now: Now,
        ticket: T,
        request: &JoinRequest,
        member_id: String,
        out: &mut GroupEffects<T>,
    ) {
        let session = u64::try_from(request.session_timeout_ms).unwrap_or(0);
        out.timers.push((
            self.session_key(&member_id),
            Some(now.monotonic_ms + session),
        ));
        refuse(ticket, &member_id, ResponseError::MemberIdRequired, out);
        self.pending_members.insert(member_id);
    }

    fn add_joining(
        &mut self,
        now: Now,
        config: &GroupConfig,
        ticket: T,
        request: JoinRequest,
        member_id: String,
        out: &mut GroupEffects<T>,
    ) {
        self.extend_initial_delay(now, config, out);
        out.timers.push((
            self.session_key(&member_id),
            Some(now.monotonic_ms + NEW_MEMBER_JOIN_TIMEOUT_MS),
        ));
        let member = Member {
            id: member_id,
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting: Awaiting::Join(ticket),
            is_new: true,
        };
        self.add(member, &request.protocol_type);
        self.rebalance_or_complete_join(now, config, out);
    }

    fn join_with_id(
        &mut self,
        now: Now,
        config: &GroupConfig,
        ticket: T,
        request: JoinRequest,
        out: &mut GroupEffects<T>,
    ) {
        let member_id = request.member_id.clone();
        if self.pending_members.contains(&member_id) {
            if request.instance_id.is_some() {
                // Only dynamic members are ever pending.
                return refuse(ticket, &member_id, ResponseError::UnknownMemberId, out);
            }
            return self.add_joining(now, config, ticket, request, member_id, out);
        }
        if let Err(error) = self.validate_member(&member_id, request.instance_id.as_deref()) {
            return refuse(ticket, &member_id, error, out);
        }
        let unchanged = self.members[&member_id].protocols == request.protocols;
        let answer_at_once = match self.state {
            State::Empty => {
                return refuse(ticket, &member_id, ResponseError::UnknownMemberId, out);
            }
            State::PreparingRebalance { .. } => false,
            // The answer to its JoinGroup was lost.
            State::CompletingRebalance { .. } => unchanged,
            // A leader joins again because something else changed that the assignment depends on.
            State::Stable { .. } => unchanged && !self.is_leader(&member_id),
        };
        if answer_at_once {
            let reply = Reply::Join(self.join_reply(&member_id));
            out.replies.push((ticket, reply));
        } else {
            self.update_member(&member_id, ticket, request, out);
            self.rebalance_or_complete_join(now, config, out);
        }
    }

    /// Takes over what the member says now, and lets it wait. An earlier request of it that still waits is answered.
    fn update_member(
        &mut self,
        member_id: &str,
        ticket: T,
        request: JoinRequest,
        out: &mut GroupEffects<T>,
    ) {
        let member = self
            .members
            .get_mut(member_id)
            .expect("the caller has validated the member");
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        let error = ResponseError::RebalanceInProgress;
        match std::mem::replace(&mut member.awaiting, Awaiting::Join(ticket)) {
            Awaiting::Nothing => {}
            Awaiting::Join(old) => refuse(old, member_id, error, out),
            Awaiting::Sync(old) => out.replies.push((old, Reply::Sync(Err(error)))),
        }
    }

    /// A static member comes back without its id: it gets a new one, and the holder of the old id is fenced (KIP-345).
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of join, split for reading"
    )]
    fn rejoin_static(
        &mut self,
        now: Now,
        config: &GroupConfig,
        ticket: T,
        request: JoinRequest,
        old_id: &str,
        new_id: String,
        out: &mut GroupEffects<T>,
    ) {
        let old_leader = self.leader.clone().unwrap_or_default();
        let supports_skip = request.supports_skip_assignment;
        self.replace_static(old_id, &new_id, out);
        self.update_member(&new_id, ticket, request, out);
        self.touch_session(&new_id, now, out);

        match &self.state {
            State::Stable { .. } => {
                if self.select_protocol() != self.protocol_name {
                    return self.rebalance_or_complete_join(now, config, out);
                }
                // Nothing changes for the others: no rebalance.
                self.refresh_subscriptions();
                self.persist(out);
                self.observe_assigned(out);
                let is_leader = self.is_leader(&new_id);
                let mut reply = self.join_reply(&new_id);
                if supports_skip {
                    reply.skip_assignment = is_leader;
                } else {
                    // Told the old leader id, a client before KIP-814 does not assign on its own.
                    reply.leader = old_leader;
                    reply.members = Vec::new();
                }
                let member = self.members.get_mut(&new_id).expect("replaced above");
                member.is_new = false;
                if let Some(ticket) = member.take_join() {
                    out.replies.push((ticket, Reply::Join(reply)));
                }
            }
            // The old id may be with the leader already, whose assignment would miss the new one.
            State::CompletingRebalance { .. } => self.prepare_rebalance(now, config, out),
            State::Empty | State::PreparingRebalance { .. } => self.maybe_complete_join(now, out),
        }
    }

    fn replace_static(&mut self, old_id: &str, new_id: &str, out: &mut GroupEffects<T>) {
        let mut member = self
            .members
            .remove(old_id)
            .expect("static_members names members");
        let error = ResponseError::FencedInstanceId;
        match std::mem::replace(&mut member.awaiting, Awaiting::Nothing) {
            Awaiting::Nothing => {}
            Awaiting::Join(old) => refuse(old, old_id, error, out),
            Awaiting::Sync(old) => out.replies.push((old, Reply::Sync(Err(error)))),
        }
        out.timers.push((self.session_key(old_id), None));
        self.observe_gone(old_id, Departure::Replaced, out);
        member.id = new_id.to_owned();
        member.is_new = false;
        if let Some(instance) = &member.instance_id {
            self.static_members
                .insert(instance.clone(), new_id.to_owned());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        if let State::CompletingRebalance { pending_sync } | State::Stable { pending_sync } =
            &mut self.state
            && pending_sync.remove(old_id)
        {
            pending_sync.insert(new_id.to_owned());
        }
        self.members.insert(new_id.to_owned(), member);
    }
}

fn refuse<T>(ticket: T, member_id: &str, error: ResponseError, out: &mut GroupEffects<T>) {
    let reply = Reply::Join(JoinReply::error(member_id, error));
    out.replies.push((ticket, reply));
}
