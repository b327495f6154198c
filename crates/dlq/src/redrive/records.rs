//! What becomes of a queue's record in a redrive.

use ottla_codec::records::Record;
use serde::{Deserialize, Serialize};

use super::selection::{Seen, Selection};
use super::task::Edit;
use crate::headers::{self, Origin};

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is not meant.
    Passed,
    /// It is meant, and stays all the same.
    Kept(Kept),
    /// It goes back as this. The offset is still the queue's.
    Moves(Record),
}

/// Why a record that was meant stays in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kept {
    #[error(
        "it was redriven {0} times and failed again each time: dlq.redrive.max (edit it, or raise the setting)"
    )]
    Redriven(u32),
    #[error("it takes {size} bytes, and the target takes {limit}: raise max.message.bytes there")]
    TooLarge { size: u64, limit: u64 },
    #[error("the target is compacted, and it has no key")]
    NoKey,
}

/// Where a record is to go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The topic that is redriven. Records of other topics in a queue that topics share are passed over.
    pub source: &'a str,
    /// Into a retry topic, which keeps what is known of the record.
    pub retry: bool,
    /// Records that come without a key stay.
    pub needs_key: bool,
}

/// Decides on a record of a queue. `redrive_max` is `dlq.redrive.max` for its group.
///
/// An edit makes it another record: it goes back however often the old one did, and its count begins anew.
pub fn verdict(
    record: &Record,
    partition: i32,
    selection: &Selection,
    edit: Option<&Edit>,
    target: &Target<'_>,
    redrive_max: impl FnOnce(&Origin) -> u32,
) -> Verdict {
    let origin = headers::origin(&record.headers);
    let seen = Seen {
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: record.key.as_deref(),
        origin: &origin,
    };
    if !is_of(&origin, target.source) || !selection.takes(&seen) {
        return Verdict::Passed;
    }
    if target.needs_key && record.key.is_none() {
        return Verdict::Kept(Kept::NoKey);
    }
    let redrives = if edit.is_some() { 0 } else { origin.redrives };
    if redrives >= redrive_max(&origin) {
        return Verdict::Kept(Kept::Redriven(redrives));
    }
    let count = redrives.saturating_add(1);
    let headers = if target.retry {
        headers::for_group(&record.headers, count)
    } else {
        headers::restored(&record.headers, count)
    };
    Verdict::Moves(Record {
        value: match edit {
            Some(edit) => edit.value(),
            None => record.value.clone(),
        },
        headers,
        ..record.clone()
    })
}

/// Whether a queue's record came from `source`. One that nobody dead-lettered has no other.
pub fn is_of(origin: &Origin, source: &str) -> bool {
    origin.topic.as_deref().is_none_or(|topic| topic == source)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::headers::{Failure, REDRIVE_COUNT, for_queue, origin};
    use crate::redrive::Blob;

    fn dead(redrives: u32) -> Record {
        let failure = Failure {
            topic: "orders",
            partition: 0,
            offset: 9,
            group: "billing",
            attempts: 5,
            message: "broken",
            timestamp_ms: 1,
            client: "c",
        };
        let mut before = Vec::new();
        if redrives > 0 {
            before = headers::restored(&[], redrives);
        }
        Record {
            offset: 3,
            timestamp: 77,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: for_queue(&before, &failure),
        }
    }

    const TARGET: Target<'static> = Target {
        source: "orders",
        retry: false,
        needs_key: false,
    };

    fn decide(record: &Record, edit: Option<&Edit>, target: &Target<'_>) -> Verdict {
        verdict(record, 0, &Selection::default(), edit, target, |_| 3)
    }

    #[test]
    fn a_record_goes_back_as_it_was_with_the_count_of_its_redrives() {
        let Verdict::Moves(moved) = decide(&dead(0), None, &TARGET) else {
            panic!("it moves");
        };
        assert_eq!((moved.timestamp, moved.key), (77, None));
        assert_eq!(moved.headers.len(), 1);
        assert_eq!(&moved.headers[0].key[..], REDRIVE_COUNT.as_bytes());
        assert_eq!(origin(&moved.headers).redrives, 1);
    }

    #[test]
    fn at_the_cap_it_stays_unless_it_is_edited() {
        assert!(matches!(decide(&dead(2), None, &TARGET), Verdict::Moves(_)));
        assert_eq!(
            decide(&dead(3), None, &TARGET),
            Verdict::Kept(Kept::Redriven(3))
        );
        let edit = Edit {
            value: Some(Blob::Text("mended".into())),
        };
        let Verdict::Moves(moved) = decide(&dead(3), Some(&edit), &TARGET) else {
            panic!("it moves");
        };
        assert_eq!(moved.value.as_deref(), Some(&b"mended"[..]));
        assert_eq!(origin(&moved.headers).redrives, 1);
    }

    #[test]
    fn records_of_other_topics_are_passed_over_and_keyless_ones_kept_from_a_compacted_target() {
        let other = Target {
            source: "invoices",
            ..TARGET
        };
        assert_eq!(decide(&dead(0), None, &other), Verdict::Passed);
        let compacted = Target {
            needs_key: true,
            ..TARGET
        };
        assert_eq!(
            decide(&dead(0), None, &compacted),
            Verdict::Kept(Kept::NoKey)
        );
    }

    #[test]
    fn in_a_retry_topic_it_still_says_where_it_came_from() {
        let retry = Target {
            retry: true,
            ..TARGET
        };
        let Verdict::Moves(moved) = decide(&dead(1), None, &retry) else {
            panic!("it moves");
        };
        let said = origin(&moved.headers);
        assert_eq!(
            (said.topic.as_deref(), said.offset),
            (Some("orders"), Some(9))
        );
        assert_eq!((said.redrives, said.attempts), (2, None));
        let count = moved
            .headers
            .iter()
            .filter(|h| &h.key[..] == REDRIVE_COUNT.as_bytes());
        assert_eq!(count.count(), 1);
    }
}
