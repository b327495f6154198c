//! What is stored of a group: a row for each partition that has something to say, one for its case, one for its breaker.
//!
//! A key is `g`, the group (its length in front as a u32, big endian), a byte for the kind, and for partitions the topic, a zero
//! byte and the partition. A value is a version byte and postcard.

use serde::{Deserialize, Serialize};

use super::breaker::{Breaker, Counts};
use super::case::Case;
use super::group::Group;
use super::partition::{Lift, Nacked, Partition, Suspect};
use crate::{StoreOp, TopicPartition};

const VERSION: u8 = 1;
const PARTITION: u8 = b'p';
const BREAKER: u8 = b'b';
const CASE: u8 = b'c';

/// Why stored rows cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RowError {
    #[error(
        "a row about dead letters of group {group} has version {version}, newer than the {VERSION} that this ottla knows"
    )]
    NewerVersion { group: String, version: u8 },
    #[error("a row about dead letters of group {group} is damaged: {reason}")]
    Damaged { group: String, reason: String },
}

/// One death, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredDeath {
    pub member_id: String,
    pub client: String,
    pub how: String,
    pub wall_ms: i64,
    pub served_until: i64,
}

#[derive(Serialize, Deserialize, Default)]
struct StoredPartition {
    nack: Option<Box<Nacked>>,
    suspect: Option<Box<Suspect>>,
    lift: Option<Lift>,
}

/// What the keys of all rows of a group begin with.
pub fn rows_prefix(group: &str) -> Vec<u8> {
    let len = u32::try_from(group.len()).expect("a group id fits a request, which fits an i32");
    let mut key = vec![b'g'];
    key.extend_from_slice(&len.to_be_bytes());
    key.extend_from_slice(group.as_bytes());
    key
}

/// The group of a row's key; `None` if it is another kind of row.
pub fn group_of_key(key: &[u8]) -> Option<&str> {
    let (len, rest) = key.strip_prefix(b"g")?.split_first_chunk::<4>()?;
    let group = rest.get(..u32::from_be_bytes(*len) as usize)?;
    std::str::from_utf8(group).ok()
}

pub(super) fn partition_key(group: &str, at: &TopicPartition) -> Vec<u8> {
    let mut key = rows_prefix(group);
    key.push(PARTITION);
    key.extend_from_slice(at.topic.as_bytes());
    key.push(0);
    key.extend_from_slice(&at.partition.to_be_bytes());
    key
}

pub(super) fn breaker_key(group: &str) -> Vec<u8> {
    let mut key = rows_prefix(group);
    key.push(BREAKER);
    key
}

pub(super) fn case_key(group: &str) -> Vec<u8> {
    let mut key = rows_prefix(group);
    key.push(CASE);
    key
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("plain data in memory always serialises")
}

pub(super) fn of_partition(partition: &Partition) -> Option<Vec<u8>> {
    let something =
        partition.nack.is_some() || partition.suspect.is_some() || partition.lift.is_some();
    something.then(|| {
        encode(&StoredPartition {
            nack: partition.nack.clone(),
            suspect: partition.suspect.clone(),
            lift: partition.lift,
        })
    })
}

pub(super) fn of_lift(lift: Lift) -> Vec<u8> {
    encode(&StoredPartition {
        lift: Some(lift),
        ..StoredPartition::default()
    })
}

pub(super) fn of_case(case: &Case) -> Vec<u8> {
    encode(case)
}

pub(super) fn of_breaker(breaker: &Breaker) -> Option<Vec<u8>> {
    (breaker.counts != Counts::default()).then(|| encode(&breaker.counts))
}

/// What brings the stored row in line with `new`, and notes that it is.
pub(super) fn change(
    stored: &mut Option<Vec<u8>>,
    new: Option<Vec<u8>>,
    key: impl FnOnce() -> Vec<u8>,
) -> Option<StoreOp> {
    if *stored == new {
        return None;
    }
    let op = match &new {
        Some(value) => StoreOp::Put {
            key: key(),
            value: value.clone(),
        },
        None => StoreOp::Delete { key: key() },
    };
    *stored = new;
    Some(op)
}

