//! Control batches: the markers that end a transaction in a partition (KIP-98).
//!
//! Key: version i16, type i16 (0 abort, 1 commit). Value: version i16, coordinator epoch i32.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::BatchHeader;
use crate::records::{BatchBuilder, Record, iterate};

/// A marker's batch is not compressed; this is more than one has.
const MAX_BODY: usize = 1 << 10;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Outcome {
    Commit,
    Abort,
}

/// The batch of a marker.
pub fn marker(producer_id: i64, producer_epoch: i16, outcome: Outcome, now_ms: i64) -> BytesMut {
    let mut key = BytesMut::with_capacity(4);
    key.put_i16(0);
    key.put_i16(i16::from(outcome == Outcome::Commit));
    let mut value = BytesMut::with_capacity(6);
    value.put_i16(0);
    value.put_i32(0);
    let builder = BatchBuilder {
        producer_id,
        producer_epoch,
        transactional: true,
        control: true,
        ..BatchBuilder::default()
    };
    let record = Record {
        offset: 0,
        timestamp: now_ms,
        key: Some(key.freeze()),
        value: Some(value.freeze()),
        headers: Vec::new(),
    };
    BytesMut::from(&builder.build(&[record])[..])
}

/// What the control batch at the front of `bytes` says of its producer's transaction; `None` if it is no marker.
pub fn outcome(header: &BatchHeader, bytes: &[u8]) -> Option<Outcome> {
    if !header.is_control() || header.size > MAX_BODY {
        return None;
    }
    let batch = Bytes::copy_from_slice(bytes.get(..header.size)?);
    let record = iterate(batch, MAX_BODY).ok()?.next()?.ok()?;
    match record.key?.get(2..4)? {
        [0, 0] => Some(Outcome::Abort),
        [0, 1] => Some(Outcome::Commit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::check_crc;

    #[test]
    fn a_marker_says_how_its_transaction_ends() {
        for end in [Outcome::Commit, Outcome::Abort] {
            let batch = marker(7, 3, end, 1_000);
            let header = BatchHeader::parse(&batch).expect("a batch");
            assert_eq!((check_crc(&batch), header.size), (Ok(()), batch.len()));
            assert!(header.is_transactional() && header.is_control());
            assert_eq!((header.producer_id, header.producer_epoch), (7, 3));
            assert_eq!((header.base_sequence, header.last_offset_delta), (-1, 0));
            assert_eq!(outcome(&header, &batch), Some(end));
        }
    }

    #[test]
    fn kafka_protocol_reads_a_marker() {
        use kafka_protocol::records::RecordBatchDecoder;
        let mut batch = marker(7, 3, Outcome::Commit, 1_000).freeze();
        let set = RecordBatchDecoder::decode(&mut batch).expect("a batch");
        let record = &set.records[0];
        assert!(record.control && record.transactional);
        assert_eq!(record.key.as_deref(), Some(&[0, 0, 0, 1][..]));
        assert_eq!(record.value.as_deref(), Some(&[0, 0, 0, 0, 0, 0][..]));
    }

    #[test]
    fn what_is_no_marker_says_nothing() {
        let record = Record {
            offset: 0,
            timestamp: 0,
            key: Some(Bytes::from_static(&[0, 0, 0, 1])),
            value: None,
            headers: Vec::new(),
        };
        let data = BatchBuilder::default().build(std::slice::from_ref(&record));
        let header = BatchHeader::parse(&data).expect("a batch");
        assert_eq!(outcome(&header, &data), None);
        let control = BatchBuilder {
            control: true,
            ..BatchBuilder::default()
        };
        for key in [None, Some(&[][..]), Some(&[0, 0, 0, 9][..])] {
            let key = key.map(Bytes::copy_from_slice);
            let batch = control.build(&[Record {
                key,
                ..record.clone()
            }]);
            let header = BatchHeader::parse(&batch).expect("a batch");
            assert_eq!(outcome(&header, &batch), None);
            assert_eq!(outcome(&header, &batch[..70.min(batch.len())]), None);
        }
    }
}
