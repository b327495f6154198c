//! The seeds of the fuzzer are requests of librdkafka and of `ottla`, and the broker's answers: all of them are read.
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

use std::path::Path;

use bytes::{Bytes, BytesMut};
use ottla_codec::api::Api;
use ottla_codec::header::RequestHeader;
use ottla_codec::{answer, batch, consumer_protocol, produce, request};

/// The names and contents of a target's seeds.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let entries = std::fs::read_dir(dir.join(target)).unwrap();
    let seeds: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    assert!(!seeds.is_empty(), "{target}");
    seeds
}

#[test]
fn requests_of_real_clients_are_read() {
    for (name, seed) in seeds("request_body") {
        let api = Api::from_key(i16::from(seed[0])).unwrap();
        let version = api.versions().start() + i16::from(seed[1]);
        let body = Bytes::copy_from_slice(&seed[2..]);
        assert_eq!(request::check(api, version, body), Ok(()), "{name}");
    }
    for (name, seed) in seeds("produce") {
        let read = produce::decode(3 + i16::from(seed[0]), BytesMut::from(&seed[1..]));
        assert_eq!(read.unwrap().topics.len(), 1, "{name}");
    }
    for (name, seed) in seeds("request_header") {
        let header = RequestHeader::decode(&mut seed.into()).unwrap();
        assert!(Api::from_key(header.api_key).is_some(), "{name}");
    }
    for (name, seed) in seeds("batch") {
        assert_eq!(
            batch::check_all(&seed).map(|all| all.len()),
            Ok(1),
            "{name}"
        );
    }
}

#[test]
fn answers_and_subscriptions_are_read() {
    for (name, seed) in seeds("answer") {
        let body = Bytes::copy_from_slice(&seed[2..]);
        if seed[0] == u8::MAX {
            let subscription = consumer_protocol::subscription(body).unwrap();
            assert_eq!(subscription.topics.len(), 1, "{name}");
            continue;
        }
        let api = Api::from_key(i16::from(seed[0])).unwrap();
        let version = answer::versions(api).start() + i16::from(seed[1]);
        assert_eq!(answer::check(api, version, body), Ok(()), "{name}");
    }
}
