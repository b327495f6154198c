//! Dead letters as pure policy: what happened and the time go in; what to store, what to withhold from whom, and which
//! records to move come out.
//!
//! Invariants: no I/O, no clock, no thread, no randomness, no tokio (linted by this crate's clippy.toml). The same inputs give
//! the same outputs, so that a seeded simulation can replay any history. The part that reads logs and commits is the
//! broker's `dead_letters`. The design is in `docs/DEAD_LETTERS.md`.
#![forbid(unsafe_code)]

pub mod engine;
pub mod event;
pub mod headers;
pub mod marker;
pub mod redrive;
pub mod settings;
#[cfg(test)]
mod simulation;

pub use engine::Engine;

/// The time of an event, both clocks, in milliseconds.
///
/// `monotonic_ms` never goes back and drives timers; `wall_ms` is what is stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never goes back, from an arbitrary start.
    pub monotonic_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
}

/// A partition by the name of its topic.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[allow(missing_docs)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

/// Offsets of one partition: `from` and what follows, without `until`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[allow(missing_docs)]
pub struct Offsets {
    pub from: i64,
    pub until: i64,
}

/// A change of the tree of dead letters. Those of one event are committed together, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoreOp {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
}
