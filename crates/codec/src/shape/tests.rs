use bytes::{BufMut, Bytes};
use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, Request};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::api::ForRequest;
use crate::wire::put_uvarint;

/// Writes random bodies by their shape.
pub(super) struct Writer {
    rng: StdRng,
    out: Vec<u8>,
    version: i16,
    flexible: bool,
}

impl Writer {
    fn body(api: Api, version: i16, seed: u64) -> Vec<u8> {
        Writer::of_shape(shape(api), version, seed)
    }

    pub(super) fn answer(api: Api, version: i16, seed: u64) -> Vec<u8> {
        Writer::of_shape(answers::shape(api), version, seed)
    }

    fn of_shape(shape: &'static Shape, version: i16, seed: u64) -> Vec<u8> {
        let mut writer = Writer {
            rng: StdRng::seed_from_u64(seed),
            out: Vec::new(),
            version,
            flexible: version >= shape.flexible_since,
        };
        writer.fields(shape.fields);
        writer.out
    }

    fn fields(&mut self, fields: &'static [Field]) {
        let version = self.version;
        let present = fields.iter().filter(|f| f.exists_in(version));
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) = present.partition(|f| f.tag.is_some());
        for field in plain {
            self.field(field, field.is_nullable_in(version));
        }
        if !self.flexible {
            return;
        }
        // Random values, so never the default that an encoder leaves out; never null for the same reason.
        let unknown = self.rng.random_range(0..3_u32);
        put_uvarint(&mut self.out, tagged.len() as u32 + unknown);
        for field in tagged {
            let value = self.tagged(field);
            put_uvarint(&mut self.out, field.tag.unwrap());
            put_uvarint(&mut self.out, value.len() as u32);
            self.out.extend_from_slice(&value);
        }
        for tag in 0..unknown {
            put_uvarint(&mut self.out, 100 + 100 * tag);
            self.string();
        }
    }

    /// A tagged field's value. An array of nothing and `false` are defaults, too.
    fn tagged(&mut self, field: &'static Field) -> Vec<u8> {
        loop {
            let outside = std::mem::take(&mut self.out);
            self.field(field, false);
            let value = std::mem::replace(&mut self.out, outside);
            let default = match field.kind {
                Kind::Array(_) => value == [1],
                Kind::Bool => value == [0],
                _ => false,
            };
            if !default {
                return value;
            }
        }
    }

    fn field(&mut self, field: &'static Field, nullable: bool) {
        let null = nullable && self.rng.random_bool(0.3);
        match field.kind {
            Kind::Struct(_) if nullable && null => self.out.put_i8(-1),
            Kind::Struct(fields) if nullable => {
                self.out.put_i8(1);
                self.fields(fields);
            }
            Kind::String if null && !self.flexible => self.out.put_i16(-1),
            Kind::String | Kind::Bytes | Kind::Array(_) if null && self.flexible => {
                self.out.put_u8(0);
            }
            Kind::Bytes | Kind::Array(_) if null => self.out.put_i32(-1),
            _ => self.value(&field.kind),
        }
    }

    fn value(&mut self, kind: &'static Kind) {
        match kind {
            Kind::Fixed(len) => {
                for _ in 0..*len {
                    self.out.put_u8(self.rng.random());
                }
            }
            Kind::Bool => self.out.put_u8(self.rng.random_range(0..2)),
            Kind::String if self.flexible => {
                let len = self.rng.random_range(1..200_u32);
                put_uvarint(&mut self.out, len + 1);
                self.out.put_bytes(b's', len as usize);
            }
            Kind::String => {
                let len = self.rng.random_range(1..200_u8);
                self.out.put_i16(i16::from(len));
                self.out.put_bytes(b's', usize::from(len));
            }
            Kind::Bytes => {
                let len = self.rng.random_range(0..200);
                self.count(len);
                self.out.put_bytes(7, len as usize);
            }
            Kind::Array(element) => {
                let count = self.rng.random_range(0..4);
                self.count(count);
                for _ in 0..count {
                    self.value(element);
                }
            }
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    fn count(&mut self, count: u32) {
        if self.flexible {
            put_uvarint(&mut self.out, count + 1);
        } else {
            self.out.put_i32(count as i32);
        }
    }

    fn string(&mut self) {
        let len = self.rng.random_range(0..20_u32);
        put_uvarint(&mut self.out, len);
        self.out.put_bytes(b'u', len as usize);
    }
}

/// What is written after reading `body`.
fn written_again(api: Api, version: i16, body: &[u8]) -> Vec<u8> {
    struct Again<'a>(Api, i16, &'a [u8]);
    impl ForRequest for Again<'_> {
        type Output = Vec<u8>;
        fn run<R: Request + Decodable + Encodable>(self) -> Vec<u8> {
            let body = Bytes::copy_from_slice(self.2);
            let message: R = crate::request::decode(self.0, self.1, body).unwrap();
            let mut out = Vec::new();
            crate::request::encode(self.1, &message, &mut out).unwrap();
            out
        }
    }
    api.with_request(Again(api, version, body))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_kafka_protocol_writes_walks_to_its_end(seed: u64) {
        for &api in Api::ALL {
            for version in api.versions() {
                let body = Writer::body(api, version, seed);
                let theirs = written_again(api, version, &body);
                prop_assert_eq!(&theirs, &body, "{} v{}", api.name(), version);
                prop_assert_eq!(check(api, version, &theirs), Ok(()), "{} v{}", api.name(), version);
            }
        }
    }

    #[test]
    fn a_body_cut_short_anywhere_is_refused(seed: u64) {
        for &api in Api::ALL {
            for version in api.versions() {
                let body = Writer::body(api, version, seed);
                let at = (seed % (body.len() as u64 + 1)) as usize;
                let refused = check(api, version, &body[..at]).is_err();
                prop_assert!(refused || at == body.len(), "{} v{} at {}", api.name(), version, at);
            }
        }
    }

    #[test]
    fn whatever_walks_is_decoded_without_a_panic(seed: u64, at: usize, with: u8) {
        for &api in Api::ALL {
            for version in api.versions() {
                let mut body = Writer::body(api, version, seed);
                if let Some(len) = std::num::NonZero::new(body.len()) {
                    body[at % len] = with;
                }
                let _ = crate::request::check(api, version, body.into());
            }
        }
    }
}

