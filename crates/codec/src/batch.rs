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

const LENGTH: usize = 8;
const LEADER_EPOCH: usize = 12;
const MAGIC: usize = 16;
const CRC: usize = 17;
/// The CRC covers everything from here on.
const ATTRIBUTES: usize = 21;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const RECORD_COUNT: usize = 57;

const LOG_APPEND_TIME_BIT: i16 = 0x08;
const DELETE_HORIZON_BIT: i16 = 0x40;
/// A record is at least its length, attributes, two deltas, two null lengths and a header count of a byte each.
const MIN_RECORD_LEN: usize = 7;

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
    /// The body need not be there. Batches that compaction thinned out (fewer records than offsets) pass.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if let Some(&magic) = bytes.get(MAGIC)
            && magic != 2
        {
            return Err(BatchError::UnsupportedMagic(magic as i8));
        }
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(BatchError::Truncated {
                have: bytes.len(),
                need: HEADER_LEN,
            })?;
        let length = i32_at(header, LENGTH);
        let size = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LOG_OVERHEAD))
            .filter(|&size| size >= HEADER_LEN)
            .ok_or(BatchError::BadLength(length))?;
        let header = BatchHeader {
            base_offset: i64_at(header, 0),
            size,
            leader_epoch: i32_at(header, LEADER_EPOCH),
            crc: i32_at(header, CRC) as u32,
            attributes: i16_at(header, ATTRIBUTES),
            last_offset_delta: i32_at(header, 23),
            base_timestamp: i64_at(header, BASE_TIMESTAMP),
            max_timestamp: i64_at(header, MAX_TIMESTAMP),
            producer_id: i64_at(header, 43),
            producer_epoch: i16_at(header, 51),
            base_sequence: i32_at(header, 53),
            record_count: i32_at(header, RECORD_COUNT),
        };
        if header.base_offset < 0 {
            return Err(BatchError::Invalid("base offset is negative"));
        }
        if header.last_offset_delta < 0 {
            return Err(BatchError::Invalid("last offset delta is negative"));
        }
        // `next_offset` must not overflow either.
        if header.base_offset >= i64::MAX - i64::from(header.last_offset_delta) {
            return Err(BatchError::Invalid("offsets overflow"));
        }
        if header.record_count < 0 {
            return Err(BatchError::Invalid("record count is negative"));
        }
        if i64::from(header.record_count) > i64::from(header.last_offset_delta) + 1 {
            return Err(BatchError::Invalid("more records than offsets"));
        }
        Ok(header)
    }
    /// The codec (attribute bits 0 to 2).
    pub fn compression(&self) -> Result<Compression, BatchError> {
        match self.attributes & 0x07 {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            unknown => Err(BatchError::UnknownCompression(unknown as u8)),
        }
    }
    /// The timestamp type (attribute bit 3).
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }
    /// Attribute bit 4.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }
    /// Attribute bit 5.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
    /// When compaction may remove the batch's tombstones, or the marker that it is, milliseconds since the epoch (attribute bit
    /// 6, KIP-534). The records' timestamps are relative to it then.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }
    /// The last record's offset.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }
    /// The offset after the last record's.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }
    /// The last record's sequence, wrapping from `i32::MAX` to 0 as producers do; -1 without a base sequence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        (i64::from(self.base_sequence) + i64::from(self.last_offset_delta)).rem_euclid(1_i64 << 31)
            as i32
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
///
/// That a produce request holds exactly one batch per partition, and what base offset it has, is for the caller to ask.
pub fn check_all(bytes: &[u8]) -> Result<Vec<BatchHeader>, BatchError> {
    checked(bytes).collect()
}

/// What [`check_all`] does, one batch after the other and without allocating.
/// After an error the iterator ends.
pub fn checked(bytes: &[u8]) -> Checked<'_> {
    Checked { rest: bytes }
}

/// An iterator over the checked batches of a run.
#[derive(Debug, Clone)]
pub struct Checked<'a> {
    rest: &'a [u8],
}

impl Iterator for Checked<'_> {
    type Item = Result<BatchHeader, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let checked = check_first(self.rest);
        self.rest = match &checked {
            Ok(header) => &self.rest[header.size..],
            Err(_) => &[],
        };
        Some(checked)
    }
}

/// Checks the batch at the front of `bytes` by the rules for producers.
fn check_first(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let batch = whole(&header, bytes)?;
    verify_crc(&header, batch)?;
    let compression = header.compression()?;
    if header.is_control() {
        return Err(BatchError::Invalid("clients may not write control records"));
    }
    if i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
        return Err(BatchError::Invalid(
            "record count and last offset delta disagree",
        ));
    }
    if header.has_producer_id() {
        if header.base_sequence < 0 {
            return Err(BatchError::Invalid("producer id without a base sequence"));
        }
        if header.producer_epoch < 0 {
            return Err(BatchError::Invalid("producer id without a producer epoch"));
        }
    } else if header.is_transactional() {
        return Err(BatchError::Invalid("transactional without a producer id"));
    }
    let body = batch.len() - HEADER_LEN;
    if compression == Compression::None && header.record_count as usize > body / MIN_RECORD_LEN {
        return Err(BatchError::Invalid("more records than the body can hold"));
    }
    Ok(header)
}

