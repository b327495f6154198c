//! Leaving out the records of aborted transactions (KIP-98), for readers of committed records.

use std::collections::HashSet;

use kafka_protocol::messages::fetch_response::AbortedTransaction;
use ottla_codec::batch::BatchHeader;
use ottla_codec::records::Record;

/// The aborted transactions of one partition in one fetch answer.
#[derive(Debug)]
pub(super) struct AbortedTransactions {
    /// Producer id by first offset, the latest first.
    pending: Vec<(i64, i64)>,
    /// Producers in whose aborted transaction the reader is.
    open: HashSet<i64>,
}

impl AbortedTransactions {
    pub(super) fn new(aborted: Option<&[AbortedTransaction]>) -> Self {
        let mut pending: Vec<_> = aborted
            .unwrap_or_default()
            .iter()
            .map(|transaction| (transaction.first_offset, transaction.producer_id.0))
            .collect();
        pending.sort_unstable_by(|a, b| b.cmp(a));
        AbortedTransactions {
            pending,
            open: HashSet::new(),
        }
    }

    /// Whether this batch of data belongs to an aborted transaction. Batches come in offset order.
    pub(super) fn hides(&mut self, batch: &BatchHeader) -> bool {
        while let Some((first_offset, producer_id)) = self.pending.last().copied() {
            if first_offset > batch.last_offset() {
                break;
            }
            self.pending.pop();
            self.open.insert(producer_id);
        }
        batch.is_transactional() && self.open.contains(&batch.producer_id)
    }

    /// Takes note of a marker: an abort ends its producer's transaction.
    pub(super) fn marker(&mut self, batch: &BatchHeader, marker: &Record) {
        // A marker's key is a version and a type, two bytes each; type 0 is an abort.
        let aborts = marker.key.as_deref().and_then(|key| key.get(2..4)) == Some(&[0, 0]);
        if aborts {
            self.open.remove(&batch.producer_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::ProducerId;

    use super::*;

    fn batch(producer_id: i64, base_offset: i64, control: bool) -> BatchHeader {
        BatchHeader {
            base_offset,
            size: 100,
            leader_epoch: 0,
            crc: 0,
            attributes: if control { 0x30 } else { 0x10 },
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            record_count: 1,
        }
    }

    #[test]
    fn records_are_hidden_from_the_transactions_first_offset_to_its_abort() {
        let aborted = [AbortedTransaction::default()
            .with_producer_id(ProducerId(7))
            .with_first_offset(10)];
        let mut transactions = AbortedTransactions::new(Some(&aborted));
        assert!(!transactions.hides(&batch(7, 9, false)));
        assert!(transactions.hides(&batch(7, 10, false)));
        assert!(!transactions.hides(&batch(8, 11, false)));
        let abort = Record {
            offset: 12,
            timestamp: 0,
            key: Some(Bytes::from_static(&[0, 0, 0, 0])),
            value: None,
            headers: Vec::new(),
        };
        transactions.marker(&batch(7, 12, true), &abort);
        assert!(!transactions.hides(&batch(7, 13, false)));
    }
}
