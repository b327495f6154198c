//! Requests that no client was seen to send: of any API in any version, and of HTTP, about what the session speaks of.

use bytes::{BufMut, Bytes};
use ottla_codec::api::Api;
use ottla_codec::compose::{self, Values};
use ottla_codec::compression::{Compression, compress};
use ottla_codec::header::request_header_version;
use ottla_codec::records::{BatchBuilder, Record, RecordHeader};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::aliases::{PRODUCER_ID, TELEMETRY_SUBSCRIPTION};
use super::event::Event;
use super::vocabulary::{Vocabulary, is_alike, put_number};

/// What metrics a client pushes: OTLP, a sum of one point.
const METRICS: &[u8] =
    b"\n2\x120\x12.\n\x1forg.apache.kafka.producer.total:\x0b\n\t1\x07\0\0\0\0\0\0\0";

/// What is said one after the other of the same things, and in few recorded sessions: transactions that commit offsets, metrics of clients.
const TOGETHER: &[&[Api]] = &[
    &[
        Api::InitProducerId,
        Api::AddPartitionsToTxn,
        Api::Produce,
        Api::AddOffsetsToTxn,
        Api::TxnOffsetCommit,
        Api::EndTxn,
        Api::OffsetFetch,
    ],
    &[
        Api::InitProducerId,
        Api::Produce,
        Api::DescribeProducers,
        Api::WriteTxnMarkers,
        Api::DescribeTransactions,
        Api::ListTransactions,
    ],
    &[
        Api::IncrementalAlterConfigs,
        Api::ListConfigResources,
        Api::GetTelemetrySubscriptions,
        Api::PushTelemetry,
    ],
    &[
        Api::CreateTopics,
        Api::Produce,
        Api::OffsetForLeaderEpoch,
        Api::DeleteRecords,
        Api::Fetch,
        Api::ListOffsets,
    ],
    &[
        Api::Produce,
        Api::OffsetCommit,
        Api::OffsetCommit,
        Api::OffsetFetch,
        Api::Fetch,
    ],
];

/// Routes, with `{}` where a topic, a group or another name is.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/metrics"),
    ("GET", "/readyz"),
    ("GET", "/v1/dlq"),
    ("GET", "/v1/dlq/{}"),
    ("GET", "/v1/dlq/{}/records"),
    ("POST", "/v1/dlq/{}/redrive"),
    ("POST", "/v1/dlq/{}/purge"),
    ("GET", "/v1/redrives"),
    ("GET", "/v1/redrives/1"),
    ("POST", "/v1/redrives/1/pause"),
    ("POST", "/v1/redrives/1/resume"),
    ("POST", "/v1/redrives/1/cancel"),
    ("GET", "/v1/suspects"),
    ("POST", "/v1/groups/{}/nack"),
    ("POST", "/v1/groups/{}/nack"),
    ("GET", "/v1/dlq-config"),
    ("PATCH", "/v1/dlq-config"),
    ("GET", "/v1/snapshots"),
    ("POST", "/v1/snapshots"),
    ("DELETE", "/v1/snapshots/{}"),
    ("POST", "/v1/reset"),
];

/// Bodies and queries of those routes, with `{}` for a topic's name.
const BODIES: &[&str] = &[
    "{}",
    r#"{"topic":"{}","partition":0,"offset":0,"reason":"why"}"#,
    r#"{"topic":"{}","partition":0,"offset":1,"reject":true}"#,
    r#"{"selection":{}}"#,
    r#"{"selection":{"partition":0,"from":0,"to":2}}"#,
    r#"{"selection":{"offset":1,"partition":0},"dry_run":true}"#,
    r#"{"selection":{"group":"g","reason":"w","key":"k"},"to":"{}"}"#,
    r#"{"dlq.mode":"enforce","dlq.max.attempts":"1"}"#,
    r#"{"dlq.retry.delays":"1s,5s"}"#,
    r#"{"dlq.mode":null}"#,
    r#"{"name":"a"}"#,
    r#"{"snapshot":"a"}"#,
    r#"{"delete_topics":true}"#,
];

const QUERIES: &[&str] = &[
    "",
    "",
    "?topic={}",
    "?group={}",
    "?partition=0&from=0&to=5",
    "?since=0&until=9999999999999",
    "?reason=why&key=k",
    "?limit=1",
    "?wait_ms=0",
];

/// One request of any API, or some that belong together.
pub(super) fn requests(vocabulary: &Vocabulary, rng: &mut StdRng) -> Vec<Event> {
    let one = [*Api::ALL.choose(rng).unwrap_or(&Api::Metadata)];
    let apis = match rng.random_bool(0.5) {
        true => &one,
        false => *TOGETHER.choose(rng).unwrap_or(&&one[..]),
    };
    let connection = rng.random_range(0..4);
    let mut composed = Composed {
        vocabulary,
        rng,
        api: Api::Metadata,
        said: Vec::new(),
    };
    apis.iter()
        .map(|api| Event::Request {
            connection,
            frame: composed.request(*api),
        })
        .collect()
}

