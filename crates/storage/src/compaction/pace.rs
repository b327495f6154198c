//! Keeps what a pass reads and writes below a number of bytes a second.

use std::time::{Duration, Instant};

/// A pass may be this far ahead: waits shorter than that are not worth a wake-up.
const AHEAD: Duration = Duration::from_millis(100);
/// The longest wait at once. What is left of it comes with the next bytes, so that a change of the rate takes hold.
const LONGEST: Duration = Duration::from_secs(1);

/// When the bytes so far should have been done.
#[derive(Debug)]
pub(super) struct Pace {
    /// Everything up to here is paid for.
    paid_until: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace { paid_until: now }
    }

    /// Notes `bytes` that are about to be read or written, and says how long to wait before.
    pub fn take(&mut self, bytes: usize, bytes_per_second: f64, now: Instant) -> Option<Duration> {
        if !(bytes_per_second.is_finite() && bytes_per_second > 0.0) {
            return None;
        }
        let takes = Duration::try_from_secs_f64(bytes as f64 / bytes_per_second);
        // What was not used is not saved up.
        self.paid_until = self.paid_until.max(now) + takes.unwrap_or(LONGEST).min(LONGEST);
        let ahead = self.paid_until.saturating_duration_since(now);
        (ahead > AHEAD).then(|| ahead.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_time_that_the_rate_says() {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            if let Some(wait) = pace.take(50_000, 1e6, now) {
                now += wait;
            }
        }
        let took = now - start;
        // 5 MB at 1 MB a second.
        assert!((4.8..=5.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for rate in [f64::INFINITY, f64::MAX, f64::NAN, 0.0, -1.0] {
            assert_eq!(pace.take(1 << 20, rate, now), None, "{rate}");
        }
    }

    #[test]
    fn a_pause_is_not_saved_up_and_a_wait_is_bounded() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        now += Duration::from_secs(100);
        assert_eq!(pace.take(1000, 1e3, now), Some(LONGEST));
        assert_eq!(pace.take(usize::MAX, 1e-3, now), Some(LONGEST));
    }
}
