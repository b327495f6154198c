//! Request bodies, decoded within bounds.
//!
//! `kafka-protocol` reserves memory for as many array elements as the peer claims. So every body is first
//! held against its shape (see `shape`): each count must fit the bytes that follow.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message, Request};

use crate::api::{Api, ForRequest};
use crate::shape;

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

/// Decodes a body of `api` in `version`. Memory stays within a small multiple of `body.len()`. Bytes after its end are left
/// alone, as Kafka does: librdkafka writes the count of a null list in four bytes where the flexible Metadata versions have
/// one, so three more follow.
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
    shape::check(api, version, &body).map_err(error)?;
    let coded = coded_as::<R>(version);
    if let Some(rewritten) = shape::rewrite_request(api, version, coded, &body).map_err(error)? {
        body = rewritten.into();
    }
    R::decode(&mut body, coded).map_err(|e| error(e.to_string()))
}

/// Appends the body of a request in `version`. One that `kafka-protocol` does not know has its fields as [`crate::newer`] says.
///
/// # Errors
/// A field is set that the version does not have; what the encoder said.
pub fn encode<R: Request + Encodable>(
    version: i16,
    request: &R,
    out: &mut impl BufMut,
) -> Result<(), String> {
    let coded = coded_as::<R>(version);
    let mut body = BytesMut::new();
    request
        .encode(&mut body, coded)
        .map_err(|error| error.to_string())?;
    let rewritten = match Api::from_key(R::KEY) {
        Some(api) => shape::rewrite_request(api, coded, version, &body)?,
        None => None,
    };
    out.put_slice(rewritten.as_deref().unwrap_or(&body));
    Ok(())
}

/// The version in which `kafka-protocol` knows a request of `version`: that one, or its newest.
fn coded_as<R: Message>(version: i16) -> i16 {
    version.min(R::VERSIONS.max)
}

/// Decodes a body of whichever API and drops it: what a fuzzer or a tool wants that only asks whether it can be read.
pub fn check(api: Api, version: i16, body: Bytes) -> Result<(), RequestError> {
    struct Check(Api, i16, Bytes);
    impl ForRequest for Check {
        type Output = Result<(), RequestError>;
        fn run<R: Request + Decodable>(self) -> Self::Output {
            decode::<R>(self.0, self.1, self.2).map(drop)
        }
    }
    api.with_request(Check(api, version, body))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{FetchRequest, MetadataRequest};
    use kafka_protocol::protocol::Encodable;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_after_the_body_are_left_alone() {
        let mut body = Vec::new();
        MetadataRequest::default().encode(&mut body, 13).unwrap();
        body.extend([0, 0, 0]);
        assert!(decode::<MetadataRequest>(Api::Metadata, 13, body.into()).is_ok());
    }

    #[test]
    fn a_version_beyond_the_table_is_refused() {
        for version in [-1, 3, 19] {
            assert!(decode::<FetchRequest>(Api::Fetch, version, Bytes::new()).is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for &api in Api::ALL {
                for version in api.versions() {
                    let _ = check(api, version, bytes.clone().into());
                }
            }
        }
    }
}
