//! Idempotent producers (KIP-98, KIP-360): their ids, and per partition the window that finds duplicates and gaps.

mod ids;
mod open;
mod partition;
mod window;

pub use ids::{PRODUCER_ID_KEY, ProducerIds, ReserveBlock};
pub use open::{Aborted, PartitionTransactions};
pub use partition::{PartitionProducers, SnapshotError};
pub use window::{BatchInfo, ProducerWindow, Verdict};
