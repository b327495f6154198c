//! Coordination as pure state machines: an event and the time go in; ops, replies and timers come out.
//!
//! Invariants: no I/O, no clock, no thread, no randomness, no tokio (linted by this crate's clippy.toml).
//! Time and random ids come in with the event. The same inputs give the same outputs, so that a seeded
//! simulation can replay any history.
#![forbid(unsafe_code)]

pub mod groups;
pub mod producers;
pub mod timers;
pub mod transactions;

/// The time of an event, both clocks, in milliseconds.
///
/// `monotonic_ms` never goes back and drives sessions and timers; `wall_ms` is what is stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never goes back, from an arbitrary start.
    pub monotonic_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
}

/// A change of stored state. Those of one [`Effects`] are committed together, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Sets `key` to `value`.
    Put {
        /// Which tree.
        tree: Tree,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes `key`.
    Delete {
        /// Which tree.
        tree: Tree,
        /// The key.
        key: Vec<u8>,
    },
}

/// The trees that coordinators store their state in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// Groups: key is the group id's bytes.
    Groups,
    /// Committed offsets: key is the group id's length (u32, big endian), the group id, the topic name, 0, the partition (i32, big endian).
    Offsets,
    /// The next producer id and the like.
    Producers,
    /// Transactions: key is the transactional id's bytes.
    Transactions,
    /// Offsets of open transactions: as [`Tree::Offsets`], with the producer id (i64, big endian) before the topic.
    PendingOffsets,
}

/// What an event causes: `ops` are committed atomically, then `replies` go out, and `timers` replace those with the same key.
#[derive(Debug)]
pub struct Effects<Ticket, Reply, TimerKey, Observed = ()> {
    /// To be committed in one journal record. Empty: replies may leave at once.
    pub ops: Vec<StoreOp>,
    /// To be sent once `ops` are durable.
    pub replies: Vec<(Ticket, Reply)>,
    /// Timers to set (`Some(monotonic deadline in ms)`) or to clear (`None`).
    pub timers: Vec<(TimerKey, Option<u64>)>,
    /// What happened, in its order, for those who watch. True once `ops` are committed.
    pub observed: Vec<Observed>,
}

impl<Ticket, Reply, TimerKey, Observed> Default for Effects<Ticket, Reply, TimerKey, Observed> {
    fn default() -> Self {
        Effects {
            ops: Vec::new(),
            replies: Vec::new(),
            timers: Vec::new(),
            observed: Vec::new(),
        }
    }
}

impl<Ticket, Reply, TimerKey, Observed> Effects<Ticket, Reply, TimerKey, Observed> {
    /// Nothing happens.
    pub fn none() -> Self {
        Self::default()
    }
}
