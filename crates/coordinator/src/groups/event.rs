//! What goes into the group machine and what comes out.

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::member::Protocol;

/// A partition by the name of its topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct PartitionId {
    pub topic: String,
    pub partition: i32,
}

/// JoinGroup.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// Empty for a member that has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client's name for itself: the front of a dynamic member's id.
    pub client_id: String,
    /// As DescribeGroups shows it: `/` and the address.
    pub client_host: String,
    /// A member that is not heard of for this long is removed.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for this member to join again.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// From v4 (KIP-394) a dynamic member is told its id first and joins with it.
    pub require_known_member_id: bool,
    /// From v9 (KIP-814) a returning static leader is told to skip the assignment.
    pub supports_skip_assignment: bool,
    /// A random UUID: the end of a new member's id.
    pub new_member_suffix: String,
}

/// SyncGroup.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct SyncRequest {
    pub group_id: String,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    /// Checked when given (v5+).
    pub protocol_type: Option<String>,
    /// Checked when given (v5+).
    pub protocol_name: Option<String>,
    /// The leader's: member id and assignment.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member that leaves, by id, or by instance id with an empty id (KIP-345).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LeaveMember {
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// One partition of an OffsetCommit.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct OffsetCommitPartition {
    pub id: PartitionId,
    /// Identity of the topic, kept with the offset, so that offsets do not outlive a topic whose name is used again.
    pub topic_id: [u8; 16],
    pub offset: i64,
    /// -1: none.
    pub leader_epoch: i32,
    pub metadata: String,
}

/// OffsetCommit.
#[derive(Debug, Clone)]
pub struct OffsetCommitRequest {
    /// The group.
    pub group_id: String,
    /// -1 outside of group management (tools, manual assignment).
    pub generation: i32,
    /// Empty outside of group management.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// v2 to v4: keep the offsets this long instead of the broker's retention.
    pub retention_ms: Option<i64>,
    /// From v9 an unknown group is GROUP_ID_NOT_FOUND, before ILLEGAL_GENERATION.
    pub group_not_found_error: bool,
    /// What to commit.
    pub partitions: Vec<OffsetCommitPartition>,
}

/// OffsetDelete.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct OffsetDeleteRequest {
    pub group_id: String,
    pub partitions: Vec<PartitionId>,
}

/// What happens to a group. `T` is the ticket that its answer will carry.
#[derive(Debug)]
pub enum Event<T> {
    /// Forget a group's live state because a commit failed: those who wait are told COORDINATOR_NOT_AVAILABLE, and the
    /// group is loaded again from what is stored.
    Unload {
        /// The group.
        group_id: String,
    },
    /// Somebody asked for the group's coordinator, for the first time on its connection, and may join. Not answered; the group need not be loaded.
    Asked {
        /// The group.
        group_id: String,
    },
    /// Answered with [`Reply::Join`].
    Join(T, JoinRequest),
    /// Answered with [`Reply::Sync`].
    Sync(T, SyncRequest),
    /// Answered with [`Reply::Heartbeat`].
    Heartbeat {
        #[allow(missing_docs)]
        ticket: T,
        #[allow(missing_docs)]
        group_id: String,
        #[allow(missing_docs)]
        generation: i32,
        #[allow(missing_docs)]
        member_id: String,
        #[allow(missing_docs)]
        instance_id: Option<String>,
    },
    /// Answered with [`Reply::Leave`].
    Leave {
        #[allow(missing_docs)]
        ticket: T,
        #[allow(missing_docs)]
        group_id: String,
        #[allow(missing_docs)]
        members: Vec<LeaveMember>,
    },
    /// Answered with [`Reply::OffsetCommit`].
    OffsetCommit(T, OffsetCommitRequest),
    /// Answered with [`Reply::OffsetDelete`].
    OffsetDelete(T, OffsetDeleteRequest),
    /// Answered with [`Reply::DeleteGroup`].
    DeleteGroup {
        #[allow(missing_docs)]
        ticket: T,
        #[allow(missing_docs)]
        group_id: String,
    },
    /// Moves a position past records that were dead-lettered. No ops come out if there is no such group, or none that is stored.
    Advance {
        /// The group.
        group_id: String,
        /// Where.
        id: PartitionId,
        /// Identity of the topic.
        topic_id: [u8; 16],
        /// The new position.
        offset: i64,
    },
    /// Offsets of a deleted topic go from every loaded group.
    TopicDeleted {
        /// Its name.
        topic: String,
    },
    /// Expired offsets go, and empty groups without offsets.
    ExpireOffsets,
    /// A timer that was set by an earlier event is due.
    Timer(TimerKey),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To JoinGroup.
    Join(JoinReply),
    /// To SyncGroup.
    Sync(Result<SyncReply, ResponseError>),
    /// To Heartbeat.
    Heartbeat(Result<(), ResponseError>),
    /// To LeaveGroup.
    Leave(LeaveReply),
    /// To OffsetCommit, in the request's order.
    OffsetCommit(OffsetResults),
    /// To OffsetDelete, in the request's order; the error is the whole request's.
    OffsetDelete(Result<OffsetResults, ResponseError>),
    /// To DeleteGroups, for one group.
    DeleteGroup(Result<(), ResponseError>),
}

/// A partition each, in the request's order.
pub type OffsetResults = Vec<Result<(), ResponseError>>;

/// Results of LeaveGroup by member in the request's order, or the whole request's error.
pub type LeaveReply = Result<Vec<(LeaveMember, Option<ResponseError>)>, ResponseError>;

/// The answer to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct JoinReply {
    pub error: Option<ResponseError>,
    pub member_id: String,
    /// -1 with an error.
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// The leader's member id; empty with an error.
    pub leader: String,
    /// KIP-814: the leader is told the members but must not assign.
    pub skip_assignment: bool,
    /// For the leader alone.
    pub members: Vec<JoinMember>,
}

impl JoinReply {
    /// A refusal.
    pub fn error(member_id: &str, error: ResponseError) -> JoinReply {
        JoinReply {
            error: Some(error),
            member_id: member_id.to_owned(),
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct JoinMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

/// The answer to SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SyncReply {
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

/// Which timer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct TimerKey {
    pub group_id: String,
    pub kind: TimerKind,
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// The end of waiting for members to join.
    Join,
    /// The end of waiting for members to sync.
    Sync,
    /// A member's session, by member id; also that of a member that has its id but has not joined yet.
    Session(String),
}
