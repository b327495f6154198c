//! Request and response headers of every version.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use crate::api::Api;
use crate::request::RequestError;

/// A request header, read before it is known whether the API or its version is supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API's key as it was sent.
    pub api_key: i16,
    /// The version as it was sent.
    pub version: i16,
    /// Echoed in the response.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<StrBytes>,
}

impl RequestHeader {
    /// Reads the header off the front of `frame`. For an API that [`Api::from_key`] does not know,
    /// and for a version above the API's, the fixed part (key, version, correlation id) is read alone,
    /// so that an answer can name it.
    pub fn decode(_frame: &mut Bytes) -> Result<RequestHeader, RequestError> {
        todo!()
    }
}

/// The request header's version (0, 1 or 2) for this API and version.
pub fn request_header_version(_api: Api, _version: i16) -> i16 {
    todo!()
}

/// The response header's version (0 or 1). ApiVersions always answers with 0 (KIP-511).
pub fn response_header_version(_api: Api, _version: i16) -> i16 {
    todo!()
}
