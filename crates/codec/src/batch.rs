//! Record batches of format v2 (KIP-98), seen in place.
//!
//! ```text
//!  0 base offset i64        | 8 length i32 (after this field) | 12 partition leader epoch i32 | 16 magic i8
//! 17 CRC32C u32 (of 21..)   | 21 attributes i16               | 23 last offset delta i32
//! 27 base timestamp i64     | 35 max timestamp i64            | 43 producer id i64
//! 51 producer epoch i16     | 53 base sequence i32            | 57 record count i32           | 61 records
//! ```

use crate::compression::Compression;

/// The bytes before the first record.
pub const HEADER_LEN: usize = 61;
/// The bytes of base offset and length.
pub const LOG_OVERHEAD: usize = 12;

/// How a batch's timestamps came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker when it appended.
    LogAppendTime,
}

/// A batch's header. `size` is the whole batch's length in bytes, base offset and length fields included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BatchHeader {
    pub base_offset: i64,
    pub size: usize,
    pub leader_epoch: i32,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads a header off the front of `bytes` and checks what can be seen without the body: magic, length, counts, deltas.
    pub fn parse(_bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        todo!()
    }
    /// The codec.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        todo!()
    }
    /// The timestamp type (attribute bit 3).
    pub fn timestamp_type(&self) -> TimestampType {
        todo!()
    }
    /// Attribute bit 4.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }
    /// Attribute bit 5.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
    /// The last record's offset.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }
    /// The offset after the last record's.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }
    /// The last record's sequence, wrapping from `i32::MAX` to 0 as producers do.
    pub fn last_sequence(&self) -> i32 {
        todo!()
    }
    /// Whether a producer id is set (idempotent or transactional).
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }
}

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BatchError {
    #[error("batch is cut short: {have} of {need} bytes")]
    Truncated { have: usize, need: usize },
    #[error("batch length {0} is impossible")]
    BadLength(i32),
    #[error("magic {0} is not supported: only record batches of format v2 are")]
    UnsupportedMagic(i8),
    #[error("CRC is {actual:#010x}, the batch says {stored:#010x}")]
    BadCrc { stored: u32, actual: u32 },
    #[error("unknown compression codec {0}")]
    UnknownCompression(u8),
    #[error("{0}")]
    Invalid(&'static str),
}

/// Checks a run of whole batches as a producer sent them: every header field and every CRC, nothing after the last batch.
/// Compressed bodies are not opened. Returns the headers; an empty input gives an empty list.
pub fn check_all(_bytes: &[u8]) -> Result<Vec<BatchHeader>, BatchError> {
    todo!()
}

/// Checks the CRC of the one batch at the front of `bytes`.
pub fn check_crc(_bytes: &[u8]) -> Result<(), BatchError> {
    todo!()
}

/// Writes base offset and leader epoch; both are outside the CRC. `batch` starts at the batch.
pub fn set_offset_and_epoch(_batch: &mut [u8], _base_offset: i64, _leader_epoch: i32) {
    todo!()
}

/// Makes the batch LogAppendTime: attribute bit 3, the maximum timestamp, and the CRC anew.
pub fn set_log_append_time(_batch: &mut [u8], _now_ms: i64) {
    todo!()
}