/// Checks the CRC of the one batch at the front of `bytes`.
pub fn check_crc(bytes: &[u8]) -> Result<(), BatchError> {
    let header = BatchHeader::parse(bytes)?;
    verify_crc(&header, whole(&header, bytes)?)
}

fn whole<'a>(header: &BatchHeader, bytes: &'a [u8]) -> Result<&'a [u8], BatchError> {
    bytes.get(..header.size).ok_or(BatchError::Truncated {
        have: bytes.len(),
        need: header.size,
    })
}

fn verify_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let actual = crc32c::crc32c(&batch[ATTRIBUTES..]);
    if actual == header.crc {
        Ok(())
    } else {
        Err(BatchError::BadCrc {
            stored: header.crc,
            actual,
        })
    }
}

/// Writes base offset and leader epoch; both are outside the CRC. `batch` starts at the batch.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn set_offset_and_epoch(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    batch[..LENGTH].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH..MAGIC].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Makes the batch LogAppendTime: attribute bit 3, the maximum timestamp, and the CRC anew.
/// `batch` starts at a batch that was checked; what follows the batch stays as it is.
///
/// # Panics
/// If `batch` is shorter than its length field says.
pub fn set_log_append_time(batch: &mut [u8], now_ms: i64) {
    let size = LOG_OVERHEAD + i32_at(batch, LENGTH) as usize;
    let attributes = i16_at(batch, ATTRIBUTES) | LOG_APPEND_TIME_BIT;
    batch[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&now_ms.to_be_bytes());
    seal(&mut batch[..size]);
}

/// What a batch's header says after its records were written anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thinned {
    pub max_timestamp: i64,
    pub record_count: i32,
    /// One to set; what there is stays without.
    pub delete_horizon: Option<i64>,
}

/// Writes length, the fields of `thinned` and the CRC into `batch`, which is exactly one batch, its header as it was.
pub(crate) fn reseal(batch: &mut [u8], thinned: Thinned) -> Result<(), BatchError> {
    let length = i32::try_from(batch.len() - LOG_OVERHEAD)
        .map_err(|_| BatchError::Invalid("longer than a batch can be"))?;
    batch[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    if let Some(horizon) = thinned.delete_horizon {
        let attributes = i16_at(batch, ATTRIBUTES) | DELETE_HORIZON_BIT;
        batch[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
        batch[BASE_TIMESTAMP..MAX_TIMESTAMP].copy_from_slice(&horizon.to_be_bytes());
    }
    batch[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&thinned.max_timestamp.to_be_bytes());
    batch[RECORD_COUNT..HEADER_LEN].copy_from_slice(&thinned.record_count.to_be_bytes());
    seal(batch);
    Ok(())
}

/// Writes the CRC of `batch`, which is exactly one batch.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

#[inline]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[inline]
fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array_at(bytes, at))
}

#[inline]
fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at))
}