/// A request of HTTP.
pub(super) fn http(vocabulary: &Vocabulary, rng: &mut StdRng) -> Event {
    let (method, path) = *ROUTES.choose(rng).unwrap_or(&("GET", "/v1/dlq"));
    let topic = String::from_utf8_lossy(&vocabulary.text("topic", rng)).into_owned();
    let of = match path.contains("/groups/") {
        true => String::from_utf8_lossy(&vocabulary.text("group_id", rng)).into_owned(),
        false => topic.clone(),
    };
    let path = path.replace("{}", &of);
    let query = QUERIES.choose(rng).unwrap_or(&"").replace("{}", &topic);
    let body = match method {
        "POST" | "PATCH" => BODIES.choose(rng).map_or("", |body| body),
        _ => "",
    };
    let body = match body {
        "{}" => "{}".to_owned(),
        body => body.replace("\"{}\"", &format!("{topic:?}")),
    };
    let len = body.len();
    let head = "Host: localhost\r\nContent-Type: application/json";
    let request =
        format!("{method} {path}{query} HTTP/1.1\r\n{head}\r\nContent-Length: {len}\r\n\r\n{body}");
    Event::Http(request.into_bytes())
}

/// Values out of the session, or made up.
struct Composed<'a> {
    vocabulary: &'a Vocabulary,
    rng: &'a mut StdRng,
    /// What is asked for.
    api: Api,
    /// What was said so far: most of it is said again.
    said: Vec<(&'static str, Vec<u8>)>,
}

impl Composed<'_> {
    /// A request in any of its versions.
    fn request(&mut self, api: Api) -> Vec<u8> {
        self.api = api;
        let version = self.rng.random_range(api.versions());
        let mut frame = Vec::new();
        frame.put_i16(api as i16);
        frame.put_i16(version);
        frame.put_i32(self.rng.random());
        let header_version = request_header_version(api, version);
        if header_version >= 1 {
            frame.put_i16(1);
            frame.put_u8(b'c');
        }
        if header_version >= 2 {
            frame.put_u8(0);
        }
        frame.extend(compose::compose(api, version, self));
        frame
    }

    /// What producers say when they ask for an id, and when they commit for a group that they are no member of. Next to anything else is
    /// refused, and all that goes with it.
    fn usual(&mut self, name: &str) -> Option<i64> {
        let usual = match (self.api, name) {
            (Api::InitProducerId, "producer_id" | "producer_epoch") => -1,
            (Api::InitProducerId, "transaction_timeout_ms") => 60_000,
            (Api::TxnOffsetCommit, "generation_id") => -1,
            _ => return None,
        };
        self.rng.random_bool(0.8).then_some(usual)
    }

    /// Whether a producer says, as they do, that it is no member.
    fn is_no_member(&mut self, name: &str) -> bool {
        let of_member = matches!(name, "member_id" | "group_instance_id");
        of_member && self.api == Api::TxnOffsetCommit && self.rng.random_bool(0.8)
    }

    /// What was said in a field of this name, or of one alike.
    fn again(&mut self, name: &str) -> Option<Vec<u8>> {
        let said = self.said.iter().find(|(other, _)| is_alike(name, other))?;
        let again = self.rng.random_bool(0.9);
        again.then(|| said.1.clone())
    }
}

impl Values for Composed<'_> {
    fn is_there(&mut self, name: &'static str) -> bool {
        !self.is_no_member(name) && self.rng.random_bool(0.7)
    }

    fn count(&mut self, _: &'static str) -> usize {
        *[0, 1, 1, 1, 1, 2, 2, 3].choose(self.rng).unwrap_or(&1)
    }

    fn number(&mut self, name: &'static str, value: &mut [u8]) {
        if let Some(usual) = self.usual(name) {
            return put_number(usual, value);
        }
        if let Some(again) = self.again(name)
            && again.len() == value.len()
        {
            return value.copy_from_slice(&again);
        }
        match (name, value.len()) {
            ("subscription_id", 4) => value.copy_from_slice(&TELEMETRY_SUBSCRIPTION.to_be_bytes()),
            // A client's own: one of few.
            ("client_instance_id", 16) => value.fill(self.rng.random_range(0..3)),
            ("producer_id" | "v3_and_below_producer_id", 8) if self.rng.random_bool(0.6) => {
                put_number(PRODUCER_ID, value);
            }
            // They are given from 0 on.
            ("producer_id" | "v3_and_below_producer_id", 8) if self.rng.random_bool(0.8) => {
                put_number(self.rng.random_range(0..4), value);
            }
            ("producer_epoch" | "v3_and_below_producer_epoch", 2) if self.rng.random_bool(0.8) => {
                put_number(self.rng.random_range(0..2), value);
            }
            _ => self.vocabulary.number(name, value, self.rng),
        }
        self.said.push((name, value.to_vec()));
    }

    fn text(&mut self, name: &'static str) -> Vec<u8> {
        if self.is_no_member(name) {
            return Vec::new();
        }
        if let Some(again) = self.again(name) {
            return again;
        }
        let text = self.vocabulary.text(name, self.rng);
        self.said.push((name, text.clone()));
        text
    }

    fn bytes(&mut self, name: &'static str) -> Vec<u8> {
        match name {
            "metrics" => {
                let codec = codec(self.rng);
                compress(codec, METRICS)
            }
            "records" if self.rng.random_bool(0.5) => batch(self.rng).to_vec(),
            _ => self.vocabulary.bytes(name, self.rng).unwrap_or_default(),
        }
    }
}