#[test]
fn hostile_counts_are_refused_with_the_fields_name() {
    // Metadata v1: the count of topics. v9: the same as a varint.
    let plain = |count: i32| check(Api::Metadata, 1, &count.to_be_bytes()).unwrap_err();
    assert_eq!(
        plain(i32::MAX),
        "topics: claims 2147483647 elements of at least 2 bytes, 0 bytes are left"
    );
    assert_eq!(plain(-2), "topics: length or count -2 is negative");
    assert_eq!(
        plain(i32::MIN),
        "topics: length or count -2147483648 is negative"
    );
    let compact = |count: &[u8]| check(Api::Metadata, 9, count).unwrap_err();
    assert!(compact(&[0xff, 0xff, 0xff, 0xff, 0x0f]).starts_with("topics: claims 4294967294"));
    assert_eq!(
        compact(&[0xff, 0xff, 0xff, 0xff, 0x7f]),
        "topics: varint is longer than its type"
    );
}

#[test]
fn every_array_of_every_version_refuses_a_count_beyond_the_body() {
    // Count fields are found by their effect: wherever four 0x7f bytes are put into a valid body,
    // the walk must end without a panic, and never let a decoder reserve for it.
    for &api in Api::ALL {
        for version in api.versions() {
            let body = Writer::body(api, version, 1);
            for at in 0..body.len().saturating_sub(3) {
                let mut hostile = body.clone();
                hostile[at..at + 4].fill(0x7f);
                let _ = crate::request::check(api, version, hostile.into());
            }
        }
    }
}

#[test]
fn a_null_where_none_may_be_is_refused() {
    let body = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(
        check(Api::DeleteTopics, 1, &body),
        Err("topic_names: is null".to_owned())
    );
}

#[test]
fn a_tagged_field_that_is_not_as_long_as_it_says_is_refused() {
    let body = Writer::body(Api::Fetch, 12, 3);
    // The cluster id is the first tag of the outermost section: written anew with a wrong size.
    let mut writer = Writer {
        rng: StdRng::seed_from_u64(3),
        out: Vec::new(),
        version: 12,
        flexible: true,
    };
    for field in shape(Api::Fetch)
        .fields
        .iter()
        .filter(|f| f.tag.is_none() && f.exists_in(12))
    {
        writer.field(field, false);
    }
    assert!(check(Api::Fetch, 12, &body).is_ok());
    let mut right = writer.out.clone();
    right.extend_from_slice(&[1, 0, 3, 3, b'i', b'd']);
    assert_eq!(check(Api::Fetch, 12, &right), Ok(()));
    let mut wrong = writer.out;
    wrong.extend_from_slice(&[1, 0, 2, 3, b'i', b'd']);
    assert_eq!(
        check(Api::Fetch, 12, &wrong),
        Err("tagged fields.cluster_id: claims 2 bytes and has 3".to_owned())
    );
}

#[test]
fn elements_that_take_many_times_their_bytes_in_memory_are_refused_in_bulk() {
    // Topics of an empty name: three bytes each on the wire.
    let count = 4_000_000_u32;
    let mut body = Vec::new();
    put_uvarint(&mut body, count + 1);
    body.resize(body.len() + 2 * count as usize, 1);
    body.extend_from_slice(&[0, 0, 0, 0]);
    let error = check(Api::Metadata, 9, &body).unwrap_err();
    assert_eq!(
        error,
        "topics: would take too much memory for a message of its size"
    );
    // A thousand of them are nobody's harm.
    let mut body = Vec::new();
    put_uvarint(&mut body, 1001);
    for _ in 0..1000 {
        body.extend_from_slice(&[2, b't', 0]);
    }
    body.extend_from_slice(&[1, 0, 0, 0]);
    assert_eq!(check(Api::Metadata, 9, &body), Ok(()));
}

#[test]
fn memory_is_never_estimated_below_what_an_element_takes() {
    use messages::*;
    let cases = [
        (
            size_of::<metadata_request::MetadataRequestTopic>(),
            Api::Metadata,
            "topics",
        ),
        (size_of::<fetch_request::FetchTopic>(), Api::Fetch, "topics"),
        (
            size_of::<join_group_request::JoinGroupRequestProtocol>(),
            Api::JoinGroup,
            "protocols",
        ),
        (
            size_of::<offset_commit_request::OffsetCommitRequestTopic>(),
            Api::OffsetCommit,
            "topics",
        ),
        (
            size_of::<create_topics_request::CreatableTopic>(),
            Api::CreateTopics,
            "topics",
        ),
        (
            size_of::<leave_group_request::MemberIdentity>(),
            Api::LeaveGroup,
            "members",
        ),
        (
            size_of::<describe_configs_request::DescribeConfigsResource>(),
            Api::DescribeConfigs,
            "resources",
        ),
    ];
    for (size, api, name) in cases {
        let field = shape(api).fields.iter().find(|f| f.name == name).unwrap();
        let Kind::Array(element) = field.kind else {
            panic!("{name} is an array");
        };
        assert!(element.size_in_memory() >= size, "{} {name}", api.name());
        assert!(
            element.size_in_memory() <= 2 * size,
            "{} {name}",
            api.name()
        );
    }
}
