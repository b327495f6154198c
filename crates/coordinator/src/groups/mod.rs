//! Classic consumer groups (the protocol of JoinGroup, SyncGroup, Heartbeat, LeaveGroup) and committed offsets.
//!
//! [`GroupCoordinator`] is the machine; one file holds one subject. A group's life is
//! Empty → PreparingRebalance → CompletingRebalance → Stable, and back ([`group::State`]).
//!
//! Invariants: every ticket that comes in with an event is answered exactly once; a generation is stored before any
//! member hears of it, so generations only grow, also over a crash; what is not in [`records`] is lost with the process
//! and clients recover from that.

mod admin;
mod assignment;
mod coordinator;
mod describe;
mod event;
mod expiry;
pub mod group;
mod heartbeat;
mod initial_delay;
mod join;
mod leave;
pub mod member;
mod observation;
mod offsets;
mod on_the_way;
mod pending;
mod rebalance;
pub mod records;
mod subscription;
mod sync;

#[cfg(test)]
mod membership_tests;
#[cfg(test)]
mod observation_tests;
#[cfg(test)]
mod offset_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;

pub use coordinator::{GroupConfig, GroupCoordinator};
pub use describe::{DescribedGroup, DescribedMember, GroupState, ListedGroup};
pub use event::{
    Event, JoinMember, JoinReply, JoinRequest, LeaveMember, LeaveReply, OffsetCommitPartition,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetResults, PartitionId, Reply, SyncReply,
    SyncRequest, TimerKey, TimerKind,
};
pub use observation::{AssignedMember, Departure, Observation};
pub use offsets::CommittedOffset;

/// What one event of the group machine causes.
pub type GroupEffects<T> = crate::Effects<T, Reply, TimerKey, Observation>;
