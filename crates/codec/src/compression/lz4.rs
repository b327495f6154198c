//! LZ4's frame format, as much of it as every consumer reads: one frame of independent blocks, without a dictionary, with an end mark and
//! nothing behind it. Java's reader (`Lz4BlockInputStream`) takes no other blocks and no second frame; those on top of the LZ4 library, as
//! librdkafka's, look at the content's size and checksum as well, which Java's does not.

use std::hash::Hasher;

use lz4_flex::block::{DecompressError, decompress_into};
use twox_hash::XxHash32;

use super::{Compression, CompressionError, extend, malformed};

const MAGIC: u32 = 0x184D_2204;
/// The flags: the version in the highest two bits, independent blocks, and those that may be set or not.
const VERSION_AND_INDEPENDENT: u8 = 0b0110_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
/// Of a block's length: it is not compressed.
const RAW: u32 = 1 << 31;
/// A byte of a block gives at most so many: one that lengthens a match.
const MAX_RATIO: usize = 255;
/// XXH32 is always taken with this one.
const SEED: u32 = 0;

/// The blocks of a frame, one after the other.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    /// What a block may inflate to, by the header.
    max_block: usize,
    block_checksums: bool,
    content: Content,
}

/// What the header and the end say of all blocks together, held against what they came to.
struct Content {
    size: Option<u64>,
    inflated: u64,
    checksum: Option<XxHash32>,
}

/// A block that was not decompressed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    raw: bool,
    checksum: Option<u32>,
    /// What it inflates to at most, bytes.
    pub most: usize,
    /// What is behind it.
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    pub fn new(input: &'a [u8]) -> Result<Blocks<'a>, CompressionError> {
        let mut rest = input;
        if u32::from_le_bytes(take(&mut rest)?) != MAGIC {
            return Err(bad("not a frame that consumers read"));
        }
        let described = rest;
        let [flags, sizes] = take(&mut rest)?;
        let may_be = BLOCK_CHECKSUMS | CONTENT_SIZE | CONTENT_CHECKSUM;
        if flags & !may_be != VERSION_AND_INDEPENDENT {
            return Err(bad(format!(
                "consumers read independent blocks of version 1 without a dictionary, and the frame's flags are {flags:#04x}"
            )));
        }
        let max_block = match sizes {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return Err(bad(format!("no such block size: {sizes:#04x}"))),
        };
        let size = match flags & CONTENT_SIZE != 0 {
            true => Some(u64::from_le_bytes(take(&mut rest)?)),
            false => None,
        };
        let described = &described[..described.len() - rest.len()];
        let [checksum] = take(&mut rest)?;
        if checksum != (XxHash32::oneshot(SEED, described) >> 8) as u8 {
            return Err(bad("the header's checksum is another one"));
        }
        Ok(Blocks {
            rest,
            max_block,
            block_checksums: flags & BLOCK_CHECKSUMS != 0,
            content: Content {
                size,
                inflated: 0,
                checksum: (flags & CONTENT_CHECKSUM != 0).then(|| XxHash32::with_seed(SEED)),
            },
        })
    }

    /// The block at the front, which stays there until it was inflated; `None` at the end, with nothing behind it.
    pub fn peek(&self) -> Result<Option<Block<'a>>, CompressionError> {
        let mut rest = self.rest;
        let length = u32::from_le_bytes(take(&mut rest)?);
        if length == 0 {
            return self.content.check(rest).map(|()| None);
        }
        let (raw, len) = (length & RAW != 0, (length & !RAW) as usize);
        if len == 0 || len > self.max_block {
            return Err(bad(format!(
                "a block of {len} bytes where 1 to {} may be",
                self.max_block
            )));
        }
        let (bytes, mut rest) = rest.split_at_checked(len).ok_or_else(cut_short)?;
        let checksum = match self.block_checksums {
            true => Some(u32::from_le_bytes(take(&mut rest)?)),
            false => None,
        };
        let most = match raw {
            true => len,
            false => self.max_block.min(len.saturating_mul(MAX_RATIO)),
        };
        Ok(Some(Block {
            bytes,
            raw,
            checksum,
            most,
            rest,
        }))
    }

    /// Decompresses `block`, which was at the front, into the beginning of `out`, and steps over it. Returns how many bytes came, or `None` if
    /// `out` has no room for them: then what is in it means nothing, and the block stays at the front. With [`Block::most`] there is room.
    pub fn inflate(
        &mut self,
        block: Block<'a>,
        out: &mut [u8],
    ) -> Result<Option<usize>, CompressionError> {
        if block
            .checksum
            .is_some_and(|sum| sum != XxHash32::oneshot(SEED, block.bytes))
        {
            return Err(bad("a block's checksum is another one"));
        }
        let most = block.most.min(out.len());
        let out = &mut out[..most];
        let len = match block.raw {
            true if most < block.most => return Ok(None),
            true => {
                out.copy_from_slice(block.bytes);
                most
            }
            false => match decompress_into(block.bytes, out) {
                Ok(0) => return Err(bad("a block inflates to nothing")),
                Ok(len) => len,
                Err(DecompressError::OutputTooSmall { .. }) if most < block.most => {
                    return Ok(None);
                }
                Err(e) => return Err(bad(e)),
            },
        };
        self.content.add(&out[..len]);
        self.rest = block.rest;
        Ok(Some(len))
    }
}

