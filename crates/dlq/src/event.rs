//! What goes into the engine and what comes out. The contract between this crate and the broker.

use crate::marker::Marker;
use crate::{Offsets, StoreOp, TopicPartition};

/// A member of a consumer group and what it owns in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAssignment {
    /// The member's id: one incarnation of a consumer.
    pub member_id: String,
    /// The client's name for itself.
    pub client_id: String,
    /// As the coordinator has it: `/` and the address.
    pub client_host: String,
    /// The member's rebalance time-out (`max.poll.interval.ms` in most clients), milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The partitions of its assignment.
    pub partitions: Vec<TopicPartition>,
}

/// How a member left. Weak evidence: it is shown, and decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// LeaveGroup.
    Left,
    /// Its session or its rebalance time-out ran out.
    TimedOut,
    /// A new incarnation of a static member took its place.
    Replaced,
}

/// What a member was served of one partition since it owns it, as the fetch path saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The offset of its first fetch that was answered with records.
    pub first: i64,
    /// One past the last record that it was served.
    pub next: i64,
    /// Fetches of several groups could not be told apart: this may be another group's reading.
    pub ambiguous: bool,
}

/// What happens to groups. Those of one group come in the order in which the group's machine decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The group is stable in a new generation with these members and no others. Partitions of members that stay in place are not
    /// taken anew. Only for groups of the consumer protocol.
    Assigned {
        /// The group.
        group: String,
        /// All members.
        members: Vec<MemberAssignment>,
    },
    /// A member is gone for good (not: rejoins).
    Gone {
        /// The group.
        group: String,
        /// Which.
        member_id: String,
        /// How.
        how: Departure,
        /// What it was served, of each partition that it was served anything of.
        served: Vec<(TopicPartition, Served)>,
    },
    /// A position was answered to OffsetFetch. `offset` is `None` if the group has none there.
    PositionFetched {
        /// The group.
        group: String,
        /// The owner that asked, if that is known (member id of v9, or the owner's host and client id); other readers are not told of.
        member_id: String,
        /// Where.
        at: TopicPartition,
        /// The committed offset.
        offset: Option<i64>,
    },
    /// A member committed an offset without a marker.
    Committed {
        /// The group.
        group: String,
        /// Where.
        at: TopicPartition,
        /// The new position.
        offset: i64,
    },
    /// A position was set from outside of the group, deleted, or expired: everything about it begins anew.
    Reset {
        /// The group.
        group: String,
        /// Where.
        at: TopicPartition,
    },
    /// The owner asks for records, and its gate ([`Serve::Until`]) has none for it: it was served all of the window, or the log ends
    /// inside of the window. Told at most once for each gate and each value of `at_log_end`.
    WaitsAtGate {
        /// The group.
        group: String,
        /// Where.
        at: TopicPartition,
        /// The log ends where the owner asks, which is before the end of the window.
        at_log_end: bool,
    },
    /// A nack (a commit with a marker, HTTP, command line) that was found to be allowed: the offset is in the log and at or
    /// after the committed position, and the member owns the partition. The position becomes `offset` if the record stays.
    Nack {
        /// The group.
        group: String,
        /// Where.
        at: TopicPartition,
        /// The record that failed.
        offset: i64,
        /// What the client said.
        marker: Marker,
        /// Who: client id and host, for people.
        client: String,
        /// The group's committed position now.
        committed: Option<i64>,
        /// Failures before, of which the header `__dlq.delivery.count` of a record in a retry topic tells; 0 elsewhere.
        earlier: u32,
    },
    /// A move that [`Effects::moves`] or [`CommitVerdict::Moves`] asked for is committed.
    Moved {
        /// The move.
        id: MoveId,
    },
    /// A move could not be made (the log has no such record any more, the group is gone, the disk is full). With `retry` it is asked for
    /// again later, and the group waits there; otherwise it is forgotten.
    MoveFailed {
        /// The move.
        id: MoveId,
        /// Shown.
        error: String,
        /// Whether to ask again.
        retry: bool,
    },
    /// The group is gone.
    GroupDeleted {
        /// The group.
        group: String,
    },
    /// The topic is gone: so is all about it.
    TopicDeleted {
        /// The topic.
        topic: String,
    },
    /// The time that [`Effects::wake_at_ms`] named has come, or settings have changed.
    Timer,
}

/// Names a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoveId(pub u64);

