//! A rate limit as arithmetic on given times.

/// Records a second, from a start on. A pause earns nothing: who begins anew makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    per_second: Option<u32>,
    start_ms: u64,
    moved: u64,
}

/// The most records that are moved at once, whatever the rate.
pub const CHUNK: u32 = 500;

impl Pace {
    /// `per_second` is above 0; `None`: as fast as it goes. `now_ms` is of the monotonic clock.
    pub fn new(per_second: Option<u32>, now_ms: u64) -> Pace {
        Pace {
            per_second: per_second.filter(|&rate| rate > 0),
            start_ms: now_ms,
            moved: 0,
        }
    }

    /// How many records may be moved at once: with a rate, a tenth of a second's, so that they flow evenly.
    pub fn chunk(&self) -> u32 {
        self.per_second
            .map_or(CHUNK, |rate| (rate / 10).clamp(1, CHUNK))
    }

    /// Notes that `records` were moved.
    pub fn moved(&mut self, records: u64) {
        self.moved += records;
    }

    /// When the next chunk is due, on the monotonic clock.
    pub fn due_ms(&self) -> u64 {
        match self.per_second {
            None => self.start_ms,
            Some(rate) => {
                let after = u128::from(self.moved) * 1000 / u128::from(rate);
                self.start_ms
                    .saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rate_is_always_due() {
        let mut pace = Pace::new(None, 5);
        pace.moved(1_000_000);
        assert_eq!((pace.due_ms(), pace.chunk()), (5, CHUNK));
    }

    #[test]
    fn in_any_second_no_more_than_the_rate_and_one_chunk_go() {
        for rate in [1, 3, 10, 99, 1000, 100_000] {
            let mut pace = Pace::new(Some(rate), 0);
            let mut at = Vec::new();
            while pace.due_ms() < 5_000 {
                at.push((pace.due_ms(), pace.chunk()));
                pace.moved(u64::from(pace.chunk()));
            }
            for from in 0..4 {
                let second = from * 1000..(from + 1) * 1000;
                let sum: u32 = at
                    .iter()
                    .filter(|(ms, _)| second.contains(ms))
                    .map(|(_, n)| n)
                    .sum();
                assert!(sum <= rate + pace.chunk(), "{rate}: {sum} in {second:?}");
                assert!(sum + pace.chunk() >= rate, "{rate}: {sum} in {second:?}");
            }
        }
    }
}