#[inline]
fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A batch of `count` empty records.
    fn batch(count: i32) -> Vec<u8> {
        let record = [12, 0, 0, 0, 1, 1, 0];
        let mut bytes = vec![0; HEADER_LEN];
        bytes[LEADER_EPOCH..MAGIC].copy_from_slice(&(-1_i32).to_be_bytes());
        bytes[MAGIC] = 2;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[43..57].fill(0xff);
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        for delta in 0..count {
            let mut record = record;
            record[3] = delta as u8 * 2;
            bytes.extend_from_slice(&record);
        }
        let length = (bytes.len() - LOG_OVERHEAD) as i32;
        bytes[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
        seal(&mut bytes);
        bytes
    }

    /// `batch(3)` with the bytes at `at` replaced, and a right CRC.
    fn patched(at: usize, with: &[u8]) -> Vec<u8> {
        let mut bytes = batch(3);
        bytes[at..at + with.len()].copy_from_slice(with);
        seal(&mut bytes);
        bytes
    }

    #[test]
    fn a_run_of_batches_gives_their_headers() {
        let mut bytes = batch(3);
        bytes.extend_from_slice(&batch(1));
        let headers = check_all(&bytes).unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[0].record_count, 3);
        assert_eq!(headers[0].size + headers[1].size, bytes.len());
        assert_eq!(headers[0].compression(), Ok(Compression::None));
        assert_eq!(headers[0].timestamp_type(), TimestampType::CreateTime);
        assert!(!headers[0].has_producer_id());
        assert_eq!(check_all(&[]), Ok(vec![]));
    }

    #[test]
    fn offset_and_epoch_are_outside_the_crc() {
        let mut bytes = batch(3);
        set_offset_and_epoch(&mut bytes, 1_000_000, 7);
        let header = check_all(&bytes).unwrap()[0];
        assert_eq!((header.base_offset, header.leader_epoch), (1_000_000, 7));
        assert_eq!(header.last_offset(), 1_000_002);
        assert_eq!(header.next_offset(), 1_000_003);
    }

    #[test]
    fn log_append_time_is_set_with_a_new_crc_and_leaves_the_next_batch() {
        let mut bytes = batch(3);
        let size = bytes.len();
        bytes.extend_from_slice(&batch(2));
        set_log_append_time(&mut bytes, 1234);
        let headers = check_all(&bytes).unwrap();
        assert_eq!(headers[0].timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(headers[0].max_timestamp, 1234);
        assert_eq!(bytes[size..], batch(2));
    }

    #[test]
    fn every_flipped_bit_after_the_crc_is_seen() {
        let bytes = batch(2);
        for at in CRC..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(check_all(&flipped).is_err(), "byte {at} bit {bit}");
            }
        }
        assert_eq!(check_crc(&bytes), Ok(()));
    }

    #[test]
    fn a_batch_cut_short_anywhere_is_refused() {
        let bytes = batch(2);
        for len in 1..bytes.len() {
            assert!(
                matches!(check_all(&bytes[..len]), Err(BatchError::Truncated { .. })),
                "{len}"
            );
        }
        let mut with_tail = bytes.clone();
        with_tail.push(0);
        assert_eq!(
            check_all(&with_tail),
            Err(BatchError::Truncated {
                have: 1,
                need: HEADER_LEN
            })
        );
    }

    #[test]
    fn impossible_header_fields_are_refused_by_name() {
        let cases: &[(usize, &[u8], BatchError)] = &[
            (0, &[0xff], BatchError::Invalid("base offset is negative")),
            (
                0,
                &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe],
                BatchError::Invalid("offsets overflow"),
            ),
            (MAGIC, &[1], BatchError::UnsupportedMagic(1)),
            (ATTRIBUTES + 1, &[5], BatchError::UnknownCompression(5)),
            (
                ATTRIBUTES + 1,
                &[0x20],
                BatchError::Invalid("clients may not write control records"),
            ),
            (
                ATTRIBUTES + 1,
                &[0x10],
                BatchError::Invalid("transactional without a producer id"),
            ),
            (
                23,
                &[0x80, 0, 0, 0],
                BatchError::Invalid("last offset delta is negative"),
            ),
            (
                23,
                &[0, 0, 0, 3],
                BatchError::Invalid("record count and last offset delta disagree"),
            ),
            (
                43,
                &[0; 8],
                BatchError::Invalid("producer id without a base sequence"),
            ),
            (
                57,
                &[0xff; 4],
                BatchError::Invalid("record count is negative"),
            ),
            (
                57,
                &[0, 0, 0, 4],
                BatchError::Invalid("more records than offsets"),
            ),
        ];
        for (at, with, error) in cases {
            assert_eq!(
                check_all(&patched(*at, with)),
                Err(error.clone()),
                "at {at}"
            );
        }
        let mut many = patched(23, &(i32::MAX - 1).to_be_bytes());
        many[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        seal(&mut many);
        assert_eq!(
            check_all(&many),
            Err(BatchError::Invalid("more records than the body can hold"))
        );
    }

    #[test]
    fn lengths_below_a_header_are_refused() {
        for length in [i32::MIN, -1, 0, 48] {
            let mut bytes = batch(1);
            bytes[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
            assert_eq!(check_all(&bytes), Err(BatchError::BadLength(length)));
        }
    }

    #[test]
    fn the_last_sequence_wraps_to_zero() {
        let mut header = BatchHeader::parse(&batch(3)).unwrap();
        assert_eq!(header.last_sequence(), -1);
        header.base_sequence = i32::MAX - 1;
        assert_eq!(header.last_sequence(), 0);
        header.base_sequence = i32::MAX - 2;
        assert_eq!(header.last_sequence(), i32::MAX);
        header.base_sequence = 0;
        assert_eq!(header.last_sequence(), 2);
    }

    #[test]
    fn a_batch_thinned_out_by_compaction_parses() {
        let mut bytes = batch(1);
        bytes[23..27].copy_from_slice(&9_i32.to_be_bytes());
        let header = BatchHeader::parse(&bytes[..HEADER_LEN]).unwrap();
        assert_eq!((header.record_count, header.next_offset()), (1, 10));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), real in any::<bool>()) {
            if real && bytes.len() > MAGIC {
                bytes[MAGIC] = 2;
                bytes[..LENGTH].fill(0);
                bytes[LENGTH..LENGTH + 3].fill(0);
            }
            let _ = check_all(&bytes);
            let _ = check_crc(&bytes);
            if let Ok(header) = BatchHeader::parse(&bytes) {
                header.next_offset();
                header.last_sequence();
            }
        }
    }
}
