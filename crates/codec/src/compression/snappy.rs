//! Snappy, raw or in the framing of xerial's snappy-java: blocks with a length before each.

use super::{Compression, CompressionError, extend, malformed};

/// The start of snappy-java's framing, followed by two version numbers of four bytes.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_LEN: usize = 16;
/// The block size that snappy-java writes.
const XERIAL_BLOCK: usize = 32 * 1024;
/// Three bytes of a block give at most 64: a copy with an offset of two bytes.
const MAX_RATIO: usize = 22;

/// The blocks of an input, one after the other.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
}

/// A block that was not decompressed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    packed: &'a [u8],
    /// What it says it inflates to, bytes; its own length makes that possible.
    pub len: usize,
}

impl<'a> Blocks<'a> {
    pub fn new(input: &'a [u8]) -> Result<Blocks<'a>, CompressionError> {
        let framed = input.starts_with(XERIAL_MAGIC);
        let rest = match framed {
            true => input.get(XERIAL_HEADER_LEN..).ok_or_else(cut_short)?,
            // A raw input is one block, and even one of nothing says so in a byte.
            false if input.is_empty() => return Err(cut_short()),
            false => input,
        };
        Ok(Blocks { rest, framed })
    }

    /// The block at the front, which stays there until [`Blocks::pass`]; `None` at the end.
    pub fn peek(&self) -> Result<Option<Block<'a>>, CompressionError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let packed = match self.framed {
            false => self.rest,
            true => {
                let (field, after) = self.rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
                let len = u32::from_be_bytes(*field) as usize;
                after.get(..len).ok_or_else(cut_short)?
            }
        };
        Block::new(packed).map(Some)
    }

    /// Steps over `block`, which was at the front.
    pub fn pass(&mut self, block: Block<'a>) {
        let header = if self.framed { 4 } else { 0 };
        self.rest = &self.rest[header + block.packed.len()..];
    }
}

impl<'a> Block<'a> {
    fn new(packed: &'a [u8]) -> Result<Block<'a>, CompressionError> {
        let len = snap::raw::decompress_len(packed).map_err(bad)?;
        Ok(Block { packed, len })
    }

    /// Refuses a length of more than `left`, the rest of `limit`, and one that the block is too short for.
    pub fn check(&self, left: usize, limit: usize) -> Result<(), CompressionError> {
        if self.len > left {
            return Err(CompressionError::TooLarge { limit });
        }
        if self.len > self.packed.len().saturating_mul(MAX_RATIO) {
            return Err(malformed(
                Compression::Snappy,
                "the block is too short for the length that it claims",
            ));
        }
        Ok(())
    }

    /// Decompresses into the first `len` bytes of `out`.
    pub fn decompress(&self, out: &mut [u8]) -> Result<(), CompressionError> {
        let mut decoder = snap::raw::Decoder::new();
        decoder.decompress(self.packed, out).map(drop).map_err(bad)
    }
}

fn bad(e: snap::Error) -> CompressionError {
    malformed(Compression::Snappy, e)
}

fn cut_short() -> CompressionError {
    malformed(Compression::Snappy, "cut short")
}

/// Decompresses all of `input` behind what is in `out`.
pub(super) fn decompress(
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let mut blocks = Blocks::new(input)?;
    while let Some(block) = blocks.peek()? {
        block.check(limit - out.len(), limit)?;
        block.decompress(extend(out, block.len, limit))?;
        blocks.pass(block);
    }
    Ok(())
}

/// Compresses in the framing of snappy-java, as it writes it.
pub(super) struct Framed {
    encoder: snap::raw::Encoder,
    /// Of the block that is not full yet.
    block: Vec<u8>,
    out: Vec<u8>,
}

impl Framed {
    /// Behind what is in `out`.
    pub fn new(mut out: Vec<u8>) -> Framed {
        out.extend_from_slice(XERIAL_MAGIC);
        // The version, and the oldest version that can read it.
        out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        Framed {
            encoder: snap::raw::Encoder::new(),
            block: Vec::new(),
            out,
        }
    }

    pub fn write(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            let room = XERIAL_BLOCK - self.block.len();
            let (piece, rest) = input.split_at(room.min(input.len()));
            self.block.extend_from_slice(piece);
            input = rest;
            if self.block.len() == XERIAL_BLOCK {
                self.end_block();
            }
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        if !self.block.is_empty() {
            self.end_block();
        }
        self.out
    }

    fn end_block(&mut self) {
        let packed = self
            .encoder
            .compress_vec(&self.block)
            .expect("a block of 32 KiB is within what snappy can compress");
        self.out
            .extend_from_slice(&(packed.len() as u32).to_be_bytes());
        self.out.extend_from_slice(&packed);
        self.block.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::decompress;
    use super::*;

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
    fn nothing_at_all_is_no_snappy() {
        let nothing = decompress(Compression::Snappy, &[], 100);
        assert!(matches!(nothing, Err(CompressionError::Malformed { .. })));
    }
}