pub(super) fn load(
    group: &str,
    rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<Group, RowError> {
    let mut state = Group::default();
    for (key, value) in rows {
        let damaged = |reason: &str| RowError::Damaged {
            group: group.to_owned(),
            reason: reason.to_owned(),
        };
        let rest = key
            .strip_prefix(rows_prefix(group).as_slice())
            .ok_or_else(|| damaged("its key is another group's"))?;
        match rest.split_first() {
            Some((&PARTITION, rest)) => {
                let at = at_of(rest).ok_or_else(|| damaged("its key cannot be read"))?;
                let row: StoredPartition = decode(group, &value)?;
                let partition = Partition {
                    nack: row.nack,
                    suspect: row.suspect,
                    lift: row.lift,
                    stored: Some(value),
                    ..Partition::default()
                };
                state.partitions.insert(at, partition);
            }
            Some((&CASE, [])) => {
                state.case = Some(decode(group, &value)?);
                state.stored_case = Some(value);
            }
            Some((&BREAKER, [])) => {
                state.breaker = Breaker {
                    counts: decode(group, &value)?,
                    stored: Some(value),
                };
            }
            _ => return Err(damaged("its key is of no known kind")),
        }
    }
    Ok(state)
}

fn at_of(rest: &[u8]) -> Option<TopicPartition> {
    let (topic, partition) = rest.split_last_chunk::<4>()?;
    let topic = topic.strip_suffix(&[0])?;
    Some(TopicPartition {
        topic: std::str::from_utf8(topic).ok()?.to_owned(),
        partition: i32::from_be_bytes(*partition),
    })
}

fn decode<'a, V: Deserialize<'a>>(group: &str, bytes: &'a [u8]) -> Result<V, RowError> {
    let damaged = |reason: String| RowError::Damaged {
        group: group.to_owned(),
        reason,
    };
    match bytes.split_first() {
        None => Err(damaged("it is empty".to_owned())),
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|e| damaged(e.to_string())),
        Some((&version, _)) => Err(RowError::NewerVersion {
            group: group.to_owned(),
            version,
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at() -> TopicPartition {
        TopicPartition {
            topic: "a topic".to_owned(),
            partition: 258,
        }
    }

    #[test]
    fn keys_of_groups_are_told_apart_and_read_again() {
        for group in ["", "a", "ab", "a\0b", "gruppe-ü", "p"] {
            let key = partition_key(group, &at());
            assert_eq!(group_of_key(&key), Some(group));
            assert_eq!(group_of_key(&case_key(group)), Some(group));
            let rest = key.strip_prefix(rows_prefix(group).as_slice()).unwrap();
            assert_eq!(at_of(&rest[1..]), Some(at()));
            for other in ["b", "abc", "a\0"] {
                assert!(!key.starts_with(&rows_prefix(other)), "{group:?} {other:?}");
            }
        }
        for key in [
            &b""[..],
            b"g",
            b"m\0\0\0\x01a",
            b"g\0\0\0\x09a",
            b"g\xff\xff\xff\xffa",
        ] {
            assert_eq!(group_of_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn rows_that_cannot_be_read_are_errors() {
        let good = of_breaker(&Breaker {
            counts: Counts {
                in_a_row: 3,
                ..Counts::default()
            },
            stored: None,
        })
        .unwrap();
        let newer = [&[VERSION + 1], &good[1..]].concat();
        let rows: [(Vec<u8>, Vec<u8>, bool); 6] = [
            (breaker_key("a"), good.clone(), true),
            (breaker_key("a"), Vec::new(), false),
            (breaker_key("a"), good[..2].to_vec(), false),
            (breaker_key("b"), good.clone(), false),
            ([&rows_prefix("a")[..], b"x"].concat(), good.clone(), false),
            ([&rows_prefix("a")[..], b"ptopic"].concat(), good, false),
        ];
        for (key, value, is_good) in rows {
            let loaded = load("a", [(key.clone(), value)]);
            assert_eq!(loaded.is_ok(), is_good, "{key:?}: {:?}", loaded.err());
        }
        let error = load("a", [(breaker_key("a"), newer)]).err();
        assert!(matches!(
            error,
            Some(RowError::NewerVersion { version: 2, .. })
        ));
    }
}
