//! Produce requests on the hot path: decoded by hand over the frame, so that the batches stay in place and can be patched there.

use bytes::BytesMut;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::request::RequestError;

/// A produce request whose record batches are still in their frame.
#[derive(Debug)]
pub struct ProduceRequest {
    /// Set by transactional producers.
    pub transactional_id: Option<StrBytes>,
    /// -1 (all), 0 (no answer), 1; anything else is INVALID_REQUIRED_ACKS.
    pub acks: i16,
    /// How long the producer waits, milliseconds.
    pub timeout_ms: i32,
    /// The topics in the order of the request.
    pub topics: Vec<ProduceTopic>,
}

/// One topic of a produce request.
#[derive(Debug)]
pub struct ProduceTopic {
    /// The name, up to version 12; empty from 13.
    pub name: StrBytes,
    /// The id, from version 13; nil before.
    pub topic_id: Uuid,
    /// The partitions in the order of the request.
    pub partitions: Vec<ProducePartition>,
}

/// One partition of a produce request.
#[derive(Debug)]
pub struct ProducePartition {
    /// The partition's index.
    pub index: i32,
    /// Zero or more record batches, not yet checked. A null is `None`.
    ///
    /// For a frame in an allocation of its own these are parts of the frame, not copies.
    pub records: Option<BytesMut>,
}

/// Decodes a produce request of versions 3 to 13 from `body` (the frame after the request header).
pub fn decode(_version: i16, _body: BytesMut) -> Result<ProduceRequest, RequestError> {
    todo!()
}
