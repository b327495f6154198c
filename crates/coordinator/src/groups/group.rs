//! One group: its state, its members, and what can be asked of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::event::{JoinMember, JoinReply, Reply, SyncReply, TimerKey, TimerKind};
use super::initial_delay::InitialDelay;
use super::member::{Awaiting, Member, Protocol};
use super::offsets::CommittedOffset;
use super::pending::PendingOffsets;
use super::{Departure, GroupEffects, records, subscription};
use crate::Now;

/// Where a group is. Kafka's fifth state, Dead, does not occur: a group that is removed is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; there may be offsets.
    Empty,
    /// Waiting for members to join the next generation.
    PreparingRebalance {
        /// Set in the first rebalance of an empty group.
        initial: Option<InitialDelay>,
    },
    /// All have joined; waiting for the leader's assignment.
    CompletingRebalance {
        /// Those who have not sent SyncGroup.
        pending_sync: BTreeSet<String>,
    },
    /// The assignment is known.
    Stable {
        /// Those who have not fetched it.
        pending_sync: BTreeSet<String>,
    },
}

/// A group.
#[derive(Debug)]
pub struct Group<T> {
    pub(crate) id: String,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) state: State,
    /// Since when it is in this state, in wall-clock milliseconds.
    pub(crate) state_since_ms: i64,
    pub(crate) members: BTreeMap<String, Member<T>>,
    /// Instance id to member id.
    pub(crate) static_members: BTreeMap<String, String>,
    /// Dynamic members that were told their id and have not joined with it (KIP-394).
    pub(crate) pending_members: BTreeSet<String>,
    /// Topics that the members subscribe to; `None` if that cannot be known.
    pub(crate) subscribed_topics: Option<BTreeSet<String>>,
    /// By topic and partition.
    pub(crate) offsets: BTreeMap<String, BTreeMap<i32, CommittedOffset>>,
    /// Of open transactions.
    pub(crate) pending_offsets: PendingOffsets,
}

/// The protocol type of consumers.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

impl<T> Group<T> {
    pub(crate) fn new(id: &str, now: Now) -> Group<T> {
        Group {
            id: id.to_owned(),
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            state: State::Empty,
            state_since_ms: now.wall_ms,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            subscribed_topics: None,
            offsets: BTreeMap::new(),
            pending_offsets: PendingOffsets::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.state, State::PreparingRebalance { .. })
    }

    pub(crate) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(crate) fn transition(&mut self, state: State, now: Now) {
        self.state = state;
        self.state_since_ms = now.wall_ms;
    }

    /// The longest of the members' rebalance timeouts.
    pub(crate) fn rebalance_timeout_ms(&self) -> u64 {
        self.members
            .values()
            .map(|m| u64::try_from(m.rebalance_timeout_ms).unwrap_or(0))
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn has_all_members_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.values().all(Member::is_awaiting_join)
    }

    /// Whether a member with these protocols can be in the group: the type agrees, and all members share one of them.
    pub(crate) fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|p| {
                self.members
                    .values()
                    .all(|m| m.protocols.iter().any(|o| o.name == p.name))
            })
    }

    /// The protocol that all members share and most prefer; on a tie the first by name. `None` without members.
    pub(crate) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let candidates: BTreeSet<&str> = first
            .protocols
            .iter()
            .map(|p| p.name.as_str())
            .filter(|name| {
                self.members
                    .values()
                    .all(|m| m.protocols.iter().any(|p| p.name == *name))
            })
            .collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member
                .protocols
                .iter()
                .find(|p| candidates.contains(p.name.as_str()));
            if let Some(protocol) = vote {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.to_owned())
    }

    /// Checks that `member_id` is a member, and the one that holds `instance_id`.
    pub(crate) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        if let Some(instance) = instance_id {
            match self.static_members.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(holder) if holder != member_id => {
                    return Err(ResponseError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ResponseError::UnknownMemberId)
        }
    }

    /// Adds a member; the first one sets the protocol type and leads.
    pub(crate) fn add(&mut self, member: Member<T>, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        if let Some(instance) = &member.instance_id {
            self.static_members
                .insert(instance.clone(), member.id.clone());
        }
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member or a pending member, answers what it waits for, and clears its session.
    pub(crate) fn remove(&mut self, member_id: &str, how: Departure, out: &mut GroupEffects<T>) {
        if let Some(member) = self.members.remove(member_id) {
            self.observe_gone(member_id, how, out);
            if let Some(instance) = &member.instance_id {
                self.static_members.remove(instance);
            }
            let error = ResponseError::UnknownMemberId;
            match member.awaiting {
                Awaiting::Nothing => {}
                Awaiting::Join(ticket) => {
                    let reply = Reply::Join(JoinReply::error("", error));
                    out.replies.push((ticket, reply));
                }
                Awaiting::Sync(ticket) => out.replies.push((ticket, Reply::Sync(Err(error)))),
            }
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.remove(member_id);
        if let State::CompletingRebalance { pending_sync } | State::Stable { pending_sync } =
            &mut self.state
        {
            pending_sync.remove(member_id);
        }
        out.timers.push((self.session_key(member_id), None));
    }

    /// The members as the leader needs them for its assignment.
    pub(crate) fn join_members(&self) -> Vec<JoinMember> {
        self.members
            .values()
            .map(|m| JoinMember {
                member_id: m.id.clone(),
                instance_id: m.instance_id.clone(),
                metadata: m.metadata(self.protocol_name.as_deref()),
            })
            .collect()
    }

    /// The current generation, as told to `member_id`; with the members for the leader.
    pub(crate) fn join_reply(&self, member_id: &str) -> JoinReply {
        JoinReply {
            error: None,
            member_id: member_id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if self.is_leader(member_id) {
                self.join_members()
            } else {
                Vec::new()
            },
        }
    }

    /// The assignment, as told to a member.
    pub(crate) fn sync_reply(&self, assignment: Bytes) -> SyncReply {
        SyncReply {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
        }
    }

    pub(crate) fn key(&self, kind: TimerKind) -> TimerKey {
        TimerKey {
            group_id: self.id.clone(),
            kind,
        }
    }

    pub(crate) fn session_key(&self, member_id: &str) -> TimerKey {
        self.key(TimerKind::Session(member_id.to_owned()))
    }

    /// Starts `member_id`'s session anew.
    pub(crate) fn touch_session(&self, member_id: &str, now: Now, out: &mut GroupEffects<T>) {
        if let Some(member) = self.members.get(member_id) {
            let timeout = u64::try_from(member.session_timeout_ms).unwrap_or(0);
            out.timers.push((
                self.session_key(member_id),
                Some(now.monotonic_ms + timeout),
            ));
        }
    }

    /// Stores everything but the offsets.
    pub(crate) fn persist(&self, out: &mut GroupEffects<T>) {
        out.ops.push(records::put_group(self));
    }

    /// Reads the members' subscriptions anew, after the members or their protocol changed.
    pub(crate) fn refresh_subscriptions(&mut self) {
        self.subscribed_topics = subscription::subscribed_topics(self);
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether a member reads `topic`, as far as can be known: if subscriptions of consumers cannot be read, yes.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }
}
