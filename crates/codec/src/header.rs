//! Request and response headers of every version.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use crate::api::Api;
use crate::request::RequestError;
use crate::wire::{Reader, WireError};

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
    /// and for a version above the API's or negative, the fixed part (key, version, correlation id) is read alone,
    /// so that an answer can name it.
    pub fn decode(frame: &mut Bytes) -> Result<RequestHeader, RequestError> {
        let layout = Layout::read(frame).map_err(|e| RequestError::Header(e.to_string()))?;
        let head = frame.split_to(layout.len);
        layout.header(head)
    }

    /// As [`RequestHeader::decode`], for a frame whose rest stays writable.
    pub fn decode_mut(frame: &mut BytesMut) -> Result<RequestHeader, RequestError> {
        let layout = Layout::read(frame).map_err(|e| RequestError::Header(e.to_string()))?;
        if layout.client_id.is_none() {
            frame.advance(layout.len);
            return layout.header(Bytes::new());
        }
        let head = frame.split_to(layout.len).freeze();
        layout.header(head)
    }
}

/// Where a header's parts are.
struct Layout {
    api_key: i16,
    version: i16,
    correlation_id: i32,
    client_id: Option<Range<usize>>,
    len: usize,
}

impl Layout {
    fn read(frame: &[u8]) -> Result<Layout, WireError> {
        let mut reader = Reader::new(frame);
        let mut layout = Layout {
            api_key: reader.i16()?,
            version: reader.i16()?,
            correlation_id: reader.i32()?,
            client_id: None,
            len: 0,
        };
        let known = Api::from_key(layout.api_key)
            .filter(|api| (0..=*api.versions().end()).contains(&layout.version));
        if let Some(api) = known {
            let header_version = request_header_version(api, layout.version);
            if header_version >= 1 {
                // Not compact in header version 2 either, so that a broker can always read it (KIP-511).
                if let Some(len) = reader.string_len(false)? {
                    let start = reader.position();
                    reader.take(len)?;
                    layout.client_id = Some(start..start + len);
                }
            }
            if header_version >= 2 {
                reader.skip_tagged_fields()?;
            }
        }
        layout.len = reader.position();
        Ok(layout)
    }

    fn header(self, head: Bytes) -> Result<RequestHeader, RequestError> {
        let client_id = self
            .client_id
            .map(|range| StrBytes::from_utf8(head.slice(range)))
            .transpose()
            .map_err(|e| RequestError::Header(format!("client id: {e}")))?;
        Ok(RequestHeader {
            api_key: self.api_key,
            version: self.version,
            correlation_id: self.correlation_id,
            client_id,
        })
    }
}

/// The request header's version (0, 1 or 2) for this API and version.
pub fn request_header_version(api: Api, version: i16) -> i16 {
    api_key(api).request_header_version(version)
}

/// The response header's version (0 or 1). ApiVersions always answers with 0 (KIP-511).
pub fn response_header_version(api: Api, version: i16) -> i16 {
    match api {
        Api::ApiVersions => 0,
        api => api_key(api).response_header_version(version),
    }
}

fn api_key(api: Api) -> ApiKey {
    ApiKey::try_from(api as i16).expect("the table holds keys of the protocol alone")
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::{Encodable, encode_request_header_into_buffer};

    use super::*;

    fn encoded(api: Api, version: i16, client_id: Option<&'static str>) -> BytesMut {
        let header = kafka_protocol::messages::RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(77)
            .with_client_id(client_id.map(StrBytes::from_static_str));
        let mut out = BytesMut::new();
        encode_request_header_into_buffer(&mut out, &header).unwrap();
        out
    }

    #[test]
    fn headers_of_every_api_and_version_read_back() {
        for &api in Api::ALL {
            for version in api.versions() {
                for client_id in [None, Some(""), Some("rdkafka")] {
                    let mut frame = encoded(api, version, client_id);
                    frame.extend_from_slice(b"body");
                    let mut frozen = frame.clone().freeze();
                    let expected = RequestHeader {
                        api_key: api as i16,
                        version,
                        correlation_id: 77,
                        client_id: client_id.map(StrBytes::from_static_str),
                    };
                    assert_eq!(RequestHeader::decode(&mut frozen), Ok(expected.clone()));
                    assert_eq!(&frozen[..], b"body");
                    assert_eq!(RequestHeader::decode_mut(&mut frame), Ok(expected));
                    assert_eq!(&frame[..], b"body");
                }
            }
        }
    }

    #[test]
    fn tagged_fields_of_a_header_are_stepped_over() {
        let header = kafka_protocol::messages::RequestHeader::default()
            .with_request_api_key(3)
            .with_request_api_version(12)
            .with_client_id(Some(StrBytes::from_static_str("c")))
            .with_unknown_tagged_field(7, Bytes::from_static(b"tag"));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, 2).unwrap();
        let read = RequestHeader::decode_mut(&mut frame).unwrap();
        assert_eq!(read.client_id.as_deref(), Some("c"));
        assert!(frame.is_empty());
    }

    #[test]
    fn an_unknown_api_or_version_leaves_all_but_the_fixed_part() {
        for (key, version) in [(9999_i16, 0_i16), (18, 99), (3, -1), (-1, 0)] {
            let mut frame = BytesMut::new();
            frame.extend_from_slice(&key.to_be_bytes());
            frame.extend_from_slice(&version.to_be_bytes());
            frame.extend_from_slice(&5_i32.to_be_bytes());
            frame.extend_from_slice(&[0xff; 3]);
            let header = RequestHeader::decode_mut(&mut frame).unwrap();
            assert_eq!((header.api_key, header.version), (key, version));
            assert_eq!(header.correlation_id, 5);
            assert_eq!(header.client_id, None);
            assert_eq!(frame.len(), 3);
        }
    }

    #[test]
    fn a_header_cut_short_anywhere_is_refused() {
        let whole = encoded(Api::Metadata, 12, Some("client"));
        for len in 0..whole.len() {
            let mut cut = Bytes::copy_from_slice(&whole[..len]);
            let error = RequestHeader::decode(&mut cut).unwrap_err();
            assert!(matches!(error, RequestError::Header(_)), "{len}");
        }
    }

    #[test]
    fn a_client_id_that_is_not_utf8_is_refused() {
        let mut frame = encoded(Api::Metadata, 1, Some("xy"));
        let len = frame.len();
        frame[len - 1] = 0xff;
        assert!(RequestHeader::decode_mut(&mut frame).is_err());
    }

    #[test]
    fn api_versions_answers_with_header_version_0_always() {
        for version in Api::ApiVersions.versions() {
            assert_eq!(response_header_version(Api::ApiVersions, version), 0);
        }
        assert_eq!(response_header_version(Api::Metadata, 12), 1);
        assert_eq!(response_header_version(Api::Metadata, 1), 0);
    }
}
