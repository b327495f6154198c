//! Carrying out what the machine says: one commit of rows, batches, markers and offsets.

use bytes::BytesMut;
use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::{self, Outcome};
use ottla_coordinator::groups::GroupEffects;
use ottla_coordinator::transactions::{Effects, Ending, Saved};
use ottla_storage::{AppendContext, AppendError, Appended, Commit, Op, Partition};

use crate::dead_letters::Outcome as Watched;
use crate::errors;
use crate::groups::{Inner, Shared, Ticket, UNAVAILABLE, meta_op};

impl Shared {
    /// Commits `effects`, after `batches`, whose places come back in their order. If that is refused, the groups concerned are
    /// loaded again as they are stored.
    ///
    /// # Errors
    /// Why a batch, or all of it, was not taken.
    pub(crate) fn carry_out_transaction(
        &self,
        inner: &mut Inner,
        effects: Effects,
        batches: Vec<Op>,
    ) -> Result<Vec<Appended>, AppendError> {
        let ended_in: Vec<String> = effects
            .endings
            .iter()
            .flat_map(|ending| ending.groups.iter().cloned())
            .collect();
        // Before anything is changed: if one cannot be read, the producer tries again.
        for group_id in &ended_in {
            self.ensure_loaded(inner, group_id)
                .map_err(|_| AppendError::Refused(UNAVAILABLE))?;
        }
        let mut ops = batches;
        let count = ops.len();
        let mut groups = GroupEffects::<Ticket>::none();
        for ending in &effects.endings {
            self.add_markers(ending, &mut ops);
            for group_id in &ending.groups {
                let (id, outcome) = (ending.producer_id, ending.outcome);
                inner
                    .machine
                    .end_transaction(group_id, id, outcome, &mut groups);
            }
        }
        let observed = std::mem::take(&mut groups.observed);
        let mut watched: Watched = self.observe(inner, observed);
        let rows = effects.ops.into_iter().chain(groups.ops);
        ops.extend(rows.map(|op| Op::Meta(meta_op(op))));
        ops.extend(watched.ops.drain(..).map(Op::Meta));
        // A timer may be set again though nothing has changed.
        let committed = match ops.is_empty() {
            true => Ok((Vec::new(), inner.last_commit)),
            false => self
                .store
                .commit_all(ops)
                .map(|(appended, commit)| (appended, Some(commit))),
        };
        match committed {
            Ok((mut appended, commit)) => {
                inner.last_commit = commit;
                for (id, deadline) in effects.timers {
                    inner.transactions.timers.apply(id, deadline);
                }
                // Wakes the task for those of transactions, too.
                self.set_timers(inner, groups.timers);
                self.carry_out(inner, watched);
                appended.truncate(count);
                Ok(appended)
            }
            Err(error) => {
                for group_id in ended_in {
                    self.drop_live(inner, Some(&group_id));
                }
                Err(error)
            }
        }
    }

    /// As [`Shared::carry_out_transaction`] without batches; if it is refused the machine is as `saved`.
    pub(super) fn settle_transaction(
        &self,
        inner: &mut Inner,
        saved: Saved,
        effects: Effects,
    ) -> Result<(), ResponseError> {
        let carried_out = self.carry_out_transaction(inner, effects, Vec::new());
        self.keep_or_restore(inner, saved, carried_out.is_ok());
        carried_out.map(|_| ()).map_err(|error| {
            tracing::debug!(%error, "a change of a transaction was refused");
            UNAVAILABLE
        })
    }

    fn add_markers(&self, ending: &Ending, ops: &mut Vec<Op>) {
        let now_ms = self.now().wall_ms;
        let topics = self.store.topics();
        for id in &ending.partitions {
            let partition = topics
                .by_name(&id.topic)
                .and_then(|topic| self.store.partition(&topic.id, id.partition));
            // A topic that was deleted since needs none.
            let Some(partition) = partition else {
                continue;
            };
            let (batches, header) = marker(
                (ending.producer_id, ending.producer_epoch),
                ending.outcome,
                now_ms,
            );
            ops.push(Op::Append {
                partition,
                batches,
                headers: vec![header],
                ctx: AppendContext::at(now_ms),
            });
        }
    }
}

/// A marker of a producer, by id and epoch.
fn marker(producer: (i64, i16), outcome: Outcome, now_ms: i64) -> (BytesMut, BatchHeader) {
    let batch = control::marker(producer.0, producer.1, outcome, now_ms);
    let header = BatchHeader::parse(&batch).expect("a batch that was just built");
    (batch, header)
}

/// Ends what a producer (id and epoch) has open in one partition, whatever its coordinator knows. With `bumps` the epoch must be a
/// later one than that of the records: a marker that comes twice must not end the next transaction (KIP-1228).
///
/// # Errors
/// INVALID_PRODUCER_EPOCH for an epoch that is over.
pub(crate) fn append_marker(
    partition: &Partition,
    producer: (i64, i16),
    outcome: Outcome,
    bumps: bool,
    now_ms: i64,
) -> Result<Commit, ResponseError> {
    let last = partition.active_producers();
    let last = last.iter().find(|p| p.producer_id == producer.0);
    let is_over = last.is_some_and(|last| {
        let is_open = last.transaction_start >= 0 && last.epoch != i16::MAX;
        last.epoch > producer.1 || bumps && is_open && last.epoch == producer.1
    });
    if is_over {
        return Err(ResponseError::InvalidProducerEpoch);
    }
    let (batch, header) = marker(producer, outcome, now_ms);
    partition
        .append(batch, &[header], AppendContext::at(now_ms))
        .map(|appended| appended.commit)
        .map_err(|error| errors::append(&error))
}
