//! TxnOffsetCommit: offsets that wait for the end of a transaction.

use ottla_codec::ResponseError;
use ottla_coordinator::groups::{GroupEffects, OffsetCommitRequest, OffsetResults};

use super::requests::Asking;
use crate::groups::{GroupService, Ticket, UNAVAILABLE};
use crate::reply::Later;

impl GroupService {
    /// Keeps offsets for the end of the producer's transaction. With `joins` the group becomes part of the transaction by it
    /// (KIP-890), otherwise it must be one already.
    pub fn commit_offsets_in_transaction(
        &self,
        asking: &Asking,
        joins: bool,
        request: OffsetCommitRequest,
    ) -> Later<Result<OffsetResults, ResponseError>> {
        let shared = self.shared.clone();
        let (results, commit) = {
            let mut inner = shared.lock();
            let results = shared.keep_offsets(&mut inner, asking, joins, request);
            (results, inner.last_commit)
        };
        Box::pin(async move {
            shared.durable(commit).await?;
            results
        })
    }
}

impl crate::groups::Shared {
    fn keep_offsets(
        &self,
        inner: &mut crate::groups::Inner,
        asking: &Asking,
        joins: bool,
        mut request: OffsetCommitRequest,
    ) -> Result<OffsetResults, ResponseError> {
        self.refresh_config(inner);
        self.ensure_loaded(inner, &request.group_id)?;
        let group_id = request.group_id.clone();
        let has_marker = |p: &_| self.has_marker(&group_id, p);
        let refused: Vec<bool> = request.partitions.iter().map(has_marker).collect();
        request.partitions.retain(|p| !has_marker(p));
        let (saved, mut effects, ()) = self.decide(inner, &asking.transactional_id, |d| {
            let producer = asking.as_producer();
            if joins {
                return d.machine.add_group(d.now, producer, &group_id, d.effects);
            }
            match d.machine.contains_group(producer, &group_id)? {
                true => Ok(()),
                false => Err(ResponseError::InvalidTxnState),
            }
        })?;
        let mut groups = GroupEffects::<Ticket>::none();
        let producer_id = asking.producer.producer_id;
        let results =
            inner
                .machine
                .commit_in_transaction(self.now(), producer_id, request, &mut groups);
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                self.keep_or_restore(inner, saved, false);
                return Err(error);
            }
        };
        effects.ops.append(&mut groups.ops);
        let committed = self.settle_transaction(inner, saved, effects);
        if committed.is_err() {
            self.drop_live(inner, Some(&group_id));
            return Err(UNAVAILABLE);
        }
        let mut kept = results.into_iter();
        let results = refused.into_iter().map(|refused| match refused {
            // What a record's failure leads to cannot wait for the end of the transaction that failed on it.
            true => Err(ResponseError::InvalidRequest),
            false => kept.next().unwrap_or(Err(UNAVAILABLE)),
        });
        Ok(results.collect())
    }
}
