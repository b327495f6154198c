//! What a client reads: the answer to any API in any version, and what the members of a group tell each other. The first
//! two bytes choose.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_codec::api::Api;
use ottla_codec::{answer, consumer_protocol};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (api, version, body) = input;
    let body = Bytes::copy_from_slice(body);
    if api == u8::MAX {
        let _ = consumer_protocol::subscription(body.clone());
        let _ = consumer_protocol::assignment(body);
        return;
    }
    // The key of an API; what is none is one all the same.
    let any = Api::ALL[usize::from(api) % Api::ALL.len()];
    let api = Api::from_key(i16::from(api)).unwrap_or(any);
    let versions = answer::versions(api);
    let count = versions.end() - versions.start() + 1;
    let version = versions.start() + i16::from(version) % count;
    let _ = answer::check(api, version, body);
});
