//! Every codec over arbitrary bytes: never beyond the bound, and what is compressed reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_codec::compression::{Compression, compress, decompress};

const LIMIT: usize = 1 << 20;

fuzz_target!(|input: (u8, &[u8])| {
    let (codec, data) = input;
    let codec = match codec % 5 {
        0 => Compression::None,
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 => Compression::Lz4,
        _ => Compression::Zstd,
    };
    if let Ok(out) = decompress(codec, data, LIMIT) {
        assert!(out.len() <= LIMIT);
    }
    if data.len() <= LIMIT {
        assert_eq!(
            decompress(codec, &compress(codec, data), LIMIT).as_deref(),
            Ok(data)
        );
    }
});
