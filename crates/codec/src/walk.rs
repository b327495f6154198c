//! Walking over the records of a batch that a producer sent, to see that what its header says is so. Unlike
//! [`crate::records`] this copies and keeps nothing, since it is done to every batch.

use std::cell::RefCell;

use crate::batch::{BatchHeader, HEADER_LEN};
use crate::compression::{Compression, decompress_into};
use crate::records::RecordError;
use crate::wire::{Reader, WireError};

/// What a thread keeps for the next compressed batch: producers send up to a megabyte, which seldom inflates to more than this.
const SCRATCH_KEPT: usize = 4 << 20;

thread_local! {
    /// Every compressed batch is inflated, to be looked at and dropped.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is seen of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Whether it has a key.
    pub has_key: bool,
    /// Milliseconds since the epoch, as the producer set it.
    pub timestamp: i64,
}

/// Checks every record of `batch` (header included, `header` being what it parses to) and shows each to `see`. Compressed records
/// may inflate to `limit` bytes. Refused are false counts, deltas that are not 0, 1, 2, ..., lengths that do not fit, and
/// bytes after the last record.
pub fn walk(
    header: &BatchHeader,
    batch: &[u8],
    limit: usize,
    mut see: impl FnMut(Seen),
) -> Result<(), RecordError> {
    let packed = batch.get(HEADER_LEN..header.size).unwrap_or_default();
    match header.compression()? {
        Compression::None => walk_body(header, packed, see),
        codec => SCRATCH.with_borrow_mut(|body| {
            let walked = decompress_into(codec, packed, limit, body)
                .map_err(RecordError::from)
                .and_then(|()| walk_body(header, body, &mut see));
            if body.capacity() > SCRATCH_KEPT {
                *body = Vec::new();
            }
            walked
        }),
    }
}

fn walk_body(
    header: &BatchHeader,
    body: &[u8],
    mut see: impl FnMut(Seen),
) -> Result<(), RecordError> {
    let mut reader = Reader::new(body);
    let count = usize::try_from(header.record_count).unwrap_or(0);
    for index in 0..count {
        let malformed = |reason| RecordError::Malformed { index, reason };
        let seen = record(&mut reader, index, header.base_timestamp).map_err(malformed)?;
        see(seen);
    }
    if reader.remaining() > 0 {
        return Err(RecordError::Malformed {
            index: count,
            reason: "bytes after the last record that the header counts",
        });
    }
    Ok(())
}

fn record(
    reader: &mut Reader<'_>,
    index: usize,
    base_timestamp: i64,
) -> Result<Seen, &'static str> {
    let len = reader.varint().map_err(|_| "length is malformed")?;
    let len = usize::try_from(len).map_err(|_| "length is negative")?;
    let bytes = reader.take(len).map_err(|_| "runs past the batch's end")?;
    let cut_short = |_: WireError| "fields run past its end";
    let mut fields = Reader::new(bytes);
    fields.u8().map_err(cut_short)?; // attributes, unused so far
    let delta = fields.varlong().map_err(cut_short)?;
    let timestamp = base_timestamp
        .checked_add(delta)
        .ok_or("timestamp overflows")?;
    let offset_delta = fields.varint().map_err(cut_short)?;
    if usize::try_from(offset_delta) != Ok(index) {
        return Err("offset deltas are not consecutive");
    }
    let has_key = nullable(&mut fields)?;
    nullable(&mut fields)?;
    let headers = fields.varint().map_err(cut_short)?;
    let headers = usize::try_from(headers).map_err(|_| "header count is negative")?;
    // A header is at least two lengths.
    if headers > fields.remaining() / 2 {
        return Err("more headers than it can hold");
    }
    for _ in 0..headers {
        if !nullable(&mut fields)? {
            return Err("header key is null");
        }
        nullable(&mut fields)?;
    }
    if fields.remaining() > 0 {
        return Err("bytes after its last field");
    }
    Ok(Seen {
        index,
        has_key,
        timestamp,
    })
}

/// Skips bytes with a varint length; false for null (-1).
#[inline]
fn nullable(reader: &mut Reader<'_>) -> Result<bool, &'static str> {
    let len = reader.varint().map_err(|_| "fields run past its end")?;
    if len == -1 {
        return Ok(false);
    }
    let len = usize::try_from(len).map_err(|_| "negative length of a field")?;
    reader.take(len).map_err(|_| "fields run past its end")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::records::{BatchBuilder, Record, RecordHeader};

    fn batch(compression: Compression, keys: &[Option<&'static str>]) -> BytesMut {
        let records: Vec<Record> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| Record {
                offset: i as i64,
                timestamp: 1000 + i as i64,
                key: key.map(|k| Bytes::from_static(k.as_bytes())),
                value: Some(Bytes::from_static(b"value")),
                headers: vec![RecordHeader {
                    key: Bytes::from_static(b"h"),
                    value: None,
                }],
            })
            .collect();
        let builder = BatchBuilder {
            compression,
            ..BatchBuilder::default()
        };
        BytesMut::from(&builder.build(&records)[..])
    }

    fn walked(batch: &[u8]) -> Result<Vec<Seen>, RecordError> {
        let header = BatchHeader::parse(batch)?;
        let mut seen = Vec::new();
        walk(&header, batch, 1 << 20, |s| seen.push(s))?;
        Ok(seen)
    }

    #[test]
    fn every_record_is_seen_whatever_the_codec() {
        for codec in [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let seen = walked(&batch(codec, &[Some("a"), None])).unwrap();
            let keys: Vec<bool> = seen.iter().map(|s| s.has_key).collect();
            let times: Vec<i64> = seen.iter().map(|s| s.timestamp).collect();
            assert_eq!((keys, times), (vec![true, false], vec![1000, 1001]));
        }
    }

    #[test]
    fn a_false_count_is_refused() {
        for codec in [Compression::None, Compression::Lz4] {
            for count in [1, 3] {
                let mut bytes = batch(codec, &[Some("a"), None]);
                bytes[23..27].copy_from_slice(&(count - 1i32).to_be_bytes());
                bytes[57..61].copy_from_slice(&count.to_be_bytes());
                assert!(walked(&bytes).is_err(), "{codec:?} {count}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), codec in 0u8..5, count in 1i32..50) {
            let mut bytes = batch(Compression::None, &[None]);
            bytes.truncate(HEADER_LEN);
            bytes.extend_from_slice(&body);
            let size = bytes.len() as i32 - 12;
            bytes[8..12].copy_from_slice(&size.to_be_bytes());
            bytes[22] = codec;
            bytes[57..61].copy_from_slice(&count.to_be_bytes());
            if let Ok(header) = BatchHeader::parse(&bytes) {
                let _ = walk(&header, &bytes, 1 << 16, |_| ());
            }
        }
    }
}
