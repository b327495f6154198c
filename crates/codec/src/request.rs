//! Request bodies, decoded within bounds.
//!
//! `kafka-protocol` reserves memory for as many array elements as the peer claims. So every body is first
//! held against its shape (see `shape`): each count must fit the bytes that follow.

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Request};

use crate::api::Api;

/// Why a request cannot be read. The connection must be closed, with one log line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The header is cut short or malformed.
    #[error("malformed request header: {0}")]
    Header(String),
    /// The body does not have the shape of this API's version.
    #[error("malformed {api} v{version} request: {reason}")]
    Body {
        /// The API's name.
        api: &'static str,
        /// The version.
        version: i16,
        /// What is wrong, and where.
        reason: String,
    },
}

/// Decodes a body of `api` in `version`. Memory stays within a small multiple of `body.len()`;
/// trailing bytes are an error, as in Kafka.
pub fn decode<R: Request + Decodable>(
    api: Api,
    version: i16,
    mut body: Bytes,
) -> Result<R, RequestError> {
    let error = |reason: String| RequestError::Body {
        api: api.name(),
        version,
        reason,
    };
    let request = R::decode(&mut body, version).map_err(|e| error(e.to_string()))?;
    if !body.is_empty() {
        return Err(error(format!("{} bytes after its end", body.len())));
    }
    Ok(request)
}
