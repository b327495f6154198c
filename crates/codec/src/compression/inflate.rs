//! Decompressing in steps, into a window that its reader moves on: what is inflated is bounded, and so is the memory for it.

use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Compression, CompressionError, Stream, lz4, malformed, snappy, stream};

/// Zstandard's decoder keeps as much of its output as the sender's window takes (RFC 8878 wants 8 MiB of any decoder, the
/// highest levels of a producer use 128 MiB), and a raw block of snappy must be had whole. Output beyond this takes turns.
const WITHOUT_TURN: usize = 8 << 20;

/// Held by the one reader, of all threads, that may keep more than [`WITHOUT_TURN`].
static TURN: Mutex<()> = Mutex::new(());

/// What compressed records inflate to, in steps.
pub(crate) struct Inflate<'a> {
    codec: Compression,
    source: Source<'a>,
    /// What may come in all, and what of it may still come, bytes.
    limit: usize,
    left: usize,
    turn: Option<MutexGuard<'static, ()>>,
}

enum Source<'a> {
    Stream(Stream<'a>),
    Snappy(snappy::Blocks<'a>),
    Lz4(lz4::Blocks<'a>),
}

impl<'a> Inflate<'a> {
    /// Of `input`, no more than `limit` bytes.
    pub fn new(
        codec: Compression,
        input: &'a [u8],
        limit: usize,
    ) -> Result<Inflate<'a>, CompressionError> {
        let source = match codec {
            Compression::Snappy => Source::Snappy(snappy::Blocks::new(input)?),
            Compression::Lz4 => Source::Lz4(lz4::Blocks::new(input)?),
            _ => Source::Stream(stream(codec, input, limit).map_err(|e| malformed(codec, e))?),
        };
        Ok(Inflate {
            codec,
            source,
            limit,
            left: limit,
            turn: None,
        })
    }

    /// Writes what comes next into `window` from `from` on, as far as there is room; only if the next block is larger than
    /// all of that room, and nothing came before it, the window grows to take it. Returns where what is written ends,
    /// which is `from` at the end of the input alone.
    pub fn fill(&mut self, window: &mut Vec<u8>, from: usize) -> Result<usize, CompressionError> {
        let mut end = from;
        while end < window.len() {
            let Some(came) = self.step(window, end, end == from)? else {
                break;
            };
            end += came;
            self.left = self
                .left
                .checked_sub(came)
                .ok_or(CompressionError::TooLarge { limit: self.limit })?;
            if self.codec == Compression::Zstd && self.limit - self.left > WITHOUT_TURN {
                take(&mut self.turn);
            }
        }
        Ok(end)
    }

    /// Writes what comes next into `window` from `end` on, which grows for it only if it `may_grow`. Returns how much came; `None`
    /// at the end of the input, and where there is no room.
    fn step(
        &mut self,
        window: &mut Vec<u8>,
        end: usize,
        may_grow: bool,
    ) -> Result<Option<usize>, CompressionError> {
        let room = window.len() - end;
        match &mut self.source {
            Source::Stream(stream) => {
                let read = stream.read(&mut window[end..]);
                let read = read.map_err(|e| malformed(self.codec, e))?;
                Ok((read > 0).then_some(read))
            }
            Source::Snappy(blocks) => {
                let Some(block) = blocks.peek()?.filter(|b| b.len <= room || may_grow) else {
                    return Ok(None);
                };
                block.check(self.left, self.limit)?;
                if block.len > room {
                    if block.len > WITHOUT_TURN {
                        take(&mut self.turn);
                    }
                    window.resize(end + block.len, 0);
                }
                block.decompress(&mut window[end..end + block.len])?;
                blocks.pass(block);
                Ok(Some(block.len))
            }
            Source::Lz4(blocks) => {
                let Some(block) = blocks.peek()?.filter(|b| b.most <= room || may_grow) else {
                    return Ok(None);
                };
                if let Some(len) = blocks.inflate(block, &mut window[end..])? {
                    return Ok(Some(len));
                }
                window.resize(end + block.most, 0);
                blocks.inflate(block, &mut window[end..])
            }
        }
    }
}

/// Waits for the turn, if it is not had yet.
fn take(turn: &mut Option<MutexGuard<'static, ()>>) {
    // The lock guards memory that may be used, no state that a panic could leave half changed.
    turn.get_or_insert_with(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{compress, decompress};
    use super::*;

    /// What comes in steps of a window of `size` bytes, and the size of the window in the end.
    fn in_steps(
        codec: Compression,
        input: &[u8],
        limit: usize,
        size: usize,
    ) -> Result<(Vec<u8>, usize), CompressionError> {
        let mut inflate = Inflate::new(codec, input, limit)?;
        let (mut window, mut all) = (vec![0; size], Vec::new());
        loop {
            let end = inflate.fill(&mut window, 0)?;
            if end == 0 {
                return Ok((all, window.len()));
            }
            all.extend_from_slice(&window[..end]);
        }
    }

    proptest! {
        #[test]
        fn steps_of_any_size_come_to_what_is_decompressed_at_once(
            seed in prop::collection::vec(any::<u8>(), 0..300), repeat in 1usize..500, size in 1usize..5000,
            spoilt: Option<(usize, u8)>, less in 0usize..2,
        ) {
            let input = seed.repeat(repeat);
            for codec in Compression::ALL {
                let mut packed = compress(codec, &input);
                if let (Some((at, with)), Some(len)) = (spoilt, std::num::NonZero::new(packed.len())) {
                    packed[at % len] = with;
                }
                let limit = input.len().saturating_sub(less);
                let whole = decompress(codec, &packed, limit);
                let steps = in_steps(codec, &packed, limit, size).map(|(all, _)| all);
                match (&whole, &steps) {
                    // Which is seen first may differ.
                    (Err(_), Err(_)) => {}
                    _ => prop_assert_eq!(&whole, &steps, "{:?}", codec),
                }
            }
        }
    }

    #[test]
    fn the_window_stays_as_it_is_unless_a_block_is_larger() {
        let input = vec![7; 1 << 20];
        for codec in Compression::ALL {
            let packed = compress(codec, &input);
            let (all, window) = in_steps(codec, &packed, input.len(), 64 << 10).unwrap();
            assert_eq!((all.len(), window), (input.len(), 64 << 10), "{codec:?}");
        }
        let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        let (all, window) = in_steps(Compression::Snappy, &raw, input.len(), 64 << 10).unwrap();
        assert_eq!((all.len(), window), (input.len(), input.len()));
    }
}
