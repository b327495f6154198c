//! Where to start reading.

use std::str::FromStr;

use crate::time::parse_time;

/// Where to start reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    At(i64),
    /// So many offsets before the end.
    BeforeEnd(i64),
    /// Milliseconds since the epoch.
    Time(i64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Start, String> {
        match text {
            "beginning" | "earliest" => return Ok(Start::Beginning),
            "end" | "latest" => return Ok(Start::End),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@') {
            return parse_time(time).map(Start::Time);
        }
        match text.parse::<i64>() {
            Ok(offset) if text.starts_with('-') => Ok(Start::BeforeEnd(offset.saturating_neg())),
            Ok(offset) => Ok(Start::At(offset)),
            Err(_) => Err("expected beginning, end, an offset, -N or @TIME".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_in_each_form() {
        for (text, expected) in [
            ("beginning", Start::Beginning),
            ("end", Start::End),
            ("17", Start::At(17)),
            ("-5", Start::BeforeEnd(5)),
            ("@1000", Start::Time(1000)),
            ("@1970-01-01T00:00:01Z", Start::Time(1000)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert!("middle".parse::<Start>().is_err());
    }
}
