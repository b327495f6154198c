//! Decoders of texts and of small binary forms: settings, patterns, markers, headers of dead letters, metrics of clients, rows and journals.

use std::path::PathBuf;

use bytes::Bytes;
use ottla_broker::decoders;
use ottla_broker::settings::{self, BrokerConfig, Settings, properties};
use ottla_codec::records::{Record, RecordHeader};
use ottla_dlq::headers::{self, Failure};
use ottla_dlq::marker;
use ottla_dlq::redrive::task::Task;

use crate::codec::split;
use crate::session::{self, Event};

/// A properties file as a broker's settings: what it starts with, and what it tells of them.
pub fn properties(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for entry in properties::entries(&text) {
        let _ = entry;
    }
    let Ok(values) = properties::parse(&text) else {
        return;
    };
    for name in values.keys() {
        let _ = settings::nearest(name);
    }
    let _ = settings::listeners(&values);
    let _ = settings::derived_listeners(&values);
    let config = BrokerConfig {
        data_dir: PathBuf::from("/data"),
        values,
    };
    settings::inspect(&config);
    if let Ok(settings) = Settings::new(&config) {
        settings.topic_config(&config.values);
    }
}

/// A pattern in RE2's syntax, and a text behind a line's end.
pub fn pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, text) = text.split_once('\n').unwrap_or((&text, "orders-7"));
    decoders::pattern(pattern, text);
}

/// Metrics that a client pushes.
pub fn telemetry(data: &[u8]) {
    decoders::telemetry(data);
}

/// A file's journal records, and rows.
pub fn rows(data: &[u8]) {
    ottla_storage::decoders::journal(data);
    ottla_storage::decoders::rows(data);
    let _ = Task::load(data);
}

/// A marker, and the headers of a dead letter: lengths and bytes in turn. What goes into a queue comes out as it was.
pub fn dead_letter(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = marker::parse(text);
    }
    let mut rest = data;
    let mut own = Vec::new();
    while !rest.is_empty() && own.len() < 20 {
        let ([key, value], more) = split(rest);
        let (key, more) = more.split_at(usize::from(key % 32).min(more.len()));
        let (value, more) = more.split_at(usize::from(value % 64).min(more.len()));
        rest = more;
        own.push(RecordHeader {
            key: Bytes::copy_from_slice(key),
            value: (value.len() % 7 != 6).then(|| Bytes::copy_from_slice(value)),
        });
    }
    headers::origin(&own);
    let failure = Failure {
        topic: "orders",
        partition: 1,
        offset: 7,
        group: "billing",
        attempts: 3,
        message: "why",
        timestamp_ms: 1_720_000_000_000,
        client: "worker",
    };
    let copy = headers::for_queue(&own, &failure);
    let told = headers::origin(&copy);
    assert_eq!(told.topic.as_deref(), Some("orders"));
    assert_eq!(told.offset, Some(7));
    headers::for_group(&copy, 1);
    let back = headers::restored(&copy, 1);
    let ours = |header: &&RecordHeader| !header.key.starts_with(b"__dlq.");
    let old: Vec<&RecordHeader> = own.iter().filter(ours).collect();
    let new: Vec<&RecordHeader> = back.iter().filter(ours).collect();
    assert_eq!(new, old);
    let due = headers::for_retry(&own, &failure, 5);
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: None,
        value: None,
        headers: due,
    };
    assert_eq!(headers::retry_at(&[record]), Some(5));
}

/// What a connection of HTTP says, to a broker that has a topic.
pub fn http(data: &[u8]) {
    let metadata = b"\0\x03\0\x01\0\0\0\x07\0\x01c\0\0\0\x01\0\x06orders";
    session::play(&[
        Event::Request {
            connection: 0,
            frame: metadata.to_vec(),
        },
        Event::Http(data.to_vec()),
    ]);
}
