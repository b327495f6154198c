//! Frames: a length of four bytes, big-endian, and as many bytes. One request or response each.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::response::LENGTH_LEN;

/// From here on a frame gets an allocation of its own.
const OWN_ALLOCATION: usize = 16 * 1024;
/// What is reserved for a connection of which nothing is known yet.
const FIRST_READ: usize = 4 * 1024;
/// What is reserved at most before a frame has begun, or before a peer has shown that it sends more.
const UNEARNED: usize = 64 * 1024;

/// Why a stream of frames cannot be read on. The connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A negative length.
    #[error("frame length {0} is negative")]
    Negative(i32),
    /// A length above the limit (`socket.request.max.bytes`).
    #[error(
        "frame of {length} bytes is larger than the limit of {limit} (socket.request.max.bytes)"
    )]
    TooLarge {
        /// What the peer claims.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// Splits frames off a receive buffer.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    limit: usize,
    /// The largest whole frame seen on this connection: what the peer has earned as a reservation.
    earned: usize,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `limit` bytes (the length field not counted).
    pub fn new(limit: usize) -> Self {
        FrameDecoder { limit, earned: 0 }
    }

    /// The next whole frame without its length field, or `None` while it is incomplete.
    ///
    /// A frame of 16 KiB or more is returned in an allocation of its own, so that [`BytesMut`] batches
    /// inside it can be patched in place and kept without keeping their neighbours.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
        let Some(length) = self.claimed(buf)? else {
            return Ok(None);
        };
        if buf.len() - LENGTH_LEN < length {
            return Ok(None);
        }
        self.earned = self.earned.max(length);
        buf.advance(LENGTH_LEN);
        if length < OWN_ALLOCATION {
            return Ok(Some(buf.split_to(length)));
        }
        // Either the frame is moved out of the buffer or what follows it is, whichever costs less; and a frame
        // never keeps a buffer of more than twice its size.
        let tail = buf.len() - length;
        if tail <= length && buf.capacity() <= 2 * length {
            let mut rest = BytesMut::with_capacity(tail);
            rest.extend_from_slice(&buf[length..]);
            buf.truncate(length);
            return Ok(Some(std::mem::replace(buf, rest)));
        }
        let frame = BytesMut::from(&buf[..length]);
        buf.advance(length);
        Ok(Some(frame))
    }

    /// How many bytes to reserve in `buf` before the next read: enough to make progress with few system calls,
    /// never more than twice what has arrived of the current frame, 64 KiB, or the largest frame seen on this connection.
    pub fn reserve_hint(&self, buf: &BytesMut) -> usize {
        let Ok(Some(length)) = self.claimed(buf) else {
            // Between frames an idle connection should hold little.
            return (self.earned + LENGTH_LEN).clamp(FIRST_READ, UNEARNED);
        };
        let missing = (length + LENGTH_LEN).saturating_sub(buf.len());
        let granted = UNEARNED.max(buf.len()).max(self.earned);
        // Not rounded up: a buffer that ends where its frame ends is handed over without moving a byte.
        missing.min(granted)
    }

    /// Whether there was no frame yet.
    pub fn is_fresh(&self) -> bool {
        self.earned == 0
    }

    /// The length of the frame at the front, once its length field is there.
    fn claimed(&self, buf: &BytesMut) -> Result<Option<usize>, FrameError> {
        let Some(field) = buf.first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let claimed = i32::from_be_bytes(*field);
        let length = usize::try_from(claimed).map_err(|_| FrameError::Negative(claimed))?;
        if length > self.limit {
            return Err(FrameError::TooLarge {
                length,
                limit: self.limit,
            });
        }
        Ok(Some(length))
    }
}

