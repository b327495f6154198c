//! Where `reset-offsets` moves a group to.

use std::collections::BTreeMap;

use clap::Args;
use ottla_client::consumer::{Isolation, OffsetSpec};
use ottla_client::{Client, ClientError};

use crate::time::{now_ms, parse_duration, parse_time};

/// Where to move to. Exactly one is given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArgs {
    /// To the first offset that is there
    #[arg(long)]
    to_earliest: bool,
    /// To the end
    #[arg(long)]
    to_latest: bool,
    /// To the committed offset, where that is out of range to the nearest one
    #[arg(long)]
    to_current: bool,
    /// To this offset, or the nearest one that is there
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// By so many offsets from the committed one; negative to go back
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// To the first record at or after a time, as in 2026-01-31T12:00:00Z, or milliseconds
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to_datetime: Option<i64>,
    /// To the first record of the time that lies so far back, as in 1h 30m or PT1H30M
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    by_duration: Option<i64>,
}

/// The bounds of a partition, where the group stands, and what the time that was asked for is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub first: i64,
    pub end: i64,
    pub committed: Option<i64>,
    pub at_time: Option<i64>,
}

impl TargetArgs {
    /// Milliseconds since the epoch, if the target is a time.
    fn time(&self) -> Option<i64> {
        self.to_datetime
            .or_else(|| self.by_duration.map(|back| now_ms().saturating_sub(back)))
    }

    /// Asks the broker for what the target needs.
    pub(super) async fn places(
        &self,
        client: &mut Client,
        partitions: &[(String, i32)],
        committed: &BTreeMap<(String, i32), i64>,
    ) -> Result<BTreeMap<(String, i32), Place>, ClientError> {
        let isolation = Isolation::ReadUncommitted;
        let first = client
            .list_offsets(partitions, OffsetSpec::Earliest, isolation)
            .await?;
        let end = client
            .list_offsets(partitions, OffsetSpec::Latest, isolation)
            .await?;
        let at_time = match self.time() {
            Some(ms) => {
                client
                    .list_offsets(partitions, OffsetSpec::Timestamp(ms), isolation)
                    .await?
            }
            None => BTreeMap::new(),
        };
        let of = |offsets: &BTreeMap<(String, i32), Option<i64>>, key: &(String, i32)| {
            offsets.get(key).copied().flatten()
        };
        Ok(partitions
            .iter()
            .map(|key| {
                let place = Place {
                    first: of(&first, key).unwrap_or(0),
                    end: of(&end, key).unwrap_or(0),
                    committed: committed.get(key).copied(),
                    at_time: of(&at_time, key),
                };
                (key.clone(), place)
            })
            .collect())
    }

    /// The offset to move to; `None` if it is relative to a commit that there is not.
    pub(super) fn resolve(&self, place: Place) -> Option<i64> {
        let wanted = if self.to_earliest {
            place.first
        } else if self.to_latest {
            place.end
        } else if let Some(offset) = self.to_offset {
            offset
        } else if let Some(by) = self.shift_by {
            place.committed?.saturating_add(by)
        } else if self.to_current {
            place.committed?
        } else {
            // A time after the last record is the end.
            place.at_time.unwrap_or(place.end)
        };
        Some(wanted.clamp(place.first, place.end.max(place.first)))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        target: TargetArgs,
    }

    #[test]
    fn every_target_stays_inside_the_partition() {
        let place = Place {
            first: 10,
            end: 100,
            committed: Some(50),
            at_time: None,
        };
        for (args, expected) in [
            (vec!["--to-earliest"], 10),
            (vec!["--to-latest"], 100),
            (vec!["--to-current"], 50),
            (vec!["--to-offset", "60"], 60),
            (vec!["--to-offset", "3"], 10),
            (vec!["--shift-by", "-5"], 45),
            (vec!["--shift-by", "500"], 100),
            (vec!["--to-datetime", "2026-01-31"], 100),
            (vec!["--by-duration", "PT1H"], 100),
        ] {
            let line = Line::parse_from(std::iter::once("x").chain(args.iter().copied()));
            assert_eq!(line.target.resolve(place), Some(expected), "{args:?}");
        }
    }

    #[test]
    fn a_shift_needs_a_committed_offset() {
        let line = Line::parse_from(["x", "--shift-by", "1"]);
        assert_eq!(line.target.resolve(Place::default()), None);
    }

    #[test]
    fn one_target_is_given() {
        assert!(Line::try_parse_from(["x"]).is_err());
        assert!(Line::try_parse_from(["x", "--to-latest", "--to-earliest"]).is_err());
    }
}
