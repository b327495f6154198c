//! The machine: all transactional ids of the broker.

use std::collections::BTreeMap;

use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;

use super::effects::Effects;
use super::records::{self, RecordError};
use super::transaction::{ProducerEpoch, State, Transaction};
use crate::Now;
use crate::groups::PartitionId;
use crate::producers::ProducerIds;

/// What settings bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest a producer may ask for (`transaction.max.timeout.ms`).
    pub max_timeout_ms: i32,
    /// A transactional id that nothing happened to for this long is forgotten (`transactional.id.expiration.ms`).
    pub expiration_ms: i64,
}

/// Which rules a client follows (the feature `transaction.version`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionVersion {
    /// A producer's epoch is the same in all its transactions.
    V1,
    /// KIP-890: every end bumps the epoch, so that nothing late can fall into the next transaction.
    V2,
}

/// InitProducerId with a transactional id.
#[derive(Debug, Clone)]
pub struct InitProducerId<'a> {
    /// Not empty.
    pub transactional_id: &'a str,
    /// A transaction that is open for longer is aborted.
    pub timeout_ms: i32,
    /// What the producer was told before (KIP-360): it goes on after an error, if nobody has fenced it.
    pub expected: Option<ProducerEpoch>,
}

/// Who asks, in all requests but the first.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Producer<'a> {
    pub transactional_id: &'a str,
    pub producer: ProducerEpoch,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionCoordinator {
    limits: Limits,
    pub(super) transactions: BTreeMap<String, Transaction>,
}

/// A transactional id as it was, in case that what was decided of it cannot be kept.
#[derive(Debug)]
pub struct Saved {
    transactional_id: String,
    transaction: Option<Transaction>,
}

impl TransactionCoordinator {
    /// What [`TransactionCoordinator::restore`] goes back to.
    pub fn save(&self, transactional_id: &str) -> Saved {
        Saved {
            transactional_id: transactional_id.to_owned(),
            transaction: self.transactions.get(transactional_id).cloned(),
        }
    }

    /// The commit of what was decided since was refused.
    pub fn restore(&mut self, saved: Saved) {
        match saved.transaction {
            Some(transaction) => self
                .transactions
                .insert(saved.transactional_id, transaction),
            None => self.transactions.remove(&saved.transactional_id),
        };
    }

    /// Knows of nothing.
    pub fn new(limits: Limits) -> TransactionCoordinator {
        TransactionCoordinator {
            limits,
            transactions: BTreeMap::new(),
        }
    }

    /// Settings have changed.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes in a stored row. Returns the monotonic time in milliseconds at which an open transaction times out.
    ///
    /// # Errors
    /// The row cannot be read; nothing is known of its id then.
    pub fn load(
        &mut self,
        transactional_id: &str,
        value: &[u8],
        now: Now,
    ) -> Result<Option<u64>, RecordError> {
        let transaction = records::decode(transactional_id, value)?;
        let deadline = deadline(&transaction, now);
        self.transactions
            .insert(transactional_id.to_owned(), transaction);
        Ok(deadline)
    }

