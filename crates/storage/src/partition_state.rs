//! What a partition must know of every batch beside its position: the windows of idempotent producers.
//! The rules live elsewhere (the coordinator crate); the store calls them under the partition's lock, replays them at recovery,
//! and keeps their snapshots.

use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::Outcome;

use crate::AppendContext;

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Append it.
    New,
    /// It is there already; answer as then.
    Duplicate {
        /// Its base offset.
        base_offset: i64,
        /// Its timestamp, -1 for CreateTime.
        timestamp: i64,
    },
}

/// A producer that a partition knows, as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its last epoch.
    pub epoch: i16,
    /// Of its last record; -1 if there is none in this epoch.
    pub last_sequence: i32,
    /// When it last appended, milliseconds since the Unix epoch.
    pub last_append_ms: i64,
    /// The first offset of its open transaction; -1 without one.
    pub transaction_start: i64,
}

/// An aborted transaction: the transactional records of `producer_id` from `first_offset` up to the marker at `last_offset` are
/// none for readers of committed records (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
}

/// An aborted transaction whose marker is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledAbort {
    /// The transaction.
    pub transaction: AbortedTransaction,
    /// Nothing before this was undecided when the marker came; grows from marker to marker, so that a search knows where to end.
    pub last_stable_offset: i64,
}

/// State of one partition, fed with every batch.
pub trait PartitionState: Send + Sync {
    /// Decides on a batch that carries a producer id, before it gets an offset.
    fn check(&mut self, batch: &BatchHeader, ctx: AppendContext) -> Result<Check, ResponseError>;
    /// Notes a batch that was appended, with its final offsets; `marker` is what a control batch says. Also called in order at
    /// recovery for what the last snapshot does not have.
    fn appended(&mut self, batch: &BatchHeader, marker: Option<Outcome>, now_ms: i64);
    /// The state as bytes, or `None` if there is nothing to keep. Taken at a checkpoint.
    fn snapshot(&self) -> Option<Vec<u8>>;
    /// Called when appends that were noted are taken back (a failed commit): forget all batches at or after `offset`.
    fn truncate(&mut self, offset: i64);
    /// Everything below `end` is durable and is not taken back any more. Told while [`PartitionState::first_undecided`] says
    /// that something is undecided.
    fn durable(&mut self, _end: i64) {}
    /// Records below `log_start` are gone for good. Told when segments go, and when a partition is loaded.
    fn log_starts_at(&mut self, _log_start: i64) {}
    /// Whether a transaction of `producer_id` is open.
    fn has_open_transaction(&self, _producer_id: i64, _epoch: i16) -> bool {
        false
    }
    /// The first offset of the first transaction that is open, or whose marker is not known to be durable.
    fn first_undecided(&self) -> Option<i64> {
        None
    }
    /// Every producer that is known.
    fn active_producers(&self) -> Vec<ActiveProducer> {
        Vec::new()
    }
    /// Of the aborted transactions that it has, those with records in `from..to`, by marker.
    fn aborted_between(&self, _from: i64, _to: i64) -> Vec<AbortedTransaction> {
        Vec::new()
    }
    /// Forgets the aborted transactions whose markers are at `last_offsets`, in any order. All of them are durable, and compaction
    /// has left no record of them. Offsets of other markers change nothing.
    fn forget_aborted(&mut self, _last_offsets: &[i64]) {}
    /// Gives away the aborted transactions whose markers are below `end`, by marker: the store keeps them beside the snapshot from now on.
    /// None of them is taken back any more.
    fn take_aborted(&mut self, _end: i64) -> Vec<SettledAbort> {
        Vec::new()
    }
}

/// Makes the state of a partition, empty or from a snapshot.
pub trait PartitionStateFactory: Send + Sync {
    /// Empty, or what `snapshot` says; a snapshot that cannot be read is an error with the reason.
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String>;
}
