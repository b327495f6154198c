//! What is known of one group on one partition.

use serde::{Deserialize, Serialize};

use super::rows::StoredDeath;
use crate::event::{Gate, MoveId};
use crate::{Offsets, TopicPartition};

/// What is known of one group on one partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// The committed position, as far as events told of it.
    pub position: Option<i64>,
    /// Who began to read where.
    pub start: Option<Start>,
    /// The record that was nacked last, if it was not passed since.
    pub nack: Option<Box<Nacked>>,
    /// The head on which members died.
    pub suspect: Option<Box<Suspect>>,
    /// Records that were moved away under the members' feet. Until a commit past them.
    pub lift: Option<Lift>,
    /// The move that is under way.
    pub moving: Option<MoveId>,
    /// What the broker was told last.
    pub gate: Option<Gate>,
    /// What is stored of it.
    pub stored: Option<Vec<u8>>,
}

impl Partition {
    /// Nothing is known that could not be learnt again from the next fetch of a position.
    pub fn is_plain(&self) -> bool {
        self.nack.is_none()
            && self.suspect.is_none()
            && self.lift.is_none()
            && self.moving.is_none()
            && self.gate.is_none()
            && self.stored.is_none()
    }
}

/// What a move leaves behind for members that fetched their position before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lift {
    /// Left out.
    pub skip: Offsets,
    /// A commit between this offset and the end of `skip` is from before the move, and is lifted to that end.
    pub commits_from: i64,
}

/// A member that fetched its position.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub member_id: String,
    /// Where it began; `None`: the group had no position.
    pub committed: Option<i64>,
}

/// A record that its consumers could not process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nacked {
    pub offset: i64,
    pub count: u32,
    pub reason: String,
    pub client: String,
    /// Not served again before this time; wall clock, since it is stored.
    pub due_wall_ms: Option<i64>,
    /// The same on the monotonic clock.
    #[serde(skip)]
    pub due_ms: Option<u64>,
}

/// A head on which members died.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Suspect {
    pub head: i64,
    /// How many attempts ended there.
    pub count: u32,
    /// Deaths that would have been attempts, if they were not ambiguous.
    pub ambiguous: u32,
    /// People were told.
    pub told: bool,
    /// The last attempts, oldest first, [`super::attempts::DEATHS_KEPT`] at most.
    pub deaths: Vec<StoredDeath>,
}

/// Names a partition with its offsets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub at: TopicPartition,
    pub offsets: Offsets,
}
