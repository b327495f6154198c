//! Values of command lines.

use std::time::Duration;

/// A time in minutes, above 0; parts of one too.
///
/// # Errors
/// What is no number, not above 0, or longer than a clock goes.
pub fn minutes(text: &str) -> Result<Duration, String> {
    time(text, 60.0)
}

/// A time in seconds; as [`minutes`].
///
/// # Errors
/// As [`minutes`].
pub fn seconds(text: &str) -> Result<Duration, String> {
    time(text, 1.0)
}

/// A number above 0.
///
/// # Errors
/// What is none.
pub fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        _ => Err("not a number above 0".to_owned()),
    }
}

fn time(text: &str, unit: f64) -> Result<Duration, String> {
    /// A year: what is added to an instant must not overflow it.
    const LONGEST: f64 = 366.0 * 86_400.0;
    let seconds = above_zero(text)? * unit;
    match seconds <= LONGEST {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("longer than a year".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_above_zero_and_below_a_year() {
        assert_eq!(minutes("1.5"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "NaN", "inf", "1e300", "ten", ""] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }
}
