//! Answers, decoded within bounds: what [`crate::request`] is to a broker, for clients that do not trust one.
//!
//! The body of every answer is held against its shape before `kafka-protocol` decodes it, which reserves memory for as many
//! elements as an array claims to have.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Message, Request, VersionRange};

use crate::api::{Api, ForRequest};
use crate::shape;
use crate::wire::Reader;

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// There is no shape to hold it against.
    #[error("API key {0} is not known")]
    UnknownApi(i16),
    /// A version that `kafka-protocol` does not know.
    #[error("version {0} is not known")]
    UnknownVersion(i16),
    /// The header is cut short or malformed.
    #[error("malformed header: {0}")]
    Header(String),
    /// The body does not have the shape of its API's version: what is wrong, and where.
    #[error("{0}")]
    Body(String),
}

/// Takes the header of an answer to an `R` of `version` off the front of `frame`; the correlation id. Tagged fields are
/// stepped over, since no header has any yet.
pub fn header<R: Request>(version: i16, frame: &mut Bytes) -> Result<i32, AnswerError> {
    let mut reader = Reader::new(frame);
    let malformed = |e| AnswerError::Header(format!("{e}"));
    let correlation_id = reader.i32().map_err(malformed)?;
    if R::Response::header_version(version) > 0 {
        reader.skip_tagged_fields().map_err(malformed)?;
    }
    let len = reader.position();
    frame.advance(len);
    Ok(correlation_id)
}

/// Decodes the body of an answer to an `R` of `version`. Memory stays within a small multiple of `body.len()`, 4 MiB at
/// least. Bytes after the last field are an error.
pub fn decode<R: Request>(version: i16, mut body: Bytes) -> Result<R::Response, AnswerError> {
    let api = Api::from_key(R::KEY).ok_or(AnswerError::UnknownApi(R::KEY))?;
    let known = <R::Response as Message>::VERSIONS;
    if !known_to(api, known).contains(&version) {
        return Err(AnswerError::UnknownVersion(version));
    }
    shape::check_answer(api, version, &body).map_err(AnswerError::Body)?;
    let coded = version.min(known.max);
    let rewritten = shape::rewrite_answer(api, version, coded, &body);
    if let Some(rewritten) = rewritten.map_err(AnswerError::Body)? {
        body = rewritten.into();
    }
    let response = R::Response::decode(&mut body, coded);
    response.map_err(|e| AnswerError::Body(e.to_string()))
}

/// Decodes the answer to a request of whichever API and drops it: see [`crate::request::check`].
pub fn check(api: Api, version: i16, body: Bytes) -> Result<(), AnswerError> {
    struct Check(i16, Bytes);
    impl ForRequest for Check {
        type Output = Result<(), AnswerError>;
        fn run<R: Request>(self) -> Self::Output {
            decode::<R>(self.0, self.1).map(drop)
        }
    }
    api.with_request(Check(version, body))
}

/// The versions of `api`'s answers that can be decoded, lowest and highest: a client speaks more than the broker has.
pub fn versions(api: Api) -> std::ops::RangeInclusive<i16> {
    struct Versions(Api);
    impl ForRequest for Versions {
        type Output = std::ops::RangeInclusive<i16>;
        fn run<R: Request>(self) -> Self::Output {
            known_to(self.0, <R::Response as Message>::VERSIONS)
        }
    }
    api.with_request(Versions(api))
}

/// Those of `kafka-protocol`, and those above that have a shape.
fn known_to(api: Api, known: VersionRange) -> std::ops::RangeInclusive<i16> {
    known.min..=known.max.max(*api.versions().end())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsRequest, HeartbeatRequest, VoteRequest};

    use super::*;

    #[test]
    fn a_header_is_taken_off_with_the_tagged_fields_of_flexible_versions() {
        let mut frame = Bytes::from_static(&[0, 0, 0, 7, 1, 5, 2, b'x', b'y', 9]);
        assert_eq!(header::<HeartbeatRequest>(4, &mut frame), Ok(7));
        assert_eq!(frame, [9][..]);
        // ApiVersions has none, so that any client can read it (KIP-511).
        let mut frame = Bytes::from_static(&[0, 0, 0, 7, 1]);
        assert_eq!(header::<ApiVersionsRequest>(3, &mut frame), Ok(7));
        assert_eq!(frame, [1][..]);
    }

    #[test]
    fn a_header_cut_short_or_with_tags_beyond_the_frame_is_refused() {
        for bytes in [&[0, 0, 0][..], &[0, 0, 0, 7], &[0, 0, 0, 7, 1, 5, 2, b'x']] {
            let mut frame = Bytes::from_static(bytes);
            let refused = header::<HeartbeatRequest>(4, &mut frame);
            assert!(matches!(refused, Err(AnswerError::Header(_))), "{bytes:?}");
        }
    }

    #[test]
    fn what_has_no_shape_is_refused() {
        let body = Bytes::from_static(&[0; 100]);
        let unknown = decode::<VoteRequest>(0, body.clone());
        assert_eq!(unknown, Err(AnswerError::UnknownApi(VoteRequest::KEY)));
        let unknown = decode::<HeartbeatRequest>(99, body);
        assert_eq!(unknown, Err(AnswerError::UnknownVersion(99)));
    }
}