impl Content {
    fn add(&mut self, inflated: &[u8]) {
        self.inflated += inflated.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.write(inflated);
        }
    }

    /// Holds it against `end`, what is behind the end mark.
    fn check(&self, mut end: &[u8]) -> Result<(), CompressionError> {
        if self.size.is_some_and(|size| size != self.inflated) {
            return Err(bad("the content is not as long as the header says"));
        }
        if let Some(checksum) = &self.checksum
            && u64::from(u32::from_le_bytes(take(&mut end)?)) != checksum.finish()
        {
            return Err(bad("the content's checksum is another one"));
        }
        match end {
            [] => Ok(()),
            _ => Err(bad("bytes after the frame")),
        }
    }
}

/// Decompresses all of `input` behind what is in `out`.
pub(super) fn decompress(
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let mut blocks = Blocks::new(input)?;
    while let Some(block) = blocks.peek()? {
        let start = out.len();
        let room = block.most.min(limit - start);
        let len = blocks.inflate(block, extend(out, room, limit))?;
        out.truncate(start + len.ok_or(CompressionError::TooLarge { limit })?);
    }
    Ok(())
}

/// The next `N` bytes of `rest`.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CompressionError> {
    let (bytes, behind) = rest.split_first_chunk().ok_or_else(cut_short)?;
    *rest = behind;
    Ok(*bytes)
}

fn bad(reason: impl ToString) -> CompressionError {
    malformed(Compression::Lz4, reason)
}

