//! Times as `--to-datetime` and `--by-duration` take them, in milliseconds.

use jiff::{Span, Timestamp};

/// `2026-01-31T12:00:00.000`, in UTC unless an offset is behind it: milliseconds since the epoch. The error is Java's.
pub(super) fn datetime(text: &str) -> Result<i64, String> {
    let Some((_, time)) = text.split_once('T') else {
        return Err("java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".to_owned());
    };
    let with_zone = match time.contains(['+', '-', 'Z']) {
        true => text.to_owned(),
        false => format!("{text}Z"),
    };
    // Kafka's tools ask for milliseconds.
    let parsed: Option<Timestamp> = with_zone.parse().ok().filter(|_| time.contains('.'));
    match parsed {
        Some(timestamp) => Ok(timestamp.as_millisecond()),
        None => Err(format!(
            "java.text.ParseException: Unparseable date: \"{with_zone}\""
        )),
    }
}

/// `P1DT2H3M4.5S`: milliseconds. Days have 24 hours; months and years, which differ in length, are refused. The error is Java's.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let error = || "Text cannot be parsed to a Duration".to_owned();
    let upper = text.to_uppercase();
    if !upper.trim_start_matches(['-', '+']).starts_with('P') {
        return Err(error());
    }
    let span: Span = upper.parse().map_err(|_| error())?;
    let date = [
        i32::from(span.get_years()),
        span.get_months(),
        span.get_weeks(),
    ];
    if date != [0; 3] {
        return Err(error());
    }
    let days = i64::from(span.get_days()) * 24 * 3_600_000;
    let rest = span
        .days(0)
        .total(jiff::Unit::Nanosecond)
        .map_err(|_| error())?;
    // As Java, towards the past of a fraction of a millisecond.
    Ok(days + (rest / 1e6).floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_an_offset_is_utc() {
        for (text, expected) in [
            ("1970-01-01T00:00:01.500", 1500),
            ("1970-01-01T00:00:01.500Z", 1500),
            ("1970-01-01T01:00:01.500+01:00", 1500),
            ("1969-12-31T23:00:01.500-01:00", 1500),
        ] {
            assert_eq!(datetime(text), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("1970-01-01", "does not contain a 'T'"),
            (
                "1970-01-01T00:00:00",
                "Unparseable date: \"1970-01-01T00:00:00Z\"",
            ),
            ("1970-13-01T00:00:00.000", "Unparseable date"),
            ("T", "Unparseable date"),
        ] {
            assert!(datetime(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn a_duration_has_days_and_what_is_shorter() {
        for (text, expected) in [
            ("PT1H30M", 5_400_000),
            ("P1D", 86_400_000),
            ("P1DT0.5S", 86_400_500),
            ("PT0S", 0),
            ("-PT1S", -1000),
            ("pt1s", 1000),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in ["foo", "1h", "P1M", "P1W", "P", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
