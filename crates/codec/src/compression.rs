//! The five codecs of record batches, with a bound on what a batch may inflate to.

use std::io::{Read, Write};

use lz4_flex::frame::{FrameDecoder, FrameEncoder};

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
    codec: Compression,
    input: &[u8],
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    decompress_into(codec, input, limit, &mut out)?;
    Ok(out)
}

/// As [`decompress`], into memory that the caller keeps: what `out` held is dropped. After an error it holds anything.
pub fn decompress_into(
    codec: Compression,
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    out.clear();
    match codec {
        Compression::None => {
            out.extend_from_slice(input.get(..=limit).unwrap_or(input));
            Ok(())
        }
        Compression::Gzip => bounded(flate2::read::MultiGzDecoder::new(input), limit, out),
        Compression::Snappy => return snappy(input, limit, out),
        Compression::Lz4 => lz4(input, limit, out),
        Compression::Zstd => zstd_decoder(input, limit).and_then(|d| bounded(d, limit, out)),
    }
    .map_err(|e| malformed(codec, e))?;
    if out.len() > limit {
        return Err(CompressionError::TooLarge { limit });
    }
    Ok(())
}

/// Compresses `input`.
///
/// # Panics
/// Never by `input`; the encoders write into memory, which cannot fail.
pub fn compress(codec: Compression, input: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing into memory cannot fail";
    match codec {
        Compression::None => input.to_vec(),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(input).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Compression::Snappy => snappy_xerial(input),
        Compression::Lz4 => {
            // Independent blocks: the only ones that Java's reader takes.
            let mut encoder = FrameEncoder::new(Vec::new());
            encoder.write_all(input).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Compression::Zstd => {
            zstd::bulk::compress(input, zstd::DEFAULT_COMPRESSION_LEVEL).expect(IN_MEMORY)
        }
    }
}

fn malformed(codec: Compression, reason: impl ToString) -> CompressionError {
    CompressionError::Malformed {
        codec,
        reason: reason.to_string(),
    }
}

/// Output beyond this is rare, and gets room for all that the limit allows at once: growing step by step would copy it and
/// hold it twice, while pages that are reserved and never written take no memory.
const STEP: usize = 4 << 20;
/// The most that is reserved so.
const MAX_RESERVED: usize = 256 << 20;

/// Makes room for `more` bytes behind `out`, which may come to `limit` in the end.
fn make_room(out: &mut Vec<u8>, more: usize, limit: usize) {
    if out.len() + more > STEP && out.capacity() - out.len() < more {
        let rest = limit.saturating_add(1).saturating_sub(out.len());
        out.reserve_exact(rest.min(MAX_RESERVED).max(more));
    }
}

/// Reads to the end, but no more than one byte beyond `limit`.
fn bounded(mut reader: impl Read, limit: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
    let room = |out: &Vec<u8>| (limit as u64).saturating_add(1) - out.len() as u64;
    if out.len() < STEP {
        let step = (STEP - out.len()) as u64;
        reader.by_ref().take(step.min(room(out))).read_to_end(out)?;
        if out.len() < STEP {
            return Ok(());
        }
    }
    make_room(out, 1, limit);
    reader.take(room(out)).read_to_end(out)?;
    Ok(())
}

fn lz4(input: &[u8], limit: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
    // The decoder takes the end of its input for the end of a frame, but Java's reader wants an end mark. With one behind
    // the input it shows whether the input lacked it: then this one is used up.
    const END_MARK: &[u8] = &[0; 4];
    let mut decoder = FrameDecoder::new(input.chain(END_MARK));
    // A read of nothing is the end of one frame; others may follow.
    loop {
        let before = decoder.get_ref().get_ref().0.len();
        bounded(decoder.by_ref(), limit, out)?;
        let (rest, mark) = decoder.get_ref().get_ref();
        let rest = rest.len();
        if out.len() > limit {
            return Ok(());
        }
        if mark.len() < END_MARK.len() {
            return Err(std::io::Error::other("cut short"));
        }
        if rest == 0 {
            return Ok(());
        }
        if rest == before {
            return Err(std::io::Error::other("bytes after the last frame"));
        }
    }
}

/// A decoder whose window is held to what the output may be. 8 MiB is the least that RFC 8878 wants of a decoder,
/// and an encoder that does not know its input's size takes 2 MiB for any.
fn zstd_decoder(
    input: &[u8],
    limit: usize,
) -> std::io::Result<zstd::stream::read::Decoder<'_, &[u8]>> {
    let window_log = usize::BITS - limit.saturating_sub(1).leading_zeros();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(window_log.clamp(23, 27))?;
    Ok(decoder)
}

/// The start of snappy-java's framing, followed by two version numbers of four bytes.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_LEN: usize = 16;
/// The block size that snappy-java writes.
const XERIAL_BLOCK: usize = 32 * 1024;