fn cut_short() -> CompressionError {
    bad("cut short")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

    use super::super::{Inflate, decompress};
    use super::*;

    const LIMIT: usize = 10 << 20;

    fn frame(info: FrameInfo, content: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What compresses to about a third.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let pieces = std::iter::from_fn(|| Some([[next(); 6], [next(); 6]].concat()));
        pieces.flatten().take(len).collect()
    }

    /// At once, and in steps of a window.
    fn read(frame: &[u8]) -> Result<Vec<u8>, String> {
        let whole = decompress(Compression::Lz4, frame, LIMIT);
        let steps = || {
            let mut inflate = Inflate::new(Compression::Lz4, frame, LIMIT)?;
            let (mut window, mut all) = (vec![0; 100_000], Vec::new());
            loop {
                match inflate.fill(&mut window, 0)? {
                    0 => return Ok(all),
                    end => all.extend_from_slice(&window[..end]),
                }
            }
        };
        assert_eq!(whole, steps());
        whole.map_err(|e| e.to_string())
    }

    /// With a header's checksum that fits.
    fn with_flags(frame: &[u8], change: impl Fn(u8) -> u8) -> Vec<u8> {
        let mut frame = frame.to_vec();
        frame[4] = change(frame[4]);
        frame[6] = (XxHash32::oneshot(SEED, &frame[4..6]) >> 8) as u8;
        frame
    }

    #[test]
    fn frames_with_anything_that_consumers_read_are_read() {
        let sizes = [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ];
        for size in sizes {
            for (blocks, whole) in [(false, false), (true, false), (false, true), (true, true)] {
                for len in [0, 1, 70_000, 5 << 20] {
                    let content = content(len);
                    let info = FrameInfo::new()
                        .block_size(size)
                        .block_checksums(blocks)
                        .content_checksum(whole)
                        .content_size(whole.then_some(len as u64));
                    assert!(read(&frame(info, &content)).unwrap() == content, "{len}");
                }
            }
        }
    }

    #[test]
    fn blocks_that_are_not_compressed_are_read() {
        let content: Vec<u8> = content(100_000).chunks(6).map(|same| same[0]).collect();
        let frame = frame(FrameInfo::new().block_size(BlockSize::Max64KB), &content);
        assert_eq!(frame[10] & 0x80, 0x80, "raw");
        assert_eq!(read(&frame).unwrap(), content);
    }

    #[test]
    fn what_javas_reader_does_not_take_is_refused() {
        let content = content(1000);
        let sound = frame(FrameInfo::new().block_size(BlockSize::Max64KB), &content);
        let linked = FrameInfo::new().block_mode(BlockMode::Linked);
        let block = lz4_flex::block::compress(&content);
        let length = (block.len() as u32).to_le_bytes();
        let legacy = [&0x184C_2102_u32.to_le_bytes()[..], &length, &block].concat();
        for (frame, reason) in [
            (frame(linked, &content), "flags are 0x40"),
            (legacy, "not a frame"),
            (with_flags(&sound, |flags| flags | 1), "flags are 0x61"),
            (with_flags(&sound, |flags| flags | 2), "flags are 0x62"),
            (with_flags(&sound, |flags| flags | 0x80), "flags are 0xe0"),
            ([&sound[..], &sound].concat(), "bytes after the frame"),
            ([&sound[..], &[0]].concat(), "bytes after the frame"),
            (
                [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], &sound[..]].concat(),
                "not a frame",
            ),
            (Vec::new(), "cut short"),
        ] {
            let refused = read(&frame).expect_err(reason);
            assert!(refused.contains(reason), "{refused}, not {reason}");
        }
    }

    #[test]
    fn every_changed_bit_of_the_header_and_of_checksums_is_seen() {
        let content = content(200_000);
        let info = FrameInfo::new()
            .block_size(BlockSize::Max64KB)
            .block_checksums(true)
            .content_checksum(true)
            .content_size(Some(content.len() as u64));
        let sound = frame(info, &content);
        const HEADER: usize = 15;
        let checksum = sound.len() - 4;
        for at in (0..HEADER)
            .chain(checksum..sound.len())
            .chain([HEADER + 4, sound.len() / 2])
        {
            for bit in 0..8 {
                let mut frame = sound.clone();
                frame[at] ^= 1 << bit;
                read(&frame).unwrap_err();
            }
        }
    }

    #[test]
    fn blocks_of_no_bytes_and_of_too_many_are_refused() {
        let sound = frame(
            FrameInfo::new().block_size(BlockSize::Max64KB),
            &content(10),
        );
        let header = &sound[..7];
        let block =
            |length: u32, bytes: &[u8]| [header, &length.to_le_bytes(), bytes, &[0; 4]].concat();
        assert_eq!(read(&block(1 | RAW, b"a")).unwrap(), b"a");
        for (frame, reason) in [
            (block(RAW, b""), "a block of 0 bytes"),
            (block(1, &[0]), "inflates to nothing"),
            (block(65_537 | RAW, &[7; 65_537]), "a block of 65537 bytes"),
            // 65537 bytes, of one that is repeated.
            (
                block(
                    264,
                    &[&[0x1f, 7, 1, 0][..], &[255; 256], &[237, 0, 0, 0]].concat(),
                ),
                "output",
            ),
        ] {
            let refused = read(&frame).expect_err(reason);
            assert!(refused.contains(reason), "{refused}, not {reason}");
        }
    }

    #[test]
    fn little_content_needs_little_room_whatever_a_block_may_inflate_to() {
        let content = content(90_000);
        let frame = frame(FrameInfo::new().block_size(BlockSize::Max4MB), &content);
        let mut inflate = Inflate::new(Compression::Lz4, &frame, LIMIT).unwrap();
        let mut window = vec![0; 128 << 10];
        assert_eq!(inflate.fill(&mut window, 0), Ok(content.len()));
        assert_eq!(
            (window.len(), &window[..content.len()]),
            (128 << 10, &content[..])
        );
    }
}