/// Why a record is dead-lettered, or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nacked `dlq.max.attempts` times.
    Nacked,
    /// `!dead`.
    Rejected,
    /// Members died on it, alone in its window.
    CrashLoop,
}

/// A record that leaves the partition for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRecord {
    /// Its offset. If the log has no such record (compaction), the first one after it, if that is before the new position.
    pub offset: i64,
    /// How often it failed.
    pub attempts: u32,
    /// Why.
    pub cause: Cause,
    /// For `__dlq.errors.message`.
    pub reason: String,
    /// For `__dlq.errors.client`: client id and host of the last one that failed on it.
    pub client: String,
}

/// Where a move goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The dead letter queue of the topic.
    DeadLetters,
    /// The group's retry topic; not to be served before this wall-clock time.
    Retry {
        /// Milliseconds since the Unix epoch.
        due_ms: i64,
    },
}

/// Records that are to be copied, and the group's position that is to be advanced, in one commit.
///
/// The broker reads the records, makes sure that the destination exists, and commits copies, position and [`Move::ops`] together, if the
/// group's position is still [`Move::expected`]; then it says [`Event::Moved`], otherwise [`Event::MoveFailed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Its name in the answer.
    pub id: MoveId,
    /// The group.
    pub group: String,
    /// Where from.
    pub at: TopicPartition,
    /// In the order of their offsets.
    pub records: Vec<DeadRecord>,
    /// Where to.
    pub to: Destination,
    /// The committed position on which the decision was made; `None`: the group has none.
    pub expected: Option<i64>,
    /// The position after it.
    pub position: i64,
    /// Committed with it.
    pub ops: Vec<StoreOp>,
}

/// What the owner of a partition is served of it. `None` in [`Effects::gates`] means everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Records of this range are left out, though the owner fetches from before its end: they are dead, or about to be. A fetch from
    /// before the range is answered up to it.
    pub skip: Option<Offsets>,
    /// How far it is served.
    pub serve: Serve,
}

/// How far the owner of a partition is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serve {
    /// To the end.
    All,
    /// Records before this offset. If there is none between the owner's position (or the end of [`Gate::skip`], if that is later) and this offset,
    /// and the position is before this offset, the first record after it is served alone.
    Until(i64),
    /// Nothing: the partition waits. The engine opens it again with an event, at the latest with [`Event::Timer`].
    Nothing,
}

/// Something that people are to hear of: a log line, a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Alert {
    /// `dlq.mode=detect` and a crash loop reached `dlq.max.attempts`. Once for each suspect offset.
    Suspect {
        group: String,
        at: TopicPartition,
        offset: i64,
        /// The members that died on it.
        members: Vec<String>,
    },
    IsolationBegins {
        group: String,
        at: TopicPartition,
        offset: i64,
        until: i64,
    },
    IsolationEnds {
        group: String,
        at: TopicPartition,
    },
    /// Isolation would be right, and another group's reading cannot be told from this one's.
    Ambiguous {
        group: String,
        at: TopicPartition,
        offset: i64,
    },
    BreakerOpen {
        group: String,
        reason: String,
    },
    BreakerClosed {
        group: String,
    },
}

/// What came of a nack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NackOutcome {
    /// The record stays: it has failed this often. The position is its offset.
    Stays {
        /// Failures so far.
        attempts: u32,
    },
    /// It is being moved: the position is past it when this move is committed. Several nacks may wait for one move.
    Moves(MoveId),
}

/// What an event causes: `ops` are committed (with what caused the event, if that is committed too), the rest is done.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be committed together.
    pub ops: Vec<StoreOp>,
    /// New gates, by group and partition; `None` opens.
    pub gates: Vec<(String, TopicPartition, Option<Gate>)>,
    /// To be carried out.
    pub moves: Vec<Move>,
    /// To be told.
    pub alerts: Vec<Alert>,
    /// For [`Event::Nack`].
    pub nack: Option<NackOutcome>,
    /// When [`Event::Timer`] is wanted, on the monotonic clock; `None`: not. Replaces what was said before.
    pub wake_at_ms: Option<u64>,
}

/// What the engine says of an ordinary commit before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitVerdict {
    /// Carry it out, then say [`Event::Committed`].
    Plain,
    /// The same with this offset: the record at the committed one was dead-lettered under the member's feet.
    Lifted(i64),
    /// Records before this offset were withheld from the group because they are condemned, and this commit is the proof that the group works:
    /// carry out the move, whose position is the committed offset, in place of the commit.
    Moves(Move),
}
