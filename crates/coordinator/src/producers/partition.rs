//! What a partition knows of those who write to it: their windows, and their transactions.

use std::collections::{BTreeMap, VecDeque};

use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;
use serde::{Deserialize, Serialize};

use super::open::{Aborted, PartitionTransactions};
use super::window::{self, BatchInfo, ProducerWindow, Verdict};

/// Windows alone.
const WINDOWS: u8 = 1;
/// With all aborted transactions there are; the last ones only from version 3 on.
const ALL_ABORTED: u8 = 2;
const VERSION: u8 = 3;

/// Why a snapshot cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SnapshotError {
    #[error("the snapshot of producers has version {0}, which this ottla does not know")]
    Version(u8),
    #[error("the snapshot of producers is damaged: {0}")]
    Damaged(String),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    windows: window::Stored,
    open: BTreeMap<i64, i64>,
    aborted: VecDeque<Aborted>,
}

/// The producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionProducers {
    window: ProducerWindow,
    transactions: PartitionTransactions,
}

impl PartitionProducers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides on a batch, as [`ProducerWindow::check`]. A transactional one needs an open transaction here, unless it may begin
    /// one.
    ///
    /// # Errors
    /// As [`ProducerWindow::check`]; INVALID_TXN_STATE without a transaction, and for a batch that is not part of the one that is
    /// open.
    pub fn check(
        &self,
        batch: &BatchInfo,
        is_transactional: bool,
        begins_transaction: bool,
    ) -> Result<Verdict, ResponseError> {
        let verdict = self.window.check(batch)?;
        let has_place =
            !is_transactional || begins_transaction || self.transactions.is_open(batch.producer_id);
        let is_outside = !is_transactional && self.transactions.is_open(batch.producer_id);
        match verdict {
            Verdict::New if is_outside => Err(ResponseError::InvalidTxnState),
            Verdict::New if !has_place => Err(ResponseError::InvalidTxnState),
            verdict => Ok(verdict),
        }
    }

    /// Notes an appended batch.
    pub fn appended(&mut self, batch: &BatchInfo, is_transactional: bool, now_ms: i64) {
        self.window.appended(batch, now_ms);
        if is_transactional {
            self.transactions
                .appended(batch.producer_id, batch.base_offset);
        }
    }

    /// Notes a marker.
    pub fn marker(
        &mut self,
        producer_id: i64,
        epoch: i16,
        outcome: Outcome,
        offset: i64,
        now_ms: i64,
    ) {
        self.window.marker(producer_id, epoch, offset, now_ms);
        self.transactions.marker(producer_id, outcome, offset);
    }

    /// Takes back what is at or after `offset`.
    pub fn truncate(&mut self, offset: i64) {
        self.window.truncate(offset);
        self.transactions.truncate(offset);
    }

    /// Everything below `end` is durable.
    pub fn durable(&mut self, end: i64) {
        self.window.durable(end);
        self.transactions.durable(end);
    }

    /// Records below `log_start` are gone.
    pub fn log_starts_at(&mut self, log_start: i64) {
        self.transactions.log_starts_at(log_start);
    }

    /// Gives away aborted transactions, see [`PartitionTransactions::take_aborted`].
    pub fn take_aborted(&mut self, end: i64) -> impl Iterator<Item = Aborted> {
        self.transactions.take_aborted(end)
    }

    /// Forgets aborted transactions, see [`PartitionTransactions::forget_aborted`].
    pub fn forget_aborted(&mut self, last_offsets: &[i64]) {
        self.transactions.forget_aborted(last_offsets);
    }

    /// Forgets producers that appended nothing for `expiration_ms`. One with an open transaction is not forgotten.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        let open = self.transactions.open();
        self.window
            .expire(now_ms, expiration_ms, |id| open.contains_key(&id));
    }

    /// The windows.
    pub fn window(&self) -> &ProducerWindow {
        &self.window
    }

    /// The transactions.
    pub fn transactions(&self) -> &PartitionTransactions {
        &self.transactions
    }

    /// The first offset that is undecided for a reader of committed records, whatever is durable; see
    /// [`PartitionTransactions::last_stable_offset`].
    pub fn first_undecided(&self) -> Option<i64> {
        let transaction = self.transactions.first_undecided();
        transaction
            .into_iter()
            .chain(self.window.first_marker())
            .min()
    }

    /// The state as bytes; `None` if there is none.
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        let t = &self.transactions;
        if self.window.is_empty() && t.open().is_empty() && t.aborted().is_empty() {
            return None;
        }
        let stored = Stored {
            windows: self.window.to_stored(),
            open: t.open().clone(),
            aborted: t.aborted().clone(),
        };
        Some(
            postcard::to_extend(&stored, vec![VERSION])
                .expect("plain data in memory always serialises"),
        )
    }

    /// What [`PartitionProducers::snapshot`] wrote.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn from_snapshot(bytes: &[u8]) -> Result<PartitionProducers, SnapshotError> {
        let damaged = |e: postcard::Error| SnapshotError::Damaged(e.to_string());
        match bytes.split_first() {
            Some((&(ALL_ABORTED | VERSION), body)) => {
                let stored: Stored = postcard::from_bytes(body).map_err(damaged)?;
                Ok(PartitionProducers {
                    window: ProducerWindow::from_stored(stored.windows),
                    transactions: PartitionTransactions::restore(stored.open, stored.aborted),
                })
            }
            Some((&WINDOWS, body)) => {
                let windows = postcard::from_bytes(body).map_err(damaged)?;
                Ok(PartitionProducers {
                    window: ProducerWindow::from_stored(windows),
                    transactions: PartitionTransactions::new(),
                })
            }
            Some((&version, _)) => Err(SnapshotError::Version(version)),
            None => Err(SnapshotError::Damaged("it is empty".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, sequence: i32, offset: i64) -> BatchInfo {
        BatchInfo {
            producer_id: 7,
            producer_epoch: epoch,
            first_sequence: sequence,
            last_sequence: sequence,
            base_offset: offset,
            last_offset: offset,
            append_time_ms: -1,
        }
    }

    #[test]
    fn a_transactional_batch_needs_a_transaction() {
        let mut producers = PartitionProducers::new();
        let first = batch(0, 0, 0);
        let refused = Err(ResponseError::InvalidTxnState);
        assert_eq!(producers.check(&first, true, false), refused);
        assert_eq!(producers.check(&first, false, false), Ok(Verdict::New));
        assert_eq!(producers.check(&first, true, true), Ok(Verdict::New));
        producers.appended(&first, true, 0);
        assert_eq!(
            producers.check(&batch(0, 1, 0), true, false),
            Ok(Verdict::New)
        );
        producers.marker(7, 0, Outcome::Commit, 1, 0);
        assert_eq!(producers.check(&batch(0, 1, 0), true, false), refused);
        let again = producers.check(&first, true, false);
        assert!(matches!(again, Ok(Verdict::Duplicate { .. })), "{again:?}");
    }

    #[test]
    fn what_is_undecided_is_so_until_its_marker_is_durable() {
        let mut producers = PartitionProducers::new();
        producers.appended(&batch(0, 0, 5), true, 0);
        assert_eq!(producers.first_undecided(), Some(5));
        producers.marker(7, 1, Outcome::Abort, 6, 0);
        assert_eq!(producers.first_undecided(), Some(5));
        let ended = producers.clone();
        producers.durable(7);
        assert_eq!(producers.first_undecided(), None);
        let mut producers = ended;
        producers.truncate(6);
        assert_eq!(producers.first_undecided(), Some(5));
        assert_eq!(
            producers.check(&batch(0, 1, 0), true, false),
            Ok(Verdict::New)
        );
        // One that ends nothing is remembered until it is durable, too.
        let mut producers = PartitionProducers::new();
        producers.marker(7, 1, Outcome::Abort, 6, 0);
        assert_eq!(producers.first_undecided(), Some(6));
        producers.durable(7);
        assert_eq!(producers.first_undecided(), None);
    }

    #[test]
    fn a_producer_with_an_open_transaction_does_not_expire() {
        let mut producers = PartitionProducers::new();
        producers.appended(&batch(0, 0, 0), true, 0);
        producers.expire(10_000, 1_000);
        assert_eq!(
            producers.check(&batch(0, 1, 0), true, false),
            Ok(Verdict::New)
        );
        assert_eq!(
            producers.check(&batch(0, 5, 0), true, false),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        producers.marker(7, 0, Outcome::Commit, 1, 0);
        producers.expire(10_000, 1_000);
        assert_eq!(
            producers.check(&batch(0, 5, 0), false, false),
            Ok(Verdict::New)
        );
    }

    #[test]
    fn a_snapshot_gives_the_same_producers() {
        let mut producers = PartitionProducers::new();
        producers.appended(&batch(0, 0, 0), true, 0);
        producers.marker(7, 1, Outcome::Abort, 1, 0);
        producers.appended(&batch(1, 0, 2), true, 0);
        producers.durable(3);
        let bytes = producers.snapshot().expect("not empty");
        assert_eq!(PartitionProducers::from_snapshot(&bytes), Ok(producers));
        assert_eq!(PartitionProducers::new().snapshot(), None);
        assert_eq!(
            PartitionProducers::from_snapshot(&[9]),
            Err(SnapshotError::Version(9))
        );
        assert!(PartitionProducers::from_snapshot(&bytes[..bytes.len() - 2]).is_err());
    }

    #[test]
    fn a_snapshot_with_all_aborted_transactions_is_read_and_they_can_be_taken() {
        let mut producers = PartitionProducers::new();
        for epoch in 0..3 {
            let offset = i64::from(epoch) * 10;
            producers.appended(&batch(epoch, 0, offset), true, 0);
            producers.marker(7, epoch, Outcome::Abort, offset + 1, 0);
        }
        producers.durable(30);
        let mut bytes = producers.snapshot().expect("not empty");
        bytes[0] = ALL_ABORTED;
        let mut read = PartitionProducers::from_snapshot(&bytes).expect("known");
        assert_eq!(read, producers);
        let taken: Vec<i64> = read.take_aborted(21).map(|a| a.last_offset).collect();
        assert_eq!(taken, [1, 11]);
        let left = read.transactions().aborted().iter().map(|a| a.last_offset);
        assert_eq!(left.collect::<Vec<_>>(), [21]);
        assert!(read.snapshot().expect("not empty").len() < bytes.len());
    }

    #[test]
    fn a_snapshot_from_before_transactions_is_read() {
        let mut producers = PartitionProducers::new();
        producers.appended(&batch(0, 0, 0), false, 0);
        let windows = producers.window.to_stored();
        let bytes = postcard::to_extend(&windows, vec![WINDOWS]).expect("plain data");
        assert_eq!(PartitionProducers::from_snapshot(&bytes), Ok(producers));
    }
}