/// Puts a length before `body`; for clients and tests.
///
/// # Panics
/// If `body` is longer than `i32::MAX` bytes, which no frame can be.
pub fn encode(body: &[u8]) -> Bytes {
    let length = i32::try_from(body.len()).expect("a frame is at most i32::MAX bytes long");
    let mut out = BytesMut::with_capacity(LENGTH_LEN + body.len());
    out.put_i32(length);
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `stream` in pieces as a connection would, and returns the frames and the largest buffer it came to.
    fn feed(limit: usize, stream: &[u8], piece: usize) -> (Vec<BytesMut>, usize) {
        let mut decoder = FrameDecoder::new(limit);
        let mut buf = BytesMut::new();
        let (mut frames, mut largest, mut rest) = (Vec::new(), 0, stream);
        while !rest.is_empty() {
            buf.reserve(decoder.reserve_hint(&buf));
            largest = largest.max(buf.capacity());
            let take = piece.min(rest.len()).min(buf.capacity() - buf.len());
            buf.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            while let Some(frame) = decoder.next(&mut buf).unwrap() {
                frames.push(frame);
            }
        }
        assert!(buf.is_empty());
        (frames, largest)
    }

    proptest! {
        #[test]
        fn frames_read_back_however_the_stream_is_cut(
            sizes in prop::collection::vec(prop_oneof![0usize..40, 16_000usize..70_000], 0..8),
            piece in 1usize..100_000,
        ) {
            let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, &n)| vec![i as u8; n]).collect();
            let stream: Vec<u8> = bodies.iter().flat_map(|b| encode(b).to_vec()).collect();
            // Cutting a large stream into single bytes shows nothing new and takes long.
            let piece = piece.max(stream.len() / 500);
            let (frames, _) = feed(1 << 20, &stream, piece);
            let frames: Vec<Vec<u8>> = frames.iter().map(|f| f.to_vec()).collect();
            prop_assert_eq!(frames, bodies);
        }

        #[test]
        fn arbitrary_bytes_give_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = FrameDecoder::new(1000);
            let mut buf = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = decoder.next(&mut buf) {
                prop_assert!(frame.len() <= 1000);
            }
            prop_assert!(decoder.reserve_hint(&buf) <= UNEARNED);
        }
    }

    #[test]
    fn a_negative_length_is_refused() {
        let mut buf = BytesMut::from(&[0xff, 0xff, 0xff, 0xfe][..]);
        assert_eq!(
            FrameDecoder::new(100).next(&mut buf),
            Err(FrameError::Negative(-2))
        );
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_bytes_come() {
        let mut buf = BytesMut::from(&101_i32.to_be_bytes()[..]);
        assert_eq!(
            FrameDecoder::new(100).next(&mut buf),
            Err(FrameError::TooLarge {
                length: 101,
                limit: 100
            })
        );
        let mut buf = BytesMut::from(&100_i32.to_be_bytes()[..]);
        assert_eq!(FrameDecoder::new(100).next(&mut buf), Ok(None));
    }

    #[test]
    fn a_claim_alone_reserves_no_more_than_64_kib() {
        let mut buf = BytesMut::from(&(100_i32 << 20).to_be_bytes()[..]);
        let decoder = FrameDecoder::new(usize::MAX);
        assert_eq!(decoder.reserve_hint(&buf), UNEARNED);
        buf.extend_from_slice(&vec![0; 1 << 20]);
        assert_eq!(decoder.reserve_hint(&buf), buf.len());
    }

    #[test]
    fn a_peer_that_sent_a_large_frame_gets_the_next_in_one_reservation() {
        let body = vec![7; 900_000];
        let mut decoder = FrameDecoder::new(1 << 20);
        let mut buf = BytesMut::from(&encode(&body)[..]);
        decoder.next(&mut buf).unwrap().unwrap();
        assert_eq!(decoder.reserve_hint(&buf), UNEARNED);
        buf.extend_from_slice(&encode(&body)[..UNEARNED]);
        assert_eq!(
            decoder.reserve_hint(&buf),
            body.len() + LENGTH_LEN - UNEARNED
        );
    }

    #[test]
    fn a_frame_that_fills_its_reservation_is_not_moved() {
        let body = vec![7; 900_000];
        let mut decoder = FrameDecoder::new(1 << 20);
        decoder.earned = body.len();
        let stream = encode(&body);
        let mut buf = BytesMut::from(&stream[..UNEARNED]);
        buf.reserve(decoder.reserve_hint(&buf));
        let allocation = buf.as_ptr() as usize;
        for piece in stream[UNEARNED..].chunks(10_000) {
            buf.reserve(decoder.reserve_hint(&buf));
            buf.extend_from_slice(piece);
        }
        let frame = decoder.next(&mut buf).unwrap().unwrap();
        assert_eq!(frame.as_ptr() as usize, allocation + LENGTH_LEN);
    }

    #[test]
    fn buffers_follow_what_arrived() {
        let stream = encode(&vec![1; 3 << 20]);
        let (frames, largest) = feed(4 << 20, &stream, 8 * 1024);
        assert_eq!(frames.len(), 1);
        assert!(largest <= 2 * stream.len(), "{largest}");
    }

    #[test]
    fn a_large_frame_shares_no_memory_with_what_follows_it() {
        let mut stream = BytesMut::from(&encode(&vec![1; OWN_ALLOCATION])[..]);
        stream.extend_from_slice(&encode(b"next"));
        let mut decoder = FrameDecoder::new(1 << 20);
        let mut frame = decoder.next(&mut stream).unwrap().unwrap();
        // A reservation inside one's own allocation, which a shared one would not grant.
        assert!(frame.try_reclaim(0));
        frame[0] = 9;
        let next = decoder.next(&mut stream).unwrap().unwrap();
        assert_eq!(&next[..], b"next");
        let (start, end) = (
            frame.as_ptr() as usize,
            frame.as_ptr() as usize + frame.capacity(),
        );
        assert!(!(start..end).contains(&(next.as_ptr() as usize)));
    }
}