    /// Begins a producer's life, or renews it: whoever had the transactional id before is fenced, and what it left open is
    /// aborted. (Kafka answers CONCURRENT_TRANSACTIONS until its abort is through.)
    ///
    /// # Errors
    /// INVALID_TRANSACTION_TIMEOUT; PRODUCER_FENCED if the expected producer is not the last one.
    pub fn init_producer_id(
        &mut self,
        now: Now,
        request: &InitProducerId<'_>,
        ids: &mut ProducerIds,
        effects: &mut Effects,
    ) -> Result<ProducerEpoch, ResponseError> {
        if request.timeout_ms <= 0 || request.timeout_ms > self.limits.max_timeout_ms {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let id = request.transactional_id;
        let Some(t) = self.transactions.get_mut(id) else {
            let producer = ProducerEpoch {
                producer_id: allocate(ids, effects),
                epoch: 0,
            };
            let t = Transaction::new(producer, request.timeout_ms, now.wall_ms);
            effects.ops.push(records::put(id, &t));
            self.transactions.insert(id.to_owned(), t);
            return Ok(producer);
        };
        // A retry finds what the lost answer would have told.
        let bumped = match request.expected {
            None => false,
            Some(expected) if expected == t.producer => false,
            Some(expected) if t.is_retry_of_bump(expected) && t.state != State::Ongoing => true,
            Some(_) => return Err(ResponseError::ProducerFenced),
        };
        if t.state == State::Ongoing {
            let fence = t.producer.epoch.saturating_add(1);
            effects
                .endings
                .push(t.end(Outcome::Abort, fence, now.wall_ms));
            effects.timers.push((id.to_owned(), None));
        }
        if !bumped {
            let asked_by = request.expected.map(|expected| expected.epoch);
            t.bump(asked_by, || allocate(ids, effects));
        }
        t.state = State::Empty;
        t.timeout_ms = request.timeout_ms;
        t.started_ms = -1;
        t.updated_ms = now.wall_ms;
        t.end_bumped = false;
        effects.ops.push(records::put(id, t));
        Ok(t.producer)
    }

    /// Makes partitions part of the producer's transaction, which begins if none is open. From [`TransactionVersion::V2`] on
    /// this goes into the commit of a partition's first batch.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING for an id that is not this producer's, PRODUCER_FENCED for an epoch that is not the last.
    pub fn add_partitions(
        &mut self,
        now: Now,
        producer: Producer<'_>,
        partitions: impl IntoIterator<Item = PartitionId>,
        effects: &mut Effects,
    ) -> Result<(), ResponseError> {
        self.extend(now, producer, effects, |t| {
            let before = t.partitions.len();
            t.partitions.extend(partitions);
            t.partitions.len() != before
        })
    }

    /// As [`TransactionCoordinator::add_partitions`], for the offsets of a group.
    ///
    /// # Errors
    /// The same.
    pub fn add_group(
        &mut self,
        now: Now,
        producer: Producer<'_>,
        group_id: &str,
        effects: &mut Effects,
    ) -> Result<(), ResponseError> {
        self.extend(now, producer, effects, |t| {
            t.groups.insert(group_id.to_owned())
        })
    }

    fn extend(
        &mut self,
        now: Now,
        producer: Producer<'_>,
        effects: &mut Effects,
        extend: impl FnOnce(&mut Transaction) -> bool,
    ) -> Result<(), ResponseError> {
        let id = producer.transactional_id;
        let t = find(&mut self.transactions, producer)?;
        let began = t.begin(now.wall_ms);
        let grew = extend(t);
        if began {
            effects.timers.push((id.to_owned(), deadline(t, now)));
        }
        if began || grew {
            t.updated_ms = now.wall_ms;
            effects.ops.push(records::put(id, t));
        }
        Ok(())
    }

    /// Whether `partition` is part of the producer's open transaction, so that a batch of it may be appended.
    ///
    /// # Errors
    /// As [`TransactionCoordinator::add_partitions`].
    pub fn contains_partition(
        &mut self,
        producer: Producer<'_>,
        partition: &PartitionId,
    ) -> Result<bool, ResponseError> {
        find(&mut self.transactions, producer)
            .map(|t| t.state == State::Ongoing && t.partitions.contains(partition))
    }

    /// As [`TransactionCoordinator::contains_partition`], for the offsets of a group.
    ///
    /// # Errors
    /// The same.
    pub fn contains_group(
        &mut self,
        producer: Producer<'_>,
        group_id: &str,
    ) -> Result<bool, ResponseError> {
        find(&mut self.transactions, producer)
            .map(|t| t.state == State::Ongoing && t.groups.contains(group_id))
    }

    /// Ends the producer's transaction. Returns what it writes under from now on: with [`TransactionVersion::V2`] that is
    /// another epoch. A producer that did not hear the answer may ask again.
    ///
    /// # Errors
    /// As [`TransactionCoordinator::add_partitions`]; INVALID_TXN_STATE if there is nothing to end, or it ended otherwise. With
    /// V2 nothing may be aborted: the producer cannot know whether its batches have arrived.
    pub fn end(
        &mut self,
        now: Now,
        producer: Producer<'_>,
        outcome: Outcome,
        version: TransactionVersion,
        ids: &mut ProducerIds,
        effects: &mut Effects,
    ) -> Result<ProducerEpoch, ResponseError> {
        let id = producer.transactional_id;
        let asked = producer.producer;
        let ended = match outcome {
            Outcome::Commit => State::CompleteCommit,
            Outcome::Abort => State::CompleteAbort,
        };
        let bumps = version == TransactionVersion::V2;
        if let Some(t) = self.transactions.get(id)
            && bumps
            && t.end_bumped
            && t.is_retry_of_bump(asked)
        {
            return match t.state == ended {
                true => Ok(t.producer),
                false => Err(ResponseError::InvalidTxnState),
            };
        }
        let t = find(&mut self.transactions, producer)?;
        match t.state {
            State::Ongoing => {}
            state if !bumps && state == ended => return Ok(t.producer),
            // What is aborted without a beginning begins now.
            _ if bumps && outcome == Outcome::Abort => t.started_ms = now.wall_ms,
            _ => return Err(ResponseError::InvalidTxnState),
        }
        let epoch = t.producer.epoch;
        let marker_epoch = if bumps {
            epoch.saturating_add(1)
        } else {
            epoch
        };
        let ending = t.end(outcome, marker_epoch, now.wall_ms);
        if !ending.partitions.is_empty() || !ending.groups.is_empty() {
            effects.endings.push(ending);
        }
        effects.timers.push((id.to_owned(), None));
        if bumps {
            t.bump(Some(epoch), || allocate(ids, effects));
            t.end_bumped = true;
        }
        effects.ops.push(records::put(id, t));
        Ok(t.producer)
    }

    /// The timer of `transactional_id` is due: what it has open is aborted, and its epoch is over. Its producer, if nobody has come
    /// after it, may abort once more or initialise itself, and goes on under the next epoch.
    pub fn timed_out(&mut self, now: Now, transactional_id: &str, effects: &mut Effects) {
        let Some(t) = self.transactions.get_mut(transactional_id) else {
            return;
        };
        match deadline(t, now) {
            None => {}
            Some(at) if at > now.monotonic_ms => {
                effects.timers.push((transactional_id.to_owned(), Some(at)));
            }
            Some(_) => {
                let fence = t.fence_by_time();
                effects
                    .endings
                    .push(t.end(Outcome::Abort, fence, now.wall_ms));
                effects.ops.push(records::put(transactional_id, t));
            }
        }
    }

    /// Forgets transactional ids that nothing has happened to for `transactional.id.expiration.ms`, open ones excepted.
    pub fn expire(&mut self, now_wall_ms: i64, effects: &mut Effects) {
        let expiration_ms = self.limits.expiration_ms;
        self.transactions.retain(|id, t| {
            let idle_ms = now_wall_ms.saturating_sub(t.updated_ms);
            let keep = t.state == State::Ongoing || idle_ms < expiration_ms;
            if !keep {
                effects.ops.push(records::delete(id));
            }
            keep
        });
    }
}

/// The transaction of `producer`, if it is the last one of its transactional id.
fn find<'a>(
    transactions: &'a mut BTreeMap<String, Transaction>,
    producer: Producer<'_>,
) -> Result<&'a mut Transaction, ResponseError> {
    match transactions.get_mut(producer.transactional_id) {
        Some(t) if t.producer.producer_id != producer.producer.producer_id => {
            Err(ResponseError::InvalidProducerIdMapping)
        }
        Some(t) if t.producer.epoch != producer.producer.epoch => {
            Err(ResponseError::ProducerFenced)
        }
        Some(t) => Ok(t),
        None => Err(ResponseError::InvalidProducerIdMapping),
    }
}

fn allocate(ids: &mut ProducerIds, effects: &mut Effects) -> i64 {
    let (id, reserve) = ids.allocate();
    effects.ops.extend(reserve.map(|block| block.op));
    id
}

/// When an open transaction times out, on the monotonic clock. The wall clock tells how long it has been open, a restart included.
fn deadline(t: &Transaction, now: Now) -> Option<u64> {
    (t.state == State::Ongoing).then(|| {
        let open_ms = now.wall_ms.saturating_sub(t.started_ms).max(0);
        let left_ms = i64::from(t.timeout_ms).saturating_sub(open_ms).max(0);
        now.monotonic_ms
            .saturating_add(u64::try_from(left_ms).unwrap_or(0))
    })
}
