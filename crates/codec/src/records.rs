//! The records inside a batch: iteration with bounded decompression, and building batches (for clients, tests, dead letters).

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::{self, BatchError, BatchHeader, HEADER_LEN, LOG_OVERHEAD, TimestampType};
use crate::compression::{Compression, CompressionError, compress, decompress};
use crate::wire::{Reader, WireError, put_varlong};

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
///
/// Keys and values of an uncompressed batch are parts of `batch`, not copies. The CRC is not checked again
/// (see [`batch::check_crc`]). Control batches give their records like others.
pub fn iterate(batch: Bytes, limit: usize) -> Result<Records, RecordError> {
    let header = BatchHeader::parse(&batch)?;
    if batch.len() < header.size {
        return Err(RecordError::Batch(BatchError::Truncated {
            have: batch.len(),
            need: header.size,
        }));
    }
    if batch.len() > header.size {
        return Err(RecordError::Batch(BatchError::Invalid(
            "bytes after the batch",
        )));
    }
    let body = match header.compression()? {
        Compression::None => batch.slice(HEADER_LEN..),
        codec => Bytes::from(decompress(codec, &batch[HEADER_LEN..], limit)?),
    };
    Ok(Records {
        header,
        body,
        position: 0,
        index: 0,
        last_delta: None,
        failed: false,
    })
}

/// An iterator over records.
#[derive(Debug, Clone)]
pub struct Records {
    header: BatchHeader,
    /// The records, decompressed.
    body: Bytes,
    position: usize,
    index: usize,
    last_delta: Option<i32>,
    failed: bool,
}

impl Records {
    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn read_next(&mut self) -> Result<Record, &'static str> {
        let mut reader = Reader::new(&self.body[self.position..]);
        let len = reader.varint().map_err(|_| "length is malformed")?;
        let len = usize::try_from(len).map_err(|_| "length is negative")?;
        let start = self.position + reader.position();
        reader.take(len).map_err(|_| "runs past the batch's end")?;
        let end = start + len;

        let fields = Fields::read(&self.body, start, end)?;
        if self
            .last_delta
            .is_some_and(|last| fields.offset_delta <= last)
        {
            return Err("offset deltas do not increase");
        }
        if !(0..=self.header.last_offset_delta).contains(&fields.offset_delta) {
            return Err("offset delta is outside the batch");
        }
        let timestamp = match self.header.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => self
                .header
                .base_timestamp
                .checked_add(fields.timestamp_delta)
                .ok_or("timestamp overflows")?,
        };
        self.position = end;
        self.last_delta = Some(fields.offset_delta);
        Ok(Record {
            offset: self.header.base_offset + i64::from(fields.offset_delta),
            timestamp,
            key: fields.key,
            value: fields.value,
            headers: fields.headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let index = self.index;
        let read = if index < self.header.record_count as usize {
            self.read_next()
        } else if self.position < self.body.len() {
            Err("bytes after the last record that the header counts")
        } else {
            return None;
        };
        self.index += 1;
        self.failed = read.is_err();
        Some(read.map_err(|reason| RecordError::Malformed { index, reason }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // What the header claims is an upper bound only; there may also be an error after the last record.
        let left = (self.header.record_count as usize).saturating_sub(self.index);
        (0, Some(left + 1))
    }
}

impl std::iter::FusedIterator for Records {}

/// A record's own fields, relative to its batch.
struct Fields {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<RecordHeader>,
}

impl Fields {
    /// Reads the record between `start` and `end` of `body`, its length field left behind.
    fn read(body: &Bytes, start: usize, end: usize) -> Result<Fields, &'static str> {
        let cut_short = |_: WireError| "fields run past its end";
        let mut reader = Reader::new(&body[start..end]);
        reader.u8().map_err(cut_short)?; // attributes, unused so far
        let timestamp_delta = reader.varlong().map_err(cut_short)?;
        let offset_delta = reader.varint().map_err(cut_short)?;
        let key = nullable(body, start, &mut reader)?;
        let value = nullable(body, start, &mut reader)?;
        let count = reader.varint().map_err(cut_short)?;
        let count = usize::try_from(count).map_err(|_| "header count is negative")?;
        // A header is at least two lengths.
        if count > reader.remaining() / 2 {
            return Err("more headers than it can hold");
        }
        // Not reserved by the count: a header in memory is many times its smallest form.
        let mut headers = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            let key = nullable(body, start, &mut reader)?.ok_or("header key is null")?;
            let value = nullable(body, start, &mut reader)?;
            headers.push(RecordHeader { key, value });
        }
        if reader.remaining() > 0 {
            return Err("bytes after its last field");
        }
        Ok(Fields {
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers,
        })
    }
}

