//! What a session says: values for fields of other requests, so that these speak of the same topics, groups and producers.

use ottla_codec::api::Api;
use ottla_codec::places::{self, Holds};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::event::Event;
use super::mutate::{Read, read};

/// So many of a session's requests are looked at.
const REQUESTS: usize = 12;

/// Requests whose names are those of other things.
const OTHERWISE: &[Api] = &[
    Api::ApiVersions,
    Api::JoinGroup,
    Api::AlterConfigs,
    Api::IncrementalAlterConfigs,
    Api::UpdateFeatures,
];

/// Fields of different names that hold the same.
const ALIKE: &[&[&str]] = &[
    &[
        "name",
        "topic",
        "topic_name",
        "topic_names",
        "topics",
        "resource_name",
        "resource_name_filter",
    ],
    &[
        "group_id",
        "groups",
        "groups_names",
        "coordinator_keys",
        "key",
    ],
    &[
        "transactional_id",
        "v3_and_below_transactional_id",
        "transactional_ids",
        "coordinator_keys",
        "key",
    ],
    &[
        "producer_id",
        "v3_and_below_producer_id",
        "producer_id_filters",
    ],
    &["producer_epoch", "v3_and_below_producer_epoch"],
    &[
        "partition",
        "partition_index",
        "partitions",
        "partition_indexes",
        "index",
    ],
    &["generation_id", "generation_id_or_member_epoch"],
    &["resource_type", "resource_type_filter", "resource_types"],
];

/// Words that settings, markers and filters know.
const KNOWN: &[&str] = &[
    "",
    "a",
    "0",
    "-1",
    "9223372036854775807",
    "compact",
    "delete",
    "compact,delete",
    "__consumer_offsets",
    "cleanup.policy",
    "segment.bytes",
    "retention.ms",
    "retention.bytes",
    "1048576",
    "!nack",
    "!nack why",
    "!dead why",
    "true",
    "range",
    "consumer",
    "min.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.type",
    "LogAppendTime",
    "dlq.mode",
    "dlq.max.attempts",
    "dlq.retry.delays",
    "enforce",
    "off",
    "compression.type",
    "gzip",
    "zstd",
    "*",
    "metrics",
    "interval.ms",
    "Ongoing",
    "Stable",
    "Empty",
    "User:ANONYMOUS",
    ".*",
    "1",
];

/// Numbers that mean something, or lie at an edge.
pub(super) const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    -2,
    2,
    3,
    4,
    5,
    // The resource types of client metrics and of groups.
    16,
    32,
    100,
    1 << 10,
    1 << 20,
    i64::MAX,
    i64::MIN,
];

/// A value and the name of its field.
struct Said {
    name: &'static str,
    holds: Kind,
    value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Bytes,
}

/// See the module.
pub(super) struct Vocabulary {
    said: Vec<Said>,
}

impl Vocabulary {
    /// What some requests of a session say.
    pub fn of(events: &[Event], rng: &mut StdRng) -> Vocabulary {
        let requests = events.iter().filter_map(|event| match event {
            Event::Request { frame, .. } => Some(frame),
            _ => None,
        });
        let mut said = Vec::new();
        for frame in requests.choose_multiple(rng, REQUESTS) {
            let Some(Read { api, header, head }) = read(frame) else {
                continue;
            };
            // What these name are no topics and groups, but settings, protocols and software.
            if OTHERWISE.contains(&api) {
                continue;
            }
            let body = &frame[head..];
            for place in places::places(api, header.version, body).unwrap_or_default() {
                let (holds, at) = match place.holds {
                    Holds::Number => (Kind::Number, place.whole.start),
                    Holds::Text(at) => (Kind::Text, at),
                    Holds::Bytes(at) => (Kind::Bytes, at),
                    Holds::Array(_) => continue,
                };
                said.push(Said {
                    name: place.name,
                    holds,
                    value: body[at..place.whole.end].to_vec(),
                });
            }
        }
        Vocabulary { said }
    }

    /// A value of a field of this name, or of one alike.
    fn alike(&self, name: &str, holds: Kind, rng: &mut StdRng) -> Option<&[u8]> {
        let all = self
            .said
            .iter()
            .filter(|said| said.holds == holds && is_alike(said.name, name));
        all.choose(rng).map(|said| &said.value[..])
    }

    /// Any value of this kind.
    fn any(&self, holds: Kind, rng: &mut StdRng) -> Option<&[u8]> {
        let all = self.said.iter().filter(|said| said.holds == holds);
        all.choose(rng).map(|said| &said.value[..])
    }

    /// A text for a field of this name.
    pub fn text(&self, name: &str, rng: &mut StdRng) -> Vec<u8> {
        let known = |rng: &mut StdRng| KNOWN.choose(rng).map_or(&[][..], |word| word.as_bytes());
        let text = match rng.random_range(0..10) {
            0..7 => self.alike(name, Kind::Text, rng),
            7 => self.any(Kind::Text, rng),
            _ => None,
        };
        let text = text.unwrap_or_else(|| known(rng));
        text[..text.len().min(1 << 12)].to_vec()
    }

    /// Bytes for a field of this name.
    pub fn bytes(&self, name: &str, rng: &mut StdRng) -> Option<Vec<u8>> {
        let bytes = match rng.random_bool(0.8) {
            true => self.alike(name, Kind::Bytes, rng),
            false => self.any(Kind::Bytes, rng),
        };
        bytes.map(<[u8]>::to_vec)
    }

    /// A number for a field of this name.
    pub fn number(&self, name: &str, value: &mut [u8], rng: &mut StdRng) {
        if rng.random_bool(0.7)
            && let Some(said) = self.alike(name, Kind::Number, rng)
            && said.len() == value.len()
        {
            value.copy_from_slice(said);
            return;
        }
        if value.len() <= 8 {
            let edge = NUMBERS.choose(rng).unwrap_or(&0);
            put_number(*edge, value);
        }
        // A UUID stays nil.
    }
}

/// Whether fields of these names hold the same.
pub(super) fn is_alike(one: &str, other: &str) -> bool {
    let both = |names: &&[&str]| names.contains(&one) && names.contains(&other);
    one == other || ALIKE.iter().any(both)
}

/// Writes a number into as many bytes as there are, at most 8. The ends of its range stay ends.
pub(super) fn put_number(number: i64, value: &mut [u8]) {
    let bits = 8 * value.len() as u32;
    let most = i64::MAX >> (64 - bits);
    let number = match number {
        i64::MAX => most,
        i64::MIN => -most - 1,
        other => other,
    };
    value.copy_from_slice(&number.to_be_bytes()[8 - value.len()..]);
}
