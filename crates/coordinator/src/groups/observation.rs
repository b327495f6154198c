//! What the machine tells those who watch groups (dead letters): who reads what, who is gone and how, which positions moved.

use super::event::PartitionId;
use super::group::Group;
use super::{GroupEffects, assignment};

/// How a member left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// LeaveGroup, its own or an administrator's.
    Left,
    /// Its session, or its time to join or sync, ran out.
    TimedOut,
    /// A new incarnation of a static member took its place (KIP-345).
    Replaced,
}

/// A member and what it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedMember {
    /// Its id.
    pub member_id: String,
    /// The client's name for itself.
    pub client_id: String,
    /// `/` and the address.
    pub client_host: String,
    /// Its rebalance time-out, milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Its assignment; empty if it cannot be read.
    pub partitions: Vec<PartitionId>,
}

/// Something that happened to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The group is stable with these members and no others; without members: it is empty. Only for groups of the consumer
    /// protocol. Told again when a group is loaded, and when a static member got a new id.
    Assigned {
        /// The group.
        group_id: String,
        /// All members.
        members: Vec<AssignedMember>,
    },
    /// A member is gone for good. It may never have been assigned anything.
    Gone {
        /// The group.
        group_id: String,
        /// Which.
        member_id: String,
        /// How.
        how: Departure,
    },
    /// A position was committed by a member, or moved forward from outside of the group.
    Committed {
        /// The group.
        group_id: String,
        /// Where.
        id: PartitionId,
        /// The new position.
        offset: i64,
    },
    /// A position was moved back from outside of the group, deleted, or expired.
    Reset {
        /// The group.
        group_id: String,
        /// Where.
        id: PartitionId,
    },
    /// The group and its offsets are gone.
    GroupDeleted {
        /// The group.
        group_id: String,
    },
}

impl<T> Group<T> {
    pub(super) fn observe_assigned(&self, out: &mut GroupEffects<T>) {
        if !self.uses_consumer_protocol() {
            return;
        }
        let members = self.members.values().map(|m| AssignedMember {
            member_id: m.id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            partitions: assignment::parse(&m.assignment).unwrap_or_default(),
        });
        out.observed.push(Observation::Assigned {
            group_id: self.id.clone(),
            members: members.collect(),
        });
    }

    pub(super) fn observe_gone(&self, member_id: &str, how: Departure, out: &mut GroupEffects<T>) {
        out.observed.push(Observation::Gone {
            group_id: self.id.clone(),
            member_id: member_id.to_owned(),
            how,
        });
    }

    /// To be called before the position is set. A tool's change backward is told from a simple consumer's commit by its direction only:
    /// both come without a generation.
    pub(super) fn observe_committed(
        &self,
        id: &PartitionId,
        offset: i64,
        from_outside: bool,
        out: &mut GroupEffects<T>,
    ) {
        let before = self
            .offsets
            .get(&id.topic)
            .and_then(|p| p.get(&id.partition));
        if from_outside && before.is_some_and(|c| offset < c.offset) {
            return self.observe_reset(id, out);
        }
        out.observed.push(Observation::Committed {
            group_id: self.id.clone(),
            id: id.clone(),
            offset,
        });
    }

    pub(super) fn observe_reset(&self, id: &PartitionId, out: &mut GroupEffects<T>) {
        out.observed.push(Observation::Reset {
            group_id: self.id.clone(),
            id: id.clone(),
        });
    }
}
