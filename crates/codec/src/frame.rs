//! Frames: a length of four bytes, big-endian, and as many bytes. One request or response each.

use bytes::{Bytes, BytesMut};

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
    /// inside it can be patched in place.
    pub fn next(&mut self, _buf: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
        let _ = (self.limit, self.earned);
        todo!()
    }

    /// How many bytes to reserve in `buf` before the next read: enough to make progress with few system calls,
    /// never more than twice what has arrived of the current frame, 64 KiB, or the largest frame seen on this connection.
    pub fn reserve_hint(&self, _buf: &BytesMut) -> usize {
        todo!()
    }
}

/// Puts a length before `body`; for clients and tests.
pub fn encode(_body: &[u8]) -> Bytes {
    todo!()
}
