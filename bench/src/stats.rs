//! Medians over rounds, percentiles over requests.

use std::time::Duration;

use serde::Serialize;

/// What several rounds measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Some(Summary { median, min, max })
    }
}

/// The value below which `percent` of the durations lie, milliseconds; 0 for none. Sorts in place.
pub fn percentile_ms(durations: &mut [Duration], percent: f64) -> f64 {
    if durations.is_empty() {
        return 0.0;
    }
    let rank = (percent / 100.0 * durations.len() as f64).ceil() as usize;
    let at = rank.clamp(1, durations.len()) - 1;
    let (_, value, _) = durations.select_nth_unstable(at);
    value.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max), (2.5, 1.0, 4.0));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn percentiles_name_the_value_at_their_rank() {
        let mut times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&mut times, 50.0), 50.0);
        assert_eq!(percentile_ms(&mut times, 99.0), 99.0);
        assert_eq!(percentile_ms(&mut times, 100.0), 100.0);
        assert_eq!(percentile_ms(&mut [], 50.0), 0.0);
    }
}
