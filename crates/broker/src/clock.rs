//! The one place where the broker reads clocks; everything below gets the time handed down.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ottla_coordinator::Now;

/// What tells the time to those who are simulated, too.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The machine's.
    System {
        /// When the monotonic clock showed 0.
        started: Instant,
    },
    /// One that stands still until it is set.
    Set(std::sync::Arc<parking_lot::Mutex<Now>>),
}

impl Clock {
    /// The machine's clocks; the monotonic one begins at 0.
    pub fn system() -> Clock {
        Clock::System {
            started: Instant::now(),
        }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        match self {
            Clock::System { started } => Now {
                monotonic_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                wall_ms: wall_ms(),
            },
            Clock::Set(now) => *now.lock(),
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
