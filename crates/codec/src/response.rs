//! Response buffers: chunks of bytes and of files, for a vectored write or sendfile.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;

use crate::api::Api;

/// A piece of a response. `F` is a handle to a file that the writer of the response knows how to send.
#[derive(Debug, Clone)]
pub enum Chunk<F> {
    /// Bytes in memory.
    Bytes(Bytes),
    /// `len` bytes at `position` of a file.
    File {
        /// The file.
        file: F,
        /// Where in the file.
        position: u64,
        /// How many bytes.
        len: usize,
    },
}

impl<F> Chunk<F> {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(b) => b.len(),
            Chunk::File { len, .. } => *len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A whole response as it goes onto the socket: length, header, body.
#[derive(Debug, Clone)]
pub struct ResponseBuf<F> {
    /// In order. The first chunk starts with the frame's length field.
    pub chunks: Vec<Chunk<F>>,
}

impl<F> ResponseBuf<F> {
    /// All bytes, the length field included.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// Never true: a response has at least its length and correlation id.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

/// An answer that could not be encoded: a defect of the broker (a field set that the version does not have).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode {api} v{version} response: {reason}")]
pub struct EncodeError {
    /// The API's name.
    pub api: &'static str,
    /// The version.
    pub version: i16,
    /// What the encoder said.
    pub reason: String,
}

/// Encodes length, header and `body` into `scratch` (reused between responses) and splits the result off as one chunk.
pub fn encode<F, R: Encodable>(
    _scratch: &mut BytesMut,
    _api: Api,
    _version: i16,
    _correlation_id: i32,
    _body: &R,
) -> Result<ResponseBuf<F>, EncodeError> {
    todo!()
}
