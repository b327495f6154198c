//! The hand-written produce decoder takes no more than the table of shapes does, and its parts can be written to.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use ottla_codec::api::Api;
use ottla_codec::{produce, request};

fuzz_target!(|input: (u8, &[u8])| {
    let (version, body) = input;
    let version = 3 + i16::from(version) % 11;
    let Ok(read) = produce::decode(version, BytesMut::from(body)) else {
        return;
    };
    if body.len() < 4096 {
        let again = request::check(Api::Produce, version, Bytes::copy_from_slice(body));
        assert_eq!(again, Ok(()));
    }
    for partition in read.topics.into_iter().flat_map(|t| t.partitions) {
        if let Some(mut records) = partition.records {
            records.fill(0);
        }
    }
});
