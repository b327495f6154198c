//! Which records of a queue are meant.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::headers::Origin;

/// Which records of a queue are meant: those to which all that is set applies. Nothing set: all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Of this partition.
    pub partition: Option<i32>,
    /// The one record at this offset of the queue. Needs [`Selection::partition`].
    pub offset: Option<i64>,
    /// From this offset of the queue on.
    pub from: Option<i64>,
    /// Before this offset of the queue.
    pub to: Option<i64>,
    /// Dead-lettered at this time or later, milliseconds since the Unix epoch. Of a record that nobody dead-lettered its own time counts.
    pub since: Option<i64>,
    /// Dead-lettered before this time, milliseconds since the Unix epoch.
    pub until: Option<i64>,
    /// Dead-lettered for this group.
    pub group: Option<String>,
    /// The reason contains this text, in whatever case.
    pub reason: Option<String>,
    /// The key is this text.
    pub key: Option<String>,
}

/// A selection that cannot be meant. The message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BadSelection {
    #[error("offset {0} is there in every partition: give the partition, too")]
    OffsetWithoutPartition(i64),
    #[error("{name}={value} is negative: offsets and partitions begin at 0")]
    Negative { name: &'static str, value: i64 },
    #[error("from {from} to {to} is empty: `to` is the first offset that is left out")]
    EmptyOffsets { from: i64, to: i64 },
    #[error("since {since} until {until} is empty")]
    EmptyTimes { since: i64, until: i64 },
    #[error("give either one offset or a range of them")]
    OffsetAndRange,
}

/// What a selection looks at.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The partition.
    pub partition: i32,
    /// The offset in the queue.
    pub offset: i64,
    /// The record's own time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// What its headers say.
    pub origin: &'a Origin,
}

impl Selection {
    /// One record.
    pub fn one(partition: i32, offset: i64) -> Selection {
        Selection {
            partition: Some(partition),
            offset: Some(offset),
            ..Selection::default()
        }
    }

    /// Whether it means everything.
    pub fn is_all(&self) -> bool {
        *self == Selection::default()
    }

    /// Whether it means one record.
    pub fn is_one(&self) -> bool {
        self.offset.is_some()
    }

    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), BadSelection> {
        let numbers = [
            ("partition", self.partition.map(i64::from)),
            ("offset", self.offset),
            ("from", self.from),
            ("to", self.to),
        ];
        for (name, value) in numbers {
            if let Some(value) = value.filter(|v| *v < 0) {
                return Err(BadSelection::Negative { name, value });
            }
        }
        if let Some(offset) = self.offset {
            if self.partition.is_none() {
                return Err(BadSelection::OffsetWithoutPartition(offset));
            }
            if self.from.is_some() || self.to.is_some() {
                return Err(BadSelection::OffsetAndRange);
            }
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if to <= from => {
                return Err(BadSelection::EmptyOffsets { from, to });
            }
            _ => {}
        }
        match (self.since, self.until) {
            (Some(since), Some(until)) if until <= since => {
                Err(BadSelection::EmptyTimes { since, until })
            }
            _ => Ok(()),
        }
    }

    /// Whether records of this partition can be meant.
    pub fn takes_partition(&self, partition: i32) -> bool {
        self.partition.is_none_or(|p| p == partition)
    }

    /// The offsets of the queue that can be meant.
    pub fn offsets(&self) -> Range<i64> {
        match self.offset {
            Some(offset) => offset..offset.saturating_add(1),
            None => self.from.unwrap_or(0)..self.to.unwrap_or(i64::MAX),
        }
    }

    /// Whether this record is meant.
    pub fn takes(&self, seen: &Seen<'_>) -> bool {
        let origin = seen.origin;
        let time = origin.timestamp_ms.unwrap_or(seen.timestamp_ms);
        self.takes_partition(seen.partition)
            && self.offsets().contains(&seen.offset)
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && (self.group.is_none() || self.group == origin.group)
            && self
                .key
                .as_ref()
                .is_none_or(|key| seen.key == Some(key.as_bytes()))
            && self.reason.as_ref().is_none_or(|reason| {
                let message = origin.message.as_deref().unwrap_or_default();
                message.to_lowercase().contains(&reason.to_lowercase())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            group: Some("billing".into()),
            message: Some("No such Customer: 7".into()),
            timestamp_ms: Some(1000),
            ..Origin::default()
        }
    }

    #[test]
    fn each_criterion_takes_and_leaves() {
        let origin = origin();
        let seen = Seen {
            partition: 1,
            offset: 10,
            timestamp_ms: 5,
            key: Some(b"k"),
            origin: &origin,
        };
        let all = Selection::default;
        let text = |s: &str| Some(s.to_owned());
        let cases = [
            (all(), true),
            (Selection::one(1, 10), true),
            (Selection::one(1, 11), false),
            (Selection::one(0, 10), false),
            (
                Selection {
                    from: Some(10),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    from: Some(11),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    to: Some(11),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    to: Some(10),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    since: Some(1000),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    since: Some(1001),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    until: Some(1001),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    until: Some(1000),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    group: text("billing"),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    group: text("bill"),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    reason: text("no such customer"),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    reason: text("time-out"),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    key: text("k"),
                    ..all()
                },
                true,
            ),
            (
                Selection {
                    key: text(""),
                    ..all()
                },
                false,
            ),
            (
                Selection {
                    key: text("k"),
                    group: text("other"),
                    ..all()
                },
                false,
            ),
        ];
        for (selection, expected) in cases {
            assert_eq!(selection.check(), Ok(()), "{selection:?}");
            assert_eq!(selection.takes(&seen), expected, "{selection:?}");
        }
    }

    #[test]
    fn an_empty_key_is_not_a_missing_one_and_the_records_own_time_stands_in() {
        let nobody = Origin::default();
        let mut seen = Seen {
            partition: 0,
            offset: 0,
            timestamp_ms: 50,
            key: None,
            origin: &nobody,
        };
        let empty_key = Selection {
            key: Some(String::new()),
            ..Selection::default()
        };
        assert!(!empty_key.takes(&seen));
        seen.key = Some(b"");
        assert!(empty_key.takes(&seen));
        let later = Selection {
            since: Some(51),
            ..Selection::default()
        };
        assert!(!later.takes(&seen));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let with = |change: fn(&mut Selection)| {
            let mut selection = Selection::default();
            change(&mut selection);
            selection.check().unwrap_err()
        };
        assert_eq!(
            with(|s| s.offset = Some(3)),
            BadSelection::OffsetWithoutPartition(3)
        );
        assert!(matches!(
            with(|s| s.from = Some(-1)),
            BadSelection::Negative { name: "from", .. }
        ));
        assert!(matches!(
            with(|s| (s.from, s.to) = (Some(3), Some(3))),
            BadSelection::EmptyOffsets { .. }
        ));
        assert!(matches!(
            with(|s| (s.since, s.until) = (Some(3), Some(3))),
            BadSelection::EmptyTimes { .. }
        ));
        assert_eq!(
            with(|s| {
                *s = Selection::one(0, 1);
                s.to = Some(5);
            }),
            BadSelection::OffsetAndRange
        );
    }
}
