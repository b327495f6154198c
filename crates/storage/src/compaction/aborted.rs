//! Which records are of aborted transactions.

use ottla_codec::batch::BatchHeader;

use crate::partition_state::AbortedTransaction;

/// Aborted transactions, to be found by producer and offset.
#[derive(Debug, Clone, Default)]
pub(super) struct AbortedList(Vec<AbortedTransaction>);

impl AbortedList {
    /// In any order.
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> AbortedList {
        aborted.sort_unstable_by_key(key);
        AbortedList(aborted)
    }

    /// Whether the batch's records are none. A producer's transactions follow one another, and a batch is of one of them.
    pub fn has(&self, batch: &BatchHeader) -> bool {
        batch.is_transactional() && self.at(batch.producer_id, batch.base_offset).is_some()
    }

    /// Whether the marker at `offset` ends one of these.
    pub fn ends_at(&self, producer_id: i64, offset: i64) -> bool {
        self.at(producer_id, offset)
            .is_some_and(|aborted| aborted.last_offset == offset)
    }

    fn at(&self, producer_id: i64, offset: i64) -> Option<&AbortedTransaction> {
        let after = self.0.partition_point(|a| key(a) <= (producer_id, offset));
        let candidate = self.0.get(after.checked_sub(1)?)?;
        (candidate.producer_id == producer_id && offset <= candidate.last_offset)
            .then_some(candidate)
    }
}

fn key(aborted: &AbortedTransaction) -> (i64, i64) {
    (aborted.producer_id, aborted.first_offset)
}