fn snappy(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    if !input.starts_with(XERIAL_MAGIC) {
        return snappy_block(input, limit, out);
    }
    let cut_short = || malformed(Compression::Snappy, "cut short");
    let mut rest = input.get(XERIAL_HEADER_LEN..).ok_or_else(cut_short)?;
    while !rest.is_empty() {
        let (field, after) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let len = u32::from_be_bytes(*field) as usize;
        let block = after.get(..len).ok_or_else(cut_short)?;
        snappy_block(block, limit, out)?;
        rest = &after[len..];
    }
    Ok(())
}

/// Appends one raw block.
fn snappy_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    /// Three bytes of a block give at most 64: a copy with an offset of two bytes.
    const MAX_RATIO: usize = 22;
    let bad = |e: snap::Error| malformed(Compression::Snappy, e);
    let len = snap::raw::decompress_len(block).map_err(bad)?;
    if len > limit - out.len() {
        return Err(CompressionError::TooLarge { limit });
    }
    if len > block.len().saturating_mul(MAX_RATIO) {
        return Err(malformed(
            Compression::Snappy,
            "the block is too short for the length that it claims",
        ));
    }
    let start = out.len();
    make_room(out, len, limit);
    out.resize(start + len, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(bad)?;
    Ok(())
}

fn snappy_xerial(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(XERIAL_HEADER_LEN + snap::raw::max_compress_len(XERIAL_BLOCK));
    out.extend_from_slice(XERIAL_MAGIC);
    // The version, and the oldest version that can read it.
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK) {
        let block = encoder
            .compress_vec(block)
            .expect("a block of 32 KiB is within what snappy can compress");
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    proptest! {
        #[test]
        fn every_codec_reads_what_it_wrote_within_the_bound(
            seed in prop::collection::vec(any::<u8>(), 0..300), repeat in 1usize..500,
        ) {
            let input = seed.repeat(repeat);
            for codec in ALL {
                let compressed = compress(codec, &input);
                prop_assert_eq!(decompress(codec, &compressed, input.len()), Ok(input.clone()));
                if !input.is_empty() {
                    let limit = input.len() - 1;
                    prop_assert_eq!(decompress(codec, &compressed, limit), Err(CompressionError::TooLarge { limit }));
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_pass_the_bound(
            input in prop::collection::vec(any::<u8>(), 0..300), framed: bool, limit in 0usize..2000,
        ) {
            for codec in ALL {
                let mut bytes = if framed { compress(codec, &[7; 100]) } else { Vec::new() };
                bytes.truncate(12);
                bytes.extend_from_slice(&input);
                if let Ok(out) = decompress(codec, &bytes, limit) {
                    prop_assert!(out.len() <= limit);
                }
            }
        }

        #[test]
        fn one_flipped_bit_never_panics(at in 0usize..2000, bit in 0u8..8) {
            let input: Vec<u8> = (0..3000_u32).flat_map(|i| (i * i).to_le_bytes()).collect();
            for codec in ALL {
                let mut bytes = compress(codec, &input);
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
                let _ = decompress(codec, &bytes, 100_000);
            }
        }
    }

    #[test]
    fn a_block_cut_short_is_malformed() {
        let input: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        for codec in ALL.into_iter().skip(1) {
            let whole = compress(codec, &input);
            // An LZ4 frame ends with a mark of four bytes, which Java's reader insists on.
            for len in [
                whole.len() - 1,
                whole.len() - 4,
                whole.len() - 5,
                whole.len() / 2,
                17,
            ] {
                let result = decompress(codec, &whole[..len], 1 << 20);
                assert!(
                    matches!(result, Err(CompressionError::Malformed { .. })),
                    "{codec:?} {len}: {:?}",
                    result.map(|out| out.len())
                );
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = vec![0; 64 << 20];
        for codec in ALL.into_iter().skip(1) {
            let small = compress(codec, &bomb);
            let limit = 1 << 20;
            assert_eq!(
                decompress(codec, &small, limit),
                Err(CompressionError::TooLarge { limit }),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn snappy_without_framing_is_read() {
        let input = b"raw snappy as librdkafka writes it ".repeat(50);
        let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        assert_eq!(decompress(Compression::Snappy, &raw, 1 << 20), Ok(input));
    }

    #[test]
    fn a_snappy_block_that_claims_more_than_it_can_hold_is_malformed() {
        // A length of 100 MB, then a literal of one byte.
        let mut block = Vec::new();
        crate::wire::put_uvarint(&mut block, 100_000_000);
        block.extend_from_slice(&[0, 1]);
        assert!(matches!(
            decompress(Compression::Snappy, &block, usize::MAX),
            Err(CompressionError::Malformed { .. })
        ));
    }

    #[test]
    fn several_frames_after_one_another_are_read() {
        for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
            let mut bytes = compress(codec, b"first, ");
            bytes.extend_from_slice(&compress(codec, b"second"));
            assert_eq!(
                decompress(codec, &bytes, 100),
                Ok(b"first, second".to_vec()),
                "{codec:?}"
            );
        }
    }
}
