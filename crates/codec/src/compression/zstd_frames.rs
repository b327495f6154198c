//! Zstandard's frames after one another (RFC 8878), read in steps of any size with the same outcome.

use std::io::{Error, Read, Result};

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// A frame's header begins with a magic number and the descriptor of what else it has.
const DESCRIPTOR: usize = 4;

/// The frame that is read now.
struct Frame {
    /// What the header says it decompresses to.
    claimed: Option<u64>,
    /// What it has come to.
    written: u64,
    /// Bytes of its header that are not read yet.
    header: usize,
}

/// See the module.
pub(super) struct ZstdFrames<'a> {
    decoder: Decoder<'static>,
    input: &'a [u8],
    frame: Option<Frame>,
}

impl ZstdFrames<'_> {
    /// A reader whose window is held to what the output may be. 8 MiB is the least that RFC 8878 wants of a decoder,
    /// and an encoder that does not know its input's size takes 2 MiB for any.
    pub fn new(input: &[u8], limit: usize) -> Result<ZstdFrames<'_>> {
        let window_log = usize::BITS - limit.saturating_sub(1).leading_zeros();
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log.clamp(23, 27)))?;
        Ok(ZstdFrames {
            decoder,
            input,
            frame: None,
        })
    }

    fn begin(&mut self) -> Result<Frame> {
        self.decoder.reinit()?;
        let claimed = zstd::zstd_safe::get_frame_content_size(self.input)
            .map_err(|_| Error::other("not a frame"))?;
        Ok(Frame {
            claimed,
            written: 0,
            header: header_len(self.input),
        })
    }
}

impl Read for ZstdFrames<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while !out.is_empty() {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None if self.input.is_empty() => break,
                None => self.begin()?,
            };
            // The library decodes a frame that it sees whole, with room for all of it, by another path, which refuses other things.
            // It looks for that where a header ends: it is shown a byte of it at a time, so that what is refused does not depend
            // on the size of the steps.
            let shown = match frame.header {
                0 => self.input,
                _ => self.input.get(..1).unwrap_or(self.input),
            };
            let (mut from, mut to) = (InBuffer::around(shown), OutBuffer::around(&mut *out));
            let more = self.decoder.run(&mut from, &mut to)?;
            let (read, written) = (from.pos(), to.pos());
            self.input = &self.input[read..];
            frame.header = frame.header.saturating_sub(read);
            frame.written += written as u64;
            if more > 0 {
                if read == 0 && written == 0 {
                    return Err(Error::other("cut short"));
                }
                self.frame = Some(frame);
            } else if frame
                .claimed
                .is_some_and(|claimed| claimed != frame.written)
            {
                // The library does not look after an empty last block.
                return Err(Error::other("a frame is not as long as it says"));
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

/// The length of the header of the frame at the start of `input`. That of a frame to be skipped is not longer than it says.
fn header_len(input: &[u8]) -> usize {
    let descriptor = input.get(DESCRIPTOR).copied().unwrap_or(0);
    let is_single_segment = descriptor & 0x20 != 0;
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        n => 1 << n,
    };
    let dictionary_id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    DESCRIPTOR + 1 + usize::from(!is_single_segment) + dictionary_id + content_size
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An empty frame of one segment.
    const EMPTY: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
    /// A frame of four bytes to be skipped.
    const SKIPPED: [u8; 12] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];

    fn read(input: &[u8], step: usize) -> Result<Vec<u8>> {
        let mut frames = ZstdFrames::new(input, 1 << 20)?;
        let (mut window, mut all) = (vec![0; step], Vec::new());
        loop {
            match frames.read(&mut window)? {
                0 => return Ok(all),
                n => all.extend_from_slice(&window[..n]),
            }
        }
    }

    #[test]
    fn an_empty_frame_that_claims_to_hold_something_is_refused_in_any_steps() {
        assert_eq!(zstd::bulk::compress(&[], 3).unwrap(), EMPTY);
        let mut spoilt = EMPTY;
        spoilt[5] = 2;
        for step in 1..20 {
            assert!(read(&EMPTY, step).unwrap().is_empty());
            read(&spoilt, step).unwrap_err();
        }
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused_in_any_steps() {
        // Two bytes as they are, in a window of 1 GiB, with a content size of two bytes (which counts from 256).
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x40, 20 << 3, 0, 0];
        let len: u32 = 256;
        frame.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
        frame.extend_from_slice(&[7; 256]);
        for step in [1, 255, 256, 257, 1 << 20] {
            read(&frame, step).unwrap_err();
        }
        // It is the window that is refused.
        frame[5] = 10 << 3;
        for step in [1, 255, 256, 257, 1 << 20] {
            assert_eq!(read(&frame, step).unwrap(), [7; 256]);
        }
    }

    #[test]
    fn frames_to_be_skipped_and_empty_ones_may_stand_anywhere() {
        let full = zstd::bulk::compress(b"records", 3).unwrap();
        let input = [
            &SKIPPED[..],
            &full,
            &EMPTY,
            &SKIPPED,
            &full,
            &EMPTY,
            &SKIPPED,
        ]
        .concat();
        for step in 1..20 {
            assert_eq!(read(&input, step).unwrap(), b"recordsrecords");
            for end in 1..SKIPPED.len() {
                read(&input[..end], step).unwrap_err();
            }
        }
    }
}
