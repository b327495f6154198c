//! The five codecs of record batches, with a bound on what a batch may inflate to.

use std::io::Read;

mod deflate;
mod inflate;
mod lz4;
mod snappy;
mod zstd_frames;

pub(crate) use deflate::Deflate;
pub(crate) use inflate::Inflate;

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
    /// LZ4's frame format: one frame of independent blocks.
    Lz4 = 3,
    /// Zstandard, from Produce 7 and Fetch 10 on.
    Zstd = 4,
}

impl Compression {
    /// All codecs, by their numbers.
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
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
    match codec {
        Compression::None => out.extend_from_slice(input.get(..=limit).unwrap_or(input)),
        Compression::Snappy => snappy::decompress(input, limit, &mut out)?,
        Compression::Lz4 => lz4::decompress(input, limit, &mut out)?,
        _ => stream(codec, input, limit)
            .and_then(|stream| bounded(stream, limit, &mut out))
            .map_err(|e| malformed(codec, e))?,
    }
    if out.len() > limit {
        return Err(CompressionError::TooLarge { limit });
    }
    Ok(out)
}

/// Compresses `input`.
///
/// # Panics
/// Never by `input`; the encoders write into memory, which cannot fail.
pub fn compress(codec: Compression, input: &[u8]) -> Vec<u8> {
    if codec == Compression::Zstd {
        // Told the size, it takes no larger window than that; its readers take as much memory.
        return zstd::bulk::compress(input, zstd::DEFAULT_COMPRESSION_LEVEL)
            .expect("writing into memory cannot fail");
    }
    let mut deflate = Deflate::new(codec, Vec::new());
    deflate.write(input);
    deflate.finish()
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

/// Makes `out` longer by `more` bytes. Returns those.
fn extend(out: &mut Vec<u8>, more: usize, limit: usize) -> &mut [u8] {
    make_room(out, more, limit);
    let start = out.len();
    out.resize(start + more, 0);
    &mut out[start..]
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

/// What inflates in steps of any size.
enum Stream<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Zstd(Box<zstd_frames::ZstdFrames<'a>>),
}

/// Snappy and LZ4 are not among them: their blocks must be had whole.
fn stream(codec: Compression, input: &[u8], limit: usize) -> std::io::Result<Stream<'_>> {
    Ok(match codec {
        Compression::None | Compression::Snappy | Compression::Lz4 => Stream::Plain(input),
        Compression::Gzip => Stream::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
        Compression::Zstd => Stream::Zstd(Box::new(zstd_frames::ZstdFrames::new(input, limit)?)),
    })
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(input) => input.read(out),
            Stream::Gzip(decoder) => decoder.read(out),
            Stream::Zstd(decoder) => decoder.read(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_codec_reads_what_it_wrote_within_the_bound(
            seed in prop::collection::vec(any::<u8>(), 0..300), repeat in 1usize..500,
        ) {
            let input = seed.repeat(repeat);
            for codec in Compression::ALL {
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
            for codec in Compression::ALL {
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
            for codec in Compression::ALL {
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
        for codec in Compression::ALL.into_iter().skip(1) {
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
        for codec in Compression::ALL.into_iter().skip(1) {
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
    fn several_frames_of_gzip_and_zstd_after_one_another_are_read() {
        for codec in [Compression::Gzip, Compression::Zstd] {
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
