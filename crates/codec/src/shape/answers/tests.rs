//! The tables of answers, held against the decoder, and what hostile answers come to.

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Encodable, Request};
use proptest::prelude::*;

use super::super::tests::Writer;
use super::super::{Field, Kind, check_answer};
use crate::answer::{self, versions};
use crate::api::{Api, ForRequest};
use crate::header::response_header_version;
use crate::response::{Chunk, encode};

/// What is written after reading `body`.
fn written_again(api: Api, version: i16, body: &[u8]) -> Vec<u8> {
    struct Again<'a>(Api, i16, &'a [u8]);
    impl ForRequest for Again<'_> {
        type Output = Vec<u8>;
        fn run<R: Request>(self) -> Vec<u8>
        where
            R::Response: Decodable + Encodable,
        {
            let body = Bytes::copy_from_slice(self.2);
            let message = answer::decode::<R>(self.1, body).unwrap();
            let mut scratch = bytes::BytesMut::new();
            let encoded = encode::<(), _>(&mut scratch, self.0, self.1, 0, &message).unwrap();
            let header = 8 + usize::from(response_header_version(self.0, self.1) > 0);
            match &encoded.chunks[..] {
                [Chunk::Bytes(bytes)] => bytes[header..].to_vec(),
                other => panic!("{other:?}"),
            }
        }
    }
    api.with_request(Again(api, version, body))
}

fn all() -> impl Iterator<Item = (Api, i16)> {
    Api::ALL
        .iter()
        .flat_map(|&api| versions(api).map(move |version| (api, version)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_kafka_protocol_writes_walks_to_its_end(seed: u64) {
        for (api, version) in all() {
            let body = Writer::answer(api, version, seed);
            let theirs = written_again(api, version, &body);
            prop_assert_eq!(&theirs, &body, "{} v{}", api.name(), version);
            prop_assert_eq!(check_answer(api, version, &theirs), Ok(()), "{} v{}", api.name(), version);
        }
    }

    #[test]
    fn an_answer_cut_short_or_with_bytes_behind_it_is_refused(seed: u64) {
        for (api, version) in all() {
            let mut body = Writer::answer(api, version, seed);
            let at = (seed % body.len() as u64) as usize;
            prop_assert!(check_answer(api, version, &body[..at]).is_err(), "{} v{} at {}", api.name(), version, at);
            body.push(0);
            prop_assert!(check_answer(api, version, &body).is_err(), "{} v{}", api.name(), version);
        }
    }

    #[test]
    fn whatever_walks_is_decoded_without_a_panic(seed: u64, changes in prop::collection::vec(any::<(usize, u8)>(), 1..4)) {
        for (api, version) in all() {
            let mut body = Writer::answer(api, version, seed);
            for &(at, with) in &changes {
                let at = at % body.len();
                body[at] = with;
            }
            let _ = crate::answer::check(api, version, body.into());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for (api, version) in all() {
            let _ = crate::answer::check(api, version, Bytes::copy_from_slice(&bytes));
        }
    }
}

#[test]
fn every_array_of_every_version_refuses_a_count_beyond_the_body() {
    for (api, version) in all() {
        let body = Writer::answer(api, version, 1);
        for at in 0..body.len().saturating_sub(3) {
            let mut hostile = body.clone();
            hostile[at..at + 4].fill(0x7f);
            let _ = crate::answer::check(api, version, hostile.into());
        }
    }
}

#[test]
fn memory_is_never_estimated_below_what_an_element_takes() {
    use kafka_protocol::messages::*;
    let cases = [
        (
            size_of::<metadata_response::MetadataResponsePartition>(),
            Api::Metadata,
            &["topics", "partitions"][..],
        ),
        (
            size_of::<metadata_response::MetadataResponseTopic>(),
            Api::Metadata,
            &["topics"],
        ),
        (
            size_of::<fetch_response::PartitionData>(),
            Api::Fetch,
            &["responses", "partitions"],
        ),
        (
            size_of::<fetch_response::AbortedTransaction>(),
            Api::Fetch,
            &["responses", "partitions", "aborted_transactions"],
        ),
        (
            size_of::<produce_response::PartitionProduceResponse>(),
            Api::Produce,
            &["responses", "partition_responses"],
        ),
        (
            size_of::<join_group_response::JoinGroupResponseMember>(),
            Api::JoinGroup,
            &["members"],
        ),
        (
            size_of::<describe_groups_response::DescribedGroup>(),
            Api::DescribeGroups,
            &["groups"],
        ),
        (
            size_of::<describe_configs_response::DescribeConfigsResourceResult>(),
            Api::DescribeConfigs,
            &["results", "configs"],
        ),
        (
            size_of::<offset_fetch_response::OffsetFetchResponsePartitions>(),
            Api::OffsetFetch,
            &["groups", "topics", "partitions"],
        ),
        (
            size_of::<api_versions_response::ApiVersion>(),
            Api::ApiVersions,
            &["api_keys"],
        ),
    ];
    for (size, api, path) in cases {
        let estimate = element(super::shape(api).fields, path).size_in_memory();
        assert!(
            estimate >= size,
            "{} {path:?}: {estimate} of {size}",
            api.name()
        );
        assert!(
            estimate <= 3 * size,
            "{} {path:?}: {estimate} of {size}",
            api.name()
        );
    }
}

fn element(fields: &'static [Field], path: &[&str]) -> Kind {
    let field = fields.iter().find(|f| f.name == path[0]).unwrap();
    let Kind::Array(&element) = field.kind else {
        panic!("{} is an array", field.name);
    };
    match (element, &path[1..]) {
        (element, []) => element,
        (Kind::Struct(fields), rest) => self::element(fields, rest),
        _ => panic!("{} holds structs", field.name),
    }
}
