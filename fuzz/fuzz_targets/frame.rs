//! A stream in pieces: frames come out whole and within the limit, and buffers follow the bytes that arrived.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use ottla_codec::frame::FrameDecoder;

const LIMIT: usize = 100_000;

fuzz_target!(|pieces: Vec<&[u8]>| {
    let mut decoder = FrameDecoder::new(LIMIT);
    let mut buf = BytesMut::new();
    for piece in pieces {
        let hint = decoder.reserve_hint(&buf);
        assert!(hint <= LIMIT + 4);
        buf.reserve(hint);
        buf.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buf) {
                Ok(Some(frame)) => assert!(frame.len() <= LIMIT),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
