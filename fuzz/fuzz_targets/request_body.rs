//! The body of any API in any version; the first two bytes choose.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_codec::api::Api;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (api, version, body) = input;
    // The key of an API; what is none is one all the same.
    let any = Api::ALL[usize::from(api) % Api::ALL.len()];
    let api = Api::from_key(i16::from(api)).unwrap_or(any);
    let versions = api.versions();
    let count = versions.end() - versions.start() + 1;
    let version = versions.start() + i16::from(version) % count;
    let _ = ottla_codec::request::check(api, version, Bytes::copy_from_slice(body));
});
