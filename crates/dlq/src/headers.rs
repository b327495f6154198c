//! Headers of copies: what a record in a queue or a retry topic says of where it came from, and how a redrive takes that off again.
//!
//! All values are UTF-8 text, numbers in decimal. A client's own header whose name begins with `__dlq.` is never trusted: in a copy it
//! is called `__dlq.client.` and the rest of its name, and gets its name back with the redrive.

use bytes::Bytes;
use ottla_codec::records::{Record, RecordHeader};

/// How all names of Ottla's own headers begin.
pub const PREFIX: &str = "__dlq.";
/// How a client's own headers of that kind begin in a copy.
pub const CLIENT_PREFIX: &str = "__dlq.client.";
/// The source topic.
pub const TOPIC: &str = "__dlq.errors.topic";
/// The source partition.
pub const PARTITION: &str = "__dlq.errors.partition";
/// The offset in the source partition.
pub const OFFSET: &str = "__dlq.errors.offset";
/// The group that failed on it.
pub const GROUP: &str = "__dlq.errors.group";
/// How often it failed.
pub const DELIVERY_COUNT: &str = "__dlq.errors.delivery.count";
/// Why, in the client's words or Ottla's.
pub const MESSAGE: &str = "__dlq.errors.message";
/// When it was moved, milliseconds since the Unix epoch.
pub const TIMESTAMP: &str = "__dlq.errors.timestamp";
/// Client id and host of the last one that failed on it.
pub const CLIENT: &str = "__dlq.errors.client";
/// A retry topic serves the record no sooner: milliseconds since the Unix epoch.
pub const RETRY_AT: &str = "__dlq.retry.at";
/// How often the record was redriven. The only one that a redriven record carries.
pub const REDRIVE_COUNT: &str = "__dlq.redrive.count";

/// What a copy's headers say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// [`TOPIC`]. `None`: nobody dead-lettered this record; a client wrote it.
    pub topic: Option<String>,
    /// [`PARTITION`].
    pub partition: Option<i32>,
    /// [`OFFSET`].
    pub offset: Option<i64>,
    /// [`GROUP`].
    pub group: Option<String>,
    /// [`DELIVERY_COUNT`].
    pub attempts: Option<u32>,
    /// [`MESSAGE`].
    pub message: Option<String>,
    /// [`TIMESTAMP`].
    pub timestamp_ms: Option<i64>,
    /// [`CLIENT`].
    pub client: Option<String>,
    /// [`RETRY_AT`].
    pub retry_at_ms: Option<i64>,
    /// [`REDRIVE_COUNT`]; 0 without one.
    pub redrives: u32,
}

/// Why and where from a record is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Failure<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub group: &'a str,
    pub attempts: u32,
    pub message: &'a str,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    pub client: &'a str,
}

