//! What a broker promises, and how often it was found broken: a test ends with the first, the suite counts and goes on.

use std::sync::atomic::{AtomicU64, Ordering};

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// What was acknowledged is there, with its bytes, at its place.
    Kept,
    /// It is there once, in order.
    Once,
    /// Committed positions never go back.
    Positions,
    /// What a consumer was shown stays.
    Seen,
    /// What is atomic is whole or absent.
    Atomic,
    /// What was removed stays away.
    Removed,
    /// Damage is told, with its place.
    Told,
}

impl Promise {
    /// All of them, in the order of the table.
    pub const ALL: [Promise; 7] = [
        Promise::Kept,
        Promise::Once,
        Promise::Positions,
        Promise::Seen,
        Promise::Atomic,
        Promise::Removed,
        Promise::Told,
    ];

    /// What is counted when it does not hold.
    pub fn breach(self) -> &'static str {
        match self {
            Promise::Kept => "acknowledged and lost",
            Promise::Once => "duplicated or out of order",
            Promise::Positions => "positions gone back",
            Promise::Seen => "seen and gone",
            Promise::Atomic => "atomic operations broken",
            Promise::Removed => "removed and back",
            Promise::Told => "damage not told",
        }
    }

    fn count(self) -> &'static AtomicU64 {
        static COUNTS: [AtomicU64; 7] = [const { AtomicU64::new(0) }; 7];
        &COUNTS[self as usize]
    }

    /// How often it was found broken in this process.
    pub fn broken(self) -> u64 {
        self.count().load(Ordering::Relaxed)
    }

    /// Panics, and counts, if it does not hold.
    #[track_caller]
    pub fn hold(self, holds: bool, what: impl FnOnce() -> String) {
        self.hold_all(u64::from(!holds), what);
    }

    /// The same for what is broken so many times.
    #[track_caller]
    pub fn hold_all(self, broken: u64, what: impl FnOnce() -> String) {
        if broken > 0 {
            self.count().fetch_add(broken, Ordering::Relaxed);
            panic!("{}: {}", self.breach(), what());
        }
    }
}
