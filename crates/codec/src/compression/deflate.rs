//! Compressing in steps.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::Compression;
use super::snappy::Framed;

const IN_MEMORY: &str = "writing into memory cannot fail";

/// Compresses what is written to it, and appends it to a buffer.
pub(crate) struct Deflate(Sink);

enum Sink {
    Plain(Vec<u8>),
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Snappy(Box<Framed>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Deflate {
    /// Behind what is in `out`.
    ///
    /// # Panics
    /// Never by its input, nor do the other methods; the encoders write into memory, which cannot fail.
    pub fn new(codec: Compression, out: Vec<u8>) -> Deflate {
        Deflate(match codec {
            Compression::None => Sink::Plain(out),
            Compression::Gzip => {
                let level = flate2::Compression::default();
                Sink::Gzip(Box::new(flate2::write::GzEncoder::new(out, level)))
            }
            Compression::Snappy => Sink::Snappy(Box::new(Framed::new(out))),
            Compression::Lz4 => {
                // Blocks as Java's writer makes them: independent, the only ones that its reader takes, and of 64 KB, for which readers need little room.
                let info = FrameInfo::new()
                    .block_mode(BlockMode::Independent)
                    .block_size(BlockSize::Max64KB);
                Sink::Lz4(Box::new(FrameEncoder::with_frame_info(info, out)))
            }
            Compression::Zstd => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                let encoder = zstd::stream::write::Encoder::new(out, level);
                Sink::Zstd(Box::new(encoder.expect(IN_MEMORY)))
            }
        })
    }

    pub fn write(&mut self, input: &[u8]) {
        match &mut self.0 {
            Sink::Plain(out) => {
                out.extend_from_slice(input);
                Ok(())
            }
            Sink::Gzip(encoder) => encoder.write_all(input),
            Sink::Snappy(framed) => {
                framed.write(input);
                Ok(())
            }
            Sink::Lz4(encoder) => encoder.write_all(input),
            Sink::Zstd(encoder) => encoder.write_all(input),
        }
        .expect(IN_MEMORY);
    }

    /// The buffer, with all that was written.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Sink::Plain(out) => out,
            Sink::Gzip(encoder) => encoder.finish().expect(IN_MEMORY),
            Sink::Snappy(framed) => framed.finish(),
            Sink::Lz4(encoder) => encoder.finish().expect(IN_MEMORY),
            Sink::Zstd(encoder) => encoder.finish().expect(IN_MEMORY),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decompress;
    use super::*;

    proptest! {
        #[test]
        fn what_is_written_in_steps_is_read_as_a_whole(
            seed in prop::collection::vec(any::<u8>(), 0..300), repeat in 1_usize..500, step in 1_usize..100_000,
        ) {
            let input = seed.repeat(repeat);
            for codec in [
                Compression::None,
                Compression::Gzip,
                Compression::Snappy,
                Compression::Lz4,
                Compression::Zstd,
            ] {
                let mut deflate = Deflate::new(codec, b"front".to_vec());
                input.chunks(step).for_each(|piece| deflate.write(piece));
                let out = deflate.finish();
                prop_assert_eq!(&out[..5], b"front");
                prop_assert_eq!(decompress(codec, &out[5..], input.len()), Ok(input.clone()), "{:?}", codec);
            }
        }
    }
}