/// Bytes with a varint length, -1 for null; `start` is where `reader` began in `body`.
fn nullable(
    body: &Bytes,
    start: usize,
    reader: &mut Reader<'_>,
) -> Result<Option<Bytes>, &'static str> {
    let len = reader.varint().map_err(|_| "fields run past its end")?;
    if len == -1 {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(|_| "negative length of a field")?;
    let at = start + reader.position();
    reader.take(len).map_err(|_| "fields run past its end")?;
    Ok(Some(body.slice(at..at + len)))
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
    ///
    /// # Panics
    /// If `records` is empty, its offsets do not increase or span more than an i32, or the batch would be longer than
    /// `i32::MAX` bytes.
    pub fn build(&self, records: &[Record]) -> Bytes {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            panic!("a batch holds at least one record");
        };
        self.build_spanning(first.offset, last.offset, records)
    }

    /// As [`BatchBuilder::build`], for a batch that spans offsets from `base_offset` to `last_offset`, records or not.
    ///
    /// # Panics
    /// As [`BatchBuilder::build`], and if the records' offsets are not in the span.
    pub fn build_spanning(&self, base_offset: i64, last_offset: i64, records: &[Record]) -> Bytes {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            panic!("a batch holds at least one record");
        };
        assert!(
            base_offset <= first.offset && last.offset <= last_offset,
            "a batch spans its records"
        );
        assert!(
            records.is_sorted_by(|a, b| a.offset < b.offset),
            "offsets increase within a batch"
        );
        let last_delta = i32::try_from(last_offset - base_offset)
            .expect("a batch spans at most i32::MAX offsets");
        let max_timestamp = records.iter().map(|r| r.timestamp).max().unwrap_or(-1);

        let mut out = BytesMut::zeroed(HEADER_LEN);
        if self.compression == Compression::None {
            put_records(&mut out, base_offset, first.timestamp, records);
        } else {
            let mut body = Vec::new();
            put_records(&mut body, base_offset, first.timestamp, records);
            out.extend_from_slice(&compress(self.compression, &body));
        }
        let length = i32::try_from(out.len() - LOG_OVERHEAD)
            .expect("a batch is at most i32::MAX bytes long");

        let mut header = &mut out[..HEADER_LEN];
        header.put_i64(base_offset);
        header.put_i32(length);
        header.put_i32(self.leader_epoch);
        header.put_i8(2);
        header.put_u32(0); // the CRC, below
        header.put_i16(self.attributes());
        header.put_i32(last_delta);
        header.put_i64(first.timestamp);
        header.put_i64(max_timestamp);
        header.put_i64(self.producer_id);
        header.put_i16(self.producer_epoch);
        header.put_i32(self.base_sequence);
        header.put_i32(records.len() as i32);
        batch::seal(&mut out);
        out.freeze()
    }

    fn attributes(&self) -> i16 {
        self.compression as i16
            | i16::from(self.timestamp_type == TimestampType::LogAppendTime) << 3
            | i16::from(self.transactional) << 4
            | i16::from(self.control) << 5
    }
}

fn put_records(out: &mut impl BufMut, base_offset: i64, base_timestamp: i64, records: &[Record]) {
    let mut scratch = Vec::new();
    for record in records {
        scratch.clear();
        scratch.put_u8(0); // attributes
        put_varlong(&mut scratch, record.timestamp.wrapping_sub(base_timestamp));
        put_varlong(&mut scratch, record.offset - base_offset);
        put_nullable(&mut scratch, record.key.as_deref());
        put_nullable(&mut scratch, record.value.as_deref());
        put_varlong(&mut scratch, record.headers.len() as i64);
        for header in &record.headers {
            put_nullable(&mut scratch, Some(&header.key));
            put_nullable(&mut scratch, header.value.as_deref());
        }
        put_varlong(out, scratch.len() as i64);
        out.put_slice(&scratch);
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.put_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
