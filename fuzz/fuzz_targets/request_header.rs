//! Both ways to read a request header agree, also about what is left.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use ottla_codec::header::RequestHeader;

fuzz_target!(|data: &[u8]| {
    let mut frozen = Bytes::copy_from_slice(data);
    let mut writable = BytesMut::from(data);
    let header = RequestHeader::decode(&mut frozen);
    assert_eq!(header, RequestHeader::decode_mut(&mut writable));
    if header.is_ok() {
        assert_eq!(frozen, writable);
    }
});
