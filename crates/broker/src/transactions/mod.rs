//! Transactions around the pure machine of `ottla-coordinator`: its rows, markers and offsets go into one commit.
//!
//! It lives under the mutex of the groups, since the end of a transaction changes groups' offsets: see [`crate::groups`]. Partitions
//! are locked under it, by the store.

mod answers;
mod end;
mod loading;
mod offsets;
mod requests;
#[cfg(test)]
mod simulation;
mod timers;

use ottla_coordinator::timers::TimerQueue;
use ottla_coordinator::transactions::{Limits, TransactionCoordinator};

use crate::settings::Effective;

pub(crate) use answers::{asking, fencing, refusal_of_write, told};
pub(crate) use end::append_marker;
pub(crate) use requests::Asking;

/// What is known of transactions, under the mutex of the groups.
#[derive(Default)]
pub(crate) struct Transactions {
    /// `None`: to be loaded with the next request.
    machine: Option<TransactionCoordinator>,
    /// Time-outs, by transactional id.
    timers: TimerQueue<String>,
}

impl Transactions {
    /// The live state may be built on what was not kept.
    pub fn forget(&mut self) {
        *self = Transactions::default();
    }

    /// When the first open transaction times out, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next_deadline()
    }
}

fn limits(settings: &Effective) -> Limits {
    Limits {
        max_timeout_ms: settings.transaction_max_timeout_ms,
        expiration_ms: settings.transactional_id_expiration_ms,
    }
}