/// Reads the headers of a record in a queue or a retry topic. What cannot be read is as if it were not there.
pub fn origin(headers: &[RecordHeader]) -> Origin {
    let mut origin = Origin::default();
    for header in headers {
        let Some(value) = text(header) else { continue };
        let owned = || Some(value.to_owned());
        match std::str::from_utf8(&header.key).unwrap_or_default() {
            TOPIC => origin.topic = owned(),
            PARTITION => origin.partition = value.parse().ok(),
            OFFSET => origin.offset = value.parse().ok(),
            GROUP => origin.group = owned(),
            DELIVERY_COUNT => origin.attempts = value.parse().ok(),
            MESSAGE => origin.message = owned(),
            TIMESTAMP => origin.timestamp_ms = value.parse().ok(),
            CLIENT => origin.client = owned(),
            RETRY_AT => origin.retry_at_ms = value.parse().ok(),
            REDRIVE_COUNT => origin.redrives = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    origin
}

/// The headers of the copy of an ordinary record in the queue. A count of redrives stays; the other headers that begin with `__dlq.` are the client's.
pub fn for_queue(own: &[RecordHeader], failure: &Failure<'_>) -> Vec<RecordHeader> {
    let mut headers: Vec<RecordHeader> = own.iter().map(renamed).collect();
    headers.extend(of_failure(failure));
    headers
}

/// The headers of a copy in a retry topic, to be served at `due_ms` (milliseconds since the Unix epoch).
pub fn for_retry(own: &[RecordHeader], failure: &Failure<'_>, due_ms: i64) -> Vec<RecordHeader> {
    let mut headers = for_queue(own, failure);
    headers.push(header(RETRY_AT, due_ms.to_string()));
    headers
}

/// As [`for_queue`] (`due_ms` is `None`) and [`for_retry`], of a record that is a copy already, because it failed in a retry topic.
/// `failure` names the place where it first was.
pub fn of_copy(
    copy: &[RecordHeader],
    failure: &Failure<'_>,
    due_ms: Option<i64>,
) -> Vec<RecordHeader> {
    let mut headers: Vec<RecordHeader> = copy
        .iter()
        .filter(|h| {
            !h.key.starts_with(PREFIX.as_bytes())
                || h.key.starts_with(CLIENT_PREFIX.as_bytes())
                || &h.key[..] == REDRIVE_COUNT.as_bytes()
        })
        .cloned()
        .collect();
    headers.extend(of_failure(failure));
    headers.extend(due_ms.map(|due| header(RETRY_AT, due.to_string())));
    headers
}

/// The headers that a record gets back by a redrive: its own under their own names, and the count of its redrives (0: none).
pub fn restored(copy: &[RecordHeader], redrives: u32) -> Vec<RecordHeader> {
    let mut headers: Vec<RecordHeader> = copy
        .iter()
        .filter_map(|h| {
            if let Some(rest) = h.key.strip_prefix(CLIENT_PREFIX.as_bytes()) {
                let key = [PREFIX.as_bytes(), rest].concat();
                return Some(RecordHeader {
                    key: Bytes::from(key),
                    value: h.value.clone(),
                });
            }
            (!h.key.starts_with(PREFIX.as_bytes())).then(|| h.clone())
        })
        .collect();
    if redrives > 0 {
        headers.push(header(REDRIVE_COUNT, redrives.to_string()));
    }
    headers
}

/// The headers that a dead record gets in a group's retry topic by a redrive: it still says where it came from, its count of failures
/// begins anew, and that of its redrives is `redrives`.
pub fn for_group(copy: &[RecordHeader], redrives: u32) -> Vec<RecordHeader> {
    let dropped = [DELIVERY_COUNT, RETRY_AT, REDRIVE_COUNT];
    let mut headers: Vec<RecordHeader> = copy
        .iter()
        .filter(|h| !dropped.iter().any(|name| &h.key[..] == name.as_bytes()))
        .cloned()
        .collect();
    headers.push(header(REDRIVE_COUNT, redrives.to_string()));
    headers
}

/// When the last record of a batch in a retry topic may be served, if one of them has to wait.
pub fn retry_at(records: &[Record]) -> Option<i64> {
    records
        .iter()
        .flat_map(|r| &r.headers)
        .filter(|h| &h.key[..] == RETRY_AT.as_bytes())
        .filter_map(|h| text(h)?.parse().ok())
        .max()
}

/// A client's own header under the name that it has in a copy.
fn renamed(own: &RecordHeader) -> RecordHeader {
    let is_count = &own.key[..] == REDRIVE_COUNT.as_bytes()
        && text(own).is_some_and(|v| v.parse::<u32>().is_ok());
    match own.key.strip_prefix(PREFIX.as_bytes()) {
        Some(rest) if !is_count => RecordHeader {
            key: Bytes::from([CLIENT_PREFIX.as_bytes(), rest].concat()),
            value: own.value.clone(),
        },
        _ => own.clone(),
    }
}

fn of_failure(failure: &Failure<'_>) -> [RecordHeader; 8] {
    [
        header(TOPIC, failure.topic.to_owned()),
        header(PARTITION, failure.partition.to_string()),
        header(OFFSET, failure.offset.to_string()),
        header(GROUP, failure.group.to_owned()),
        header(DELIVERY_COUNT, failure.attempts.to_string()),
        header(MESSAGE, failure.message.to_owned()),
        header(TIMESTAMP, failure.timestamp_ms.to_string()),
        header(CLIENT, failure.client.to_owned()),
    ]
}

fn header(key: &'static str, value: String) -> RecordHeader {
    RecordHeader {
        key: Bytes::from_static(key.as_bytes()),
        value: Some(Bytes::from(value)),
    }
}

fn text(header: &RecordHeader) -> Option<&str> {
    std::str::from_utf8(header.value.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(key: &str, value: Option<&str>) -> RecordHeader {
        RecordHeader {
            key: Bytes::from(key.to_owned()),
            value: value.map(|v| Bytes::from(v.to_owned())),
        }
    }

    const FAILURE: Failure<'static> = Failure {
        topic: "orders",
        partition: 2,
        offset: 17,
        group: "billing",
        attempts: 5,
        message: "no such customer",
        timestamp_ms: 1_700_000_000_000,
        client: "worker-1 /10.0.0.7",
    };

    #[test]
    fn a_copy_says_where_it_came_from_and_a_redrive_takes_that_off() {
        let mine = [own("trace", Some("abc")), own("empty", None)];
        let copy = for_queue(&mine, &FAILURE);
        let said = origin(&copy);
        assert_eq!(said.topic.as_deref(), Some("orders"));
        assert_eq!((said.partition, said.offset), (Some(2), Some(17)));
        assert_eq!(said.group.as_deref(), Some("billing"));
        assert_eq!(said.attempts, Some(5));
        assert_eq!(said.timestamp_ms, Some(1_700_000_000_000));
        assert_eq!(said.redrives, 0);
        assert_eq!(restored(&copy, 0), mine);
        let again = restored(&copy, 1);
        assert_eq!(again[..2], mine);
        assert_eq!(again[2], own(REDRIVE_COUNT, Some("1")));
    }

    #[test]
    fn the_count_of_redrives_survives_the_next_copy_and_does_not_pile_up() {
        let mut headers = vec![own("trace", Some("abc"))];
        for count in 1..4 {
            let copy = for_queue(&headers, &FAILURE);
            assert_eq!(origin(&copy).redrives, count - 1);
            headers = restored(&copy, count);
            assert_eq!(headers.len(), 2);
        }
    }

    #[test]
    fn what_a_client_claims_is_not_trusted() {
        let forged = [
            own(TOPIC, Some("elsewhere")),
            own(RETRY_AT, Some("99999999999999")),
            own(REDRIVE_COUNT, Some("many")),
        ];
        let copy = for_queue(&forged, &FAILURE);
        let said = origin(&copy);
        assert_eq!(said.topic.as_deref(), Some("orders"));
        assert_eq!((said.retry_at_ms, said.redrives), (None, 0));
        assert_eq!(restored(&copy, 0), forged);
    }

    #[test]
    fn a_copy_of_a_retry_keeps_the_clients_names_and_has_one_of_each_own() {
        let mine = [own("__dlq.x", Some("1")), own(REDRIVE_COUNT, Some("2"))];
        let retry = for_retry(&mine, &FAILURE, 5);
        assert_eq!(origin(&retry).retry_at_ms, Some(5));
        let last = Failure {
            attempts: 6,
            ..FAILURE
        };
        let copy = of_copy(&retry, &last, None);
        let said = origin(&copy);
        assert_eq!((said.attempts, said.retry_at_ms), (Some(6), None));
        assert_eq!(said.redrives, 2);
        assert_eq!(copy.len(), retry.len() - 1);
        assert_eq!(restored(&copy, 2), mine);
    }

    proptest! {
        #[test]
        fn any_headers_come_back_as_they_were(
            keys in prop::collection::vec(prop_oneof![
                any::<Vec<u8>>(),
                "__dlq\\.(client\\.)*[a-z.]{0,9}".prop_map(String::into_bytes),
            ], 0..6),
        ) {
            let mine: Vec<RecordHeader> = keys
                .into_iter()
                .filter(|k| k != REDRIVE_COUNT.as_bytes())
                .map(|key| RecordHeader { key: Bytes::from(key), value: None })
                .collect();
            let copy = for_retry(&mine, &FAILURE, 1);
            prop_assert_eq!(restored(&of_copy(&copy, &FAILURE, Some(2)), 0), mine);
        }
    }
}
