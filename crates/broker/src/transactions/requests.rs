//! What producers ask for.

use ottla_codec::ResponseError;
use ottla_coordinator::Now;
use ottla_coordinator::groups::PartitionId;
use ottla_coordinator::producers::ProducerIds;
use ottla_coordinator::transactions::{
    Description, Effects, Filter, InitProducerId, Listed, Outcome, Producer, ProducerEpoch, Saved,
    TransactionCoordinator, TransactionVersion,
};
use ottla_storage::{AppendError, Appended, Commit, Op};

use crate::groups::{GroupService, Inner, Shared};
use crate::reply::Later;

/// What a decision needs.
pub(super) struct Deciding<'a> {
    pub machine: &'a mut TransactionCoordinator,
    pub ids: &'a mut ProducerIds,
    pub effects: &'a mut Effects,
    pub now: Now,
}

/// What was decided on what is seen now. A refusal depends on it as well: who is fenced by a commit that is lost is not.
struct Decided<R> {
    result: Result<R, ResponseError>,
    /// All that is seen is kept if this is.
    by: Option<Commit>,
}

/// A transactional producer, by what a request says.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub(crate) struct Asking {
    pub transactional_id: String,
    pub producer: ProducerEpoch,
}

impl Asking {
    pub fn as_producer(&self) -> Producer<'_> {
        Producer {
            transactional_id: &self.transactional_id,
            producer: self.producer,
        }
    }
}

impl GroupService {
    /// InitProducerId with a transactional id.
    pub fn init_transactional_producer(
        &self,
        transactional_id: &str,
        timeout_ms: i32,
        expected: Option<ProducerEpoch>,
    ) -> Later<Result<ProducerEpoch, ResponseError>> {
        self.transact(transactional_id, |d| {
            let request = InitProducerId {
                transactional_id,
                timeout_ms,
                expected,
            };
            d.machine
                .init_producer_id(d.now, &request, d.ids, d.effects)
        })
    }

    /// AddPartitionsToTxn, answered when it is written: what is appended to the partitions is kept after it or not at all, and who
    /// was answered must not hear from a broker that was killed since that its partition is not part of the transaction. That is
    /// the end of some clients' producers.
    pub fn add_partitions_to_transaction(
        &self,
        asking: &Asking,
        partitions: Vec<PartitionId>,
    ) -> Later<Result<(), ResponseError>> {
        let added = self.decide_transaction(&asking.transactional_id, |d| {
            let producer = asking.as_producer();
            d.machine
                .add_partitions(d.now, producer, partitions, d.effects)
        });
        self.when_written(added)
    }

    /// AddOffsetsToTxn; as [`GroupService::add_partitions_to_transaction`].
    pub fn add_group_to_transaction(
        &self,
        asking: &Asking,
        group_id: &str,
    ) -> Later<Result<(), ResponseError>> {
        let added = self.decide_transaction(&asking.transactional_id, |d| {
            let producer = asking.as_producer();
            d.machine.add_group(d.now, producer, group_id, d.effects)
        });
        self.when_written(added)
    }

