//! The records inside a batch: iteration with bounded decompression, and building batches (for clients, tests, dead letters).

use bytes::Bytes;

use crate::batch::{BatchError, BatchHeader, TimestampType};
use crate::compression::{Compression, CompressionError};

/// A header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// UTF-8 in principle; kept as it came.
    pub key: Bytes,
    /// May be null.
    pub value: Option<Bytes>,
}

/// A record with its absolute offset and timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// May be null.
    pub key: Option<Bytes>,
    /// May be null (a tombstone).
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

/// Why a batch's records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RecordError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Compression(#[from] CompressionError),
    #[error("record {index} of the batch: {reason}")]
    Malformed { index: usize, reason: &'static str },
}

/// Iterates over the records of the one batch in `batch` (header included), whose compressed body may inflate to `limit` bytes.
/// After an error the iterator ends. A count in the header that differs from the records found is an error.
pub fn iterate(_batch: Bytes, _limit: usize) -> Result<Records, RecordError> {
    todo!()
}

/// An iterator over records.
#[derive(Debug)]
pub struct Records {
    #[allow(dead_code)]
    header: BatchHeader,
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

/// Builds one batch. Offsets are the given records' own; the first is the base offset.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct BatchBuilder {
    pub compression: Compression,
    pub timestamp_type: TimestampType,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub leader_epoch: i32,
    pub transactional: bool,
    pub control: bool,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder {
            compression: Compression::None,
            timestamp_type: TimestampType::CreateTime,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            leader_epoch: -1,
            transactional: false,
            control: false,
        }
    }
}

impl BatchBuilder {
    /// The batch's bytes, CRC included. `records` is not empty.
    pub fn build(&self, _records: &[Record]) -> Bytes {
        todo!()
    }
}
