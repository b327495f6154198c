//! One transactional id: its producer, and its last or current transaction.

use std::collections::BTreeSet;

use ottla_codec::control::Outcome;

use super::effects::Ending;
use crate::groups::PartitionId;

/// No producer id, no epoch.
pub(super) const NONE: i16 = -1;

/// A producer id and the epoch under which it may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProducerEpoch {
    pub producer_id: i64,
    pub epoch: i16,
}

/// Where a transactional id stands. The names are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A producer was initialised, and has begun nothing.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
}

impl State {
    /// As DescribeTransactions and ListTransactions write it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub producer: ProducerEpoch,
    /// The id before this one, when that had used up its epochs; -1: none.
    pub previous_id: i64,
    /// The epoch before this one, when it was bumped for the producer that had it, so that its retry is known; -1: none.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub state: State,
    pub partitions: BTreeSet<PartitionId>,
    pub groups: BTreeSet<String>,
    /// When the transaction began, in wall-clock milliseconds; -1: none has since the producer was initialised.
    pub started_ms: i64,
    /// The last change, in wall-clock milliseconds.
    pub updated_ms: i64,
    /// The last end bumped the epoch: the producer, which may not have heard of it, may ask for it again.
    pub end_bumped: bool,
}

/// Epochs end one before the largest, so that the last producer can still be fenced.
pub(super) fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

impl Transaction {
    pub fn new(producer: ProducerEpoch, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            producer,
            previous_id: i64::from(NONE),
            last_epoch: NONE,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            started_ms: -1,
            updated_ms: now_ms,
            end_bumped: false,
        }
    }

    /// Opens a transaction unless one is open. Tells whether it did.
    pub fn begin(&mut self, now_ms: i64) -> bool {
        if self.state == State::Ongoing {
            return false;
        }
        self.state = State::Ongoing;
        self.started_ms = now_ms;
        self.end_bumped = false;
        true
    }

    /// Ends what is open under `marker_epoch`.
    pub fn end(&mut self, outcome: Outcome, marker_epoch: i16, now_ms: i64) -> Ending {
        self.state = match outcome {
            Outcome::Commit => State::CompleteCommit,
            Outcome::Abort => State::CompleteAbort,
        };
        self.updated_ms = now_ms;
        Ending {
            producer_id: self.producer.producer_id,
            producer_epoch: marker_epoch,
            outcome,
            partitions: std::mem::take(&mut self.partitions).into_iter().collect(),
            groups: std::mem::take(&mut self.groups).into_iter().collect(),
        }
    }

    /// The next epoch, of `fresh_id` if this id has none left; `asked_by` is the epoch of the producer that may ask again.
    pub fn bump(&mut self, asked_by: Option<i16>, fresh_id: impl FnOnce() -> i64) {
        self.last_epoch = asked_by.unwrap_or(NONE);
        if is_exhausted(self.producer.epoch) {
            self.previous_id = self.producer.producer_id;
            self.producer = ProducerEpoch {
                producer_id: fresh_id(),
                epoch: 0,
            };
        } else {
            self.producer.epoch += 1;
        }
    }

    /// Ends the epoch of a transaction that is open for too long; the epoch of its markers. Its last epoch is left to be used up
    /// by whoever comes next.
    pub fn fence_by_time(&mut self) -> i16 {
        let before = self.producer.epoch;
        let is_last = is_exhausted(before);
        self.last_epoch = if is_last { NONE } else { before };
        self.end_bumped = !is_last;
        self.producer.epoch = before.saturating_add(1);
        self.producer.epoch
    }

    /// Whether `asked` is the producer before the last bump, which has not heard of it.
    pub fn is_retry_of_bump(&self, asked: ProducerEpoch) -> bool {
        let before = |id| asked.producer_id == id && asked.epoch == self.last_epoch;
        asked.epoch != NONE
            && (before(self.producer.producer_id) && asked.epoch < self.producer.epoch
                || before(self.previous_id) && is_exhausted(asked.epoch))
    }
}
