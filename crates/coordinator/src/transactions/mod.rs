//! Transactions (KIP-98, KIP-360, KIP-890): who writes under which epoch, what a transaction spans, how it ends.
//!
//! There is one broker, and its journal takes appends and rows in one commit. So a transaction has no state between "it was
//! decided" and "its markers are written", which Kafka calls PrepareCommit and PrepareAbort: an [`Ending`] is carried out in the
//! commit that has the transaction's new row.
//!
//! Calls return an answer and add to [`Effects`] what must be committed for it. A call that fails adds nothing.

mod coordinator;
mod effects;
mod list;
mod records;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod transaction;

pub use coordinator::{
    InitProducerId, Limits, Producer, Saved, TransactionCoordinator, TransactionVersion,
};
pub use effects::{Effects, Ending};
pub use list::{Description, Filter, Listed};
pub use ottla_codec::control::Outcome;
pub use records::{RecordError, transactional_id_of_key};
pub use transaction::{ProducerEpoch, State};
