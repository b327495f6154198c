//! The five codecs of record batches, with a bound on what a batch may inflate to.

/// A batch's codec: the low three bits of its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not compressed.
    None = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// Snappy in the framing of xerial's snappy-java, raw snappy on reading too (KAFKA-2189; librdkafka and sarama differ).
    Snappy = 2,
    /// LZ4's frame format.
    Lz4 = 3,
    /// Zstandard, from Produce 7 and Fetch 10 on.
    Zstd = 4,
}

/// Why a block cannot be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The block inflates to more than the bound.
    #[error("compressed records inflate to more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The block is malformed.
    #[error("malformed {codec:?} block: {reason}")]
    Malformed {
        /// The codec.
        codec: Compression,
        /// What the library said.
        reason: String,
    },
}

/// Decompresses `input` to at most `limit` bytes; memory grows with what comes out, not with what a header claims.
pub fn decompress(
    _codec: Compression,
    _input: &[u8],
    _limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    todo!()
}

/// Compresses `input`.
pub fn compress(_codec: Compression, _input: &[u8]) -> Vec<u8> {
    todo!()
}