fn codec(rng: &mut StdRng) -> Compression {
    *Compression::ALL.choose(rng).unwrap_or(&Compression::None)
}

/// A batch of a few records of few keys, some of them tombstones; of a producer, or of none.
pub(super) fn batch(rng: &mut StdRng) -> Bytes {
    let key = |rng: &mut StdRng| Bytes::copy_from_slice(&[b'k', b'0' + rng.random_range(0..4)]);
    let count = rng.random_range(1..=5);
    let records: Vec<Record> = (0..count)
        .map(|offset| Record {
            offset,
            timestamp: rng.random_range(1_720_000_000_000..1_720_000_000_010),
            key: rng.random_bool(0.8).then(|| key(rng)),
            value: rng.random_bool(0.7).then(|| key(rng)),
            headers: match rng.random_bool(0.2) {
                true => vec![RecordHeader {
                    key: Bytes::from_static(b"h"),
                    value: None,
                }],
                false => Vec::new(),
            },
        })
        .collect();
    let is_idempotent = rng.random_bool(0.6);
    let builder = BatchBuilder {
        compression: codec(rng),
        ..BatchBuilder::default()
    };
    match is_idempotent {
        false => builder.build(&records),
        true => BatchBuilder {
            producer_id: rng.random_range(0..3),
            producer_epoch: rng.random_range(0..2),
            base_sequence: *[0, 1, 2, 5].choose(rng).unwrap_or(&0),
            transactional: rng.random_bool(0.6),
            ..builder
        }
        .build(&records),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::super::event::decode;
    use super::super::mutate::read;
    use super::super::play::play;
    use super::*;

    #[test]
    fn requests_of_every_api_are_made_and_can_be_read() {
        let mut rng = StdRng::seed_from_u64(7);
        let vocabulary = Vocabulary::of(&[], &mut rng);
        let mut made = HashSet::new();
        let events = (0..1500).flat_map(|_| requests(&vocabulary, &mut rng));
        for event in events.collect::<Vec<_>>() {
            let Event::Request { frame, .. } = event else {
                panic!("no request");
            };
            let head = read(&frame).expect("its header can be read");
            let body = Bytes::from(frame).slice(head.head..);
            let checked = ottla_codec::request::check(head.api, head.header.version, body);
            assert_eq!(checked, Ok(()));
            made.insert(head.api);
        }
        assert_eq!(made.len(), Api::ALL.len());
    }

    #[test]
    fn offsets_are_committed_in_transactions() {
        let seed =
            include_bytes!("../../../../fuzz/seeds/session/kafkajs-broadcasts_between_groups");
        let recorded = decode(seed);
        let mut committed = 0;
        for seed in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut events = recorded.clone();
            for _ in 0..30 {
                let vocabulary = Vocabulary::of(&recorded, &mut rng);
                events.extend(requests(&vocabulary, &mut rng));
            }
            committed += play(&events).committed;
        }
        assert!(committed >= 5, "{committed}");
    }

    #[test]
    fn what_one_request_says_others_say_of_the_same() {
        // Metadata 1 of one topic.
        let metadata = [
            0, 3, 0, 1, 0, 0, 0, 7, 0, 1, b'c', 0, 0, 0, 1, 0, 5, b'w', b'h', b'a', b'l', b'e',
        ];
        let session = [Event::Request {
            connection: 0,
            frame: metadata.to_vec(),
        }];
        let mut rng = StdRng::seed_from_u64(7);
        let vocabulary = Vocabulary::of(&session, &mut rng);
        let speaks = |event: &Event| match event {
            Event::Request { frame, .. } => frame.windows(5).any(|word| word == b"whale"),
            Event::Http(text) => text.windows(5).any(|word| word == b"whale"),
            _ => false,
        };
        let sent = (0..300).flat_map(|_| requests(&vocabulary, &mut rng));
        assert!(sent.filter(speaks).count() > 60);
        let texts = (0..300).map(|_| http(&vocabulary, &mut rng));
        assert!(texts.filter(speaks).count() > 60);
    }
}
