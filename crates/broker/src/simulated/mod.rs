//! A broker without sockets and threads, on a simulated disk and with clocks that are set: for simulations and the fuzzer.

mod broker;
mod connection;
mod process;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod requests;
mod timers;

use std::sync::Arc;

use ottla_coordinator::Now;
use parking_lot::Mutex;

pub use broker::{Change, Damage, Simulated};
pub use connection::{Answered, Connection, in_memory};
pub(crate) use process::Process;
#[cfg(test)]
pub(crate) use process::poll;
pub(crate) use timers::Timers;

/// The clocks, the wall's and one that begins anew with each process.
pub(crate) type SetClock = Arc<Mutex<Now>>;
