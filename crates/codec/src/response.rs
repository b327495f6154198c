//! Response buffers: chunks of bytes and of files, for a vectored write or sendfile.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, Message};

use crate::api::Api;
use crate::header::response_header_version;
use crate::shape;

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
/// What `scratch` still held is dropped.
pub fn encode<F, R: Encodable + Message>(
    scratch: &mut BytesMut,
    api: Api,
    version: i16,
    correlation_id: i32,
    body: &R,
) -> Result<ResponseBuf<F>, EncodeError> {
    scratch.clear();
    begin(
        scratch,
        response_header_version(api, version),
        correlation_id,
    );
    let start = scratch.len();
    let coded = version.min(R::VERSIONS.max);
    let fits = body
        .encode(scratch, coded)
        .map_err(|e| e.to_string())
        .and_then(|()| shape::rewrite_answer(api, coded, version, &scratch[start..]))
        .and_then(|rewritten| {
            if let Some(rewritten) = rewritten {
                scratch.truncate(start);
                scratch.extend_from_slice(&rewritten);
            }
            i32::try_from(scratch.len() - LENGTH_LEN)
                .map_err(|_| "the response is longer than a frame can be".to_owned())
        });
    match fits {
        Ok(length) => {
            scratch[..LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
            let bytes = scratch.split().freeze();
            Ok(ResponseBuf {
                chunks: vec![Chunk::Bytes(bytes)],
            })
        }
        Err(reason) => {
            scratch.clear();
            Err(EncodeError {
                api: api.name(),
                version,
                reason,
            })
        }
    }
}

/// The bytes of a frame's length field.
pub(crate) const LENGTH_LEN: usize = 4;

/// Puts a length of zero, to be patched, and the response header.
pub(crate) fn begin(out: &mut BytesMut, header_version: i16, correlation_id: i32) {
    out.put_i32(0);
    out.put_i32(correlation_id);
    if header_version >= 1 {
        out.put_u8(0); // no tagged fields
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use kafka_protocol::messages::{HeartbeatResponse, MetadataResponse, ResponseHeader};
    use kafka_protocol::protocol::{Decodable, StrBytes};

    use super::*;

    fn single(buf: ResponseBuf<()>) -> Bytes {
        assert_eq!(buf.chunks.len(), 1);
        match buf.chunks.into_iter().next() {
            Some(Chunk::Bytes(bytes)) => bytes,
            other => panic!("not bytes: {other:?}"),
        }
    }

    #[test]
    fn a_response_of_every_version_reads_back() {
        let mut scratch = BytesMut::new();
        for version in Api::Metadata.versions() {
            let body = MetadataResponse::default().with_controller_id(if version >= 1 {
                3.into()
            } else {
                (-1).into()
            });
            let mut bytes = single(encode(&mut scratch, Api::Metadata, version, 9, &body).unwrap());
            assert_eq!(bytes.get_i32() as usize, bytes.len());
            let header =
                ResponseHeader::decode(&mut bytes, response_header_version(Api::Metadata, version))
                    .unwrap();
            assert_eq!(header.correlation_id, 9);
            assert_eq!(MetadataResponse::decode(&mut bytes, version).unwrap(), body);
            assert!(bytes.is_empty());
            assert!(scratch.is_empty());
        }
    }

    #[test]
    fn a_field_that_the_version_lacks_is_an_error_and_leaves_nothing_behind() {
        let mut scratch = BytesMut::new();
        let body =
            kafka_protocol::messages::FindCoordinatorResponse::default().with_coordinators(vec![
                kafka_protocol::messages::find_coordinator_response::Coordinator::default()
                    .with_key(StrBytes::from_static_str("g")),
            ]);
        let error = encode::<(), _>(&mut scratch, Api::FindCoordinator, 0, 1, &body).unwrap_err();
        assert_eq!((error.api, error.version), ("FindCoordinator", 0));
        assert!(scratch.is_empty());
    }

    #[test]
    fn the_scratch_is_used_again_once_a_response_is_gone() {
        let mut scratch = BytesMut::with_capacity(1024);
        let first = scratch.as_ptr();
        for _ in 0..10 {
            let body = HeartbeatResponse::default();
            let bytes = single(encode(&mut scratch, Api::Heartbeat, 4, 1, &body).unwrap());
            drop(bytes);
            assert!(scratch.try_reclaim(1024));
            assert_eq!(scratch.as_ptr(), first);
        }
    }
}
