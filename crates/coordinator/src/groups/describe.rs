//! DescribeGroups and ListGroups.

use bytes::Bytes;

use super::group::{Group, State};

/// A group's state, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// No such group.
    Dead,
}

impl GroupState {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

/// A group, as ListGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListedGroup {
    pub group_id: String,
    /// Empty for a group that only ever stored offsets.
    pub protocol_type: String,
    pub state: GroupState,
}

/// A group, as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DescribedGroup {
    pub state: GroupState,
    pub protocol_type: String,
    /// The protocol's name when stable.
    pub protocol: String,
    pub members: Vec<DescribedMember>,
}

/// A member, as DescribeGroups shows it. Metadata only when the group is stable; the assignment is the last one that is
/// known, also while the group rebalances.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DescribedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl<T> Group<T> {
    pub(crate) fn shown_state(&self) -> GroupState {
        match self.state {
            State::Empty => GroupState::Empty,
            State::PreparingRebalance { .. } => GroupState::PreparingRebalance,
            State::CompletingRebalance { .. } => GroupState::CompletingRebalance,
            State::Stable { .. } => GroupState::Stable,
        }
    }

    pub(crate) fn listed(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.shown_state(),
        }
    }

    pub(crate) fn described(&self) -> DescribedGroup {
        let state = self.shown_state();
        let protocol = self
            .protocol_name
            .as_deref()
            .filter(|_| state == GroupState::Stable);
        let members = self.members.values().map(|m| DescribedMember {
            member_id: m.id.clone(),
            instance_id: m.instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: m.metadata(protocol),
            assignment: m.assignment.clone(),
        });
        DescribedGroup {
            state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }
}
