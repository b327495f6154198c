//! Fetch responses on the hot path: headers are encoded by hand and record batches are put between them as chunks, untouched.

use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::response::{Chunk, ResponseBuf};

/// A fetch response whose records are chunks.
#[derive(Debug)]
pub struct FetchResponse<F> {
    /// Milliseconds that the client should wait; 0 without quotas.
    pub throttle_time_ms: i32,
    /// The top-level error code (sessions), 0 for none.
    pub error_code: i16,
    /// The fetch session's id, 0 for none.
    pub session_id: i32,
    /// The topics.
    pub topics: Vec<FetchTopic<F>>,
}

/// One topic of a fetch response.
#[derive(Debug)]
pub struct FetchTopic<F> {
    /// The name, up to version 12.
    pub name: StrBytes,
    /// The id, from version 13.
    pub topic_id: Uuid,
    /// The partitions.
    pub partitions: Vec<FetchPartition<F>>,
}

/// One partition of a fetch response.
#[derive(Debug)]
pub struct FetchPartition<F> {
    /// The partition's index.
    pub index: i32,
    /// The error code, 0 for none.
    pub error_code: i16,
    /// The high watermark, -1 when unknown.
    pub high_watermark: i64,
    /// The last stable offset, -1 when unknown.
    pub last_stable_offset: i64,
    /// The log's start offset, -1 when unknown.
    pub log_start_offset: i64,
    /// Aborted transactions (producer id, first offset); `None` for read_uncommitted.
    pub aborted_transactions: Option<Vec<(i64, i64)>>,
    /// The preferred read replica; always -1 here.
    pub preferred_read_replica: i32,
    /// Whole record batches.
    pub records: Vec<Chunk<F>>,
}

/// Encodes a response of versions 4 to 18, its length and header included.
pub fn encode<F>(
    _version: i16,
    _correlation_id: i32,
    _response: FetchResponse<F>,
) -> ResponseBuf<F> {
    todo!()
}
