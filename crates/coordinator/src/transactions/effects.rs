//! What a call causes.

use ottla_codec::control::Outcome;

use crate::StoreOp;
use crate::groups::PartitionId;

/// The end of a transaction: a marker in each partition, and its offsets made the groups' or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Whose transaction.
    pub producer_id: i64,
    /// The epoch of the markers. Partitions take no batch of an earlier one after it.
    pub producer_epoch: i16,
    /// How.
    pub outcome: Outcome,
    /// Where the markers go, in order.
    pub partitions: Vec<PartitionId>,
    /// Groups with offsets that wait for this end, in order.
    pub groups: Vec<String>,
}

/// What must be committed, all in one: rows, markers, offsets. Then timers are set (`Some(monotonic deadline in ms)`) or
/// cleared (`None`) by transactional id.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Effects {
    pub ops: Vec<StoreOp>,
    pub endings: Vec<Ending>,
    pub timers: Vec<(String, Option<u64>)>,
}