    fn when_written(&self, decided: Decided<()>) -> Later<Result<(), ResponseError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            shared.written(decided.by).await?;
            decided.result
        })
    }

    /// EndTxn: what the producer writes under from now on, when markers and offsets are durable.
    pub fn end_transaction(
        &self,
        asking: &Asking,
        outcome: Outcome,
        version: TransactionVersion,
    ) -> Later<Result<ProducerEpoch, ResponseError>> {
        self.transact(&asking.transactional_id, |d| {
            let producer = asking.as_producer();
            d.machine
                .end(d.now, producer, outcome, version, d.ids, d.effects)
        })
    }

    /// Appends the first batch of a producer to a partition in its transaction. With `joins` the partition becomes part of the
    /// transaction by it (KIP-890), otherwise it must be one already.
    ///
    /// # Errors
    /// As an append; INVALID_TXN_STATE if the partition is not part of the transaction, and who the producer is not.
    pub fn append_first_in_transaction(
        &self,
        asking: &Asking,
        partition: PartitionId,
        joins: bool,
        append: Op,
    ) -> Result<Appended, AppendError> {
        let shared = &self.shared;
        let mut inner = shared.lock();
        let decided = shared.decide(&mut inner, &asking.transactional_id, |d| {
            let producer = asking.as_producer();
            if joins {
                return d
                    .machine
                    .add_partitions(d.now, producer, [partition], d.effects);
            }
            match d.machine.contains_partition(producer, &partition)? {
                true => Ok(()),
                false => Err(ResponseError::InvalidTxnState),
            }
        });
        let (saved, effects, ()) = decided.map_err(AppendError::Refused)?;
        let appended = shared.carry_out_transaction(&mut inner, effects, vec![append]);
        shared.keep_or_restore(&mut inner, saved, appended.is_ok());
        appended?
            .pop()
            .ok_or(AppendError::Refused(ResponseError::UnknownServerError))
    }

    /// Whether a partition is part of the producer's open transaction.
    pub fn is_in_transaction(
        &self,
        asking: &Asking,
        partition: &PartitionId,
    ) -> Result<bool, ResponseError> {
        self.decide_transaction(&asking.transactional_id, |d| {
            d.machine
                .contains_partition(asking.as_producer(), partition)
        })
        .result
    }

    /// DescribeTransactions, of one transactional id.
    pub fn describe_transaction(
        &self,
        transactional_id: &str,
    ) -> Later<Result<Option<Description>, ResponseError>> {
        self.read_transactions(|machine, _| machine.describe(transactional_id))
    }

    /// ListTransactions.
    pub fn list_transactions(&self, filter: &Filter) -> Later<Result<Vec<Listed>, ResponseError>> {
        self.read_transactions(|machine, now| machine.list(filter, now.wall_ms).collect())
    }

    fn read_transactions<R: Send + 'static>(
        &self,
        read: impl FnOnce(&TransactionCoordinator, Now) -> R,
    ) -> Later<Result<R, ResponseError>> {
        let shared = self.shared.clone();
        let result = {
            let mut inner = shared.lock();
            let now = shared.now();
            shared
                .with_transactions(&mut inner, |machine| read(machine, now))
                .map(|value| (value, inner.last_commit))
        };
        Box::pin(async move {
            let (value, commit) = result?;
            shared.durable(commit).await?;
            Ok(value)
        })
    }

    /// Decides, and answers when what the answer may tell of is durable.
    fn transact<R: Send + 'static>(
        &self,
        transactional_id: &str,
        decide: impl FnOnce(&mut Deciding<'_>) -> Result<R, ResponseError>,
    ) -> Later<Result<R, ResponseError>> {
        let shared = self.shared.clone();
        let decided = self.decide_transaction(transactional_id, decide);
        Box::pin(async move {
            shared.durable(decided.by).await?;
            decided.result
        })
    }

    fn decide_transaction<R>(
        &self,
        transactional_id: &str,
        decide: impl FnOnce(&mut Deciding<'_>) -> Result<R, ResponseError>,
    ) -> Decided<R> {
        let shared = &self.shared;
        let mut inner = shared.lock();
        let decided = shared.decide(&mut inner, transactional_id, decide);
        let result = decided.and_then(|(saved, effects, result)| {
            shared.settle_transaction(&mut inner, saved, effects)?;
            Ok(result)
        });
        Decided {
            result,
            by: inner.last_commit,
        }
    }
}

impl Shared {
    /// Asks the machine. Nothing is committed yet: [`Shared::keep_or_restore`] must follow, with whether it was.
    pub(super) fn decide<R>(
        &self,
        inner: &mut Inner,
        transactional_id: &str,
        decide: impl FnOnce(&mut Deciding<'_>) -> Result<R, ResponseError>,
    ) -> Result<(Saved, Effects, R), ResponseError> {
        if transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let mut ids = self.take_producer_ids(inner)?;
        let now = self.now();
        let mut effects = Effects::default();
        let decided = self.with_transactions(inner, |machine| {
            let saved = machine.save(transactional_id);
            let result = decide(&mut Deciding {
                machine,
                ids: &mut ids,
                effects: &mut effects,
                now,
            });
            (saved, result)
        });
        inner.put_producer_ids(ids);
        let (saved, result) = decided?;
        Ok((saved, effects, result?))
    }

    /// After a commit that was refused the machine is as before, and ids that it reserved are reserved again.
    pub(super) fn keep_or_restore(&self, inner: &mut Inner, saved: Saved, kept: bool) {
        if kept {
            return;
        }
        if let Some(machine) = &mut inner.transactions.machine {
            machine.restore(saved);
        }
        inner.forget_producer_ids();
    }
}
