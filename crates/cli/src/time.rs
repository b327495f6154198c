//! Times on the command line: milliseconds, dates, durations.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// Milliseconds since the epoch: a number of them, `2026-01-31T12:00:00Z`, with an offset, or without one in UTC; a date
/// alone is its midnight.
pub fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(ms);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    text.parse::<civil::DateTime>()
        .ok()
        .and_then(|time| time.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp().as_millisecond())
        .ok_or_else(|| {
            format!(
                "`{text}` is not a time: milliseconds since 1970, or as in 2026-01-31T12:00:00Z"
            )
        })
}

/// A duration in milliseconds: `PT1H30M` (ISO 8601, as in Kafka's tools), `1h 30m`, `90s`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is not a duration: as in 90s, 1h 30m, 2d or PT1H30M");
    let span = text.parse::<jiff::Span>().map_err(|_| error())?;
    // Days have 24 hours here; months and years have no fixed length and are refused.
    let duration: SignedDuration = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| error())?;
    i64::try_from(duration.as_millis()).map_err(|_| error())
}

/// Now, in milliseconds since the epoch.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_form() {
        for (text, expected) in [
            ("1769860800000", 1_769_860_800_000),
            ("2026-01-31T12:00:00Z", 1_769_860_800_000),
            ("2026-01-31T13:00:00+01:00", 1_769_860_800_000),
            ("2026-01-31T12:00:00", 1_769_860_800_000),
            ("2026-01-31", 1_769_817_600_000),
        ] {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn durations_are_read_in_each_form() {
        for (text, expected) in [
            ("90s", 90_000),
            ("1h 30m", 5_400_000),
            ("PT1H30M", 5_400_000),
            ("P1D", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
        assert!(parse_duration("soon").is_err());
    }
}
