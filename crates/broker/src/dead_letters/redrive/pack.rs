//! Records into batches that the target takes.

use bytes::Bytes;
use ottla_codec::compression::Compression;
use ottla_codec::records::{BatchBuilder, Record};

/// A batch, or a record that is too large for one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    /// The bytes, and the records in it.
    Batch(Bytes, usize),
    /// The bytes of the batch of it alone.
    TooLarge(u64),
}

/// Packs `records`, in their order, into as few batches of at most `limit` bytes as halving gives.
///
/// Records that came compressed are compressed again, and one that is too large is tried with gzip, which every client reads: it may
/// have fit into its topic only so.
pub(crate) fn pack(records: &[Record], codec: Compression, limit: usize) -> Vec<Packed> {
    let mut packed = Vec::new();
    if !records.is_empty() {
        pack_into(records, codec, limit, &mut packed);
    }
    packed
}

fn pack_into(records: &[Record], codec: Compression, limit: usize, packed: &mut Vec<Packed>) {
    let batch = build(records, codec);
    if batch.len() <= limit {
        packed.push(Packed::Batch(batch, records.len()));
    } else if records.len() > 1 {
        let (front, back) = records.split_at(records.len() / 2);
        pack_into(front, codec, limit, packed);
        pack_into(back, codec, limit, packed);
    } else {
        let size = batch.len() as u64;
        let smaller = build(records, Compression::Gzip);
        packed.push(if smaller.len() <= limit {
            Packed::Batch(smaller, 1)
        } else {
            Packed::TooLarge(size)
        });
    }
}

fn build(records: &[Record], compression: Compression) -> Bytes {
    let numbered: Vec<Record> = (0..)
        .zip(records)
        .map(|(offset, record)| Record {
            offset,
            ..record.clone()
        })
        .collect();
    BatchBuilder {
        compression,
        ..BatchBuilder::default()
    }
    .build(&numbered)
}

#[cfg(test)]
mod tests {
    use ottla_codec::records::iterate;

    use super::*;

    fn record(offset: i64, value: Vec<u8>) -> Record {
        Record {
            offset,
            timestamp: 1000 - offset,
            key: None,
            value: Some(Bytes::from(value)),
            headers: vec![],
        }
    }

    fn noise(len: usize) -> Vec<u8> {
        (0..len as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect()
    }

    #[test]
    fn records_keep_their_order_whatever_the_limit() {
        let records: Vec<Record> = (0..20).map(|i| record(i * 7, noise(100))).collect();
        for limit in [200, 500, 1_000, 100_000] {
            let packed = pack(&records, Compression::None, limit);
            let mut times = Vec::new();
            for one in packed {
                let Packed::Batch(bytes, count) = one else {
                    panic!("each fits");
                };
                assert!(bytes.len() <= limit);
                let before = times.len();
                times.extend(
                    iterate(bytes, 1 << 20)
                        .unwrap()
                        .map(|r| r.unwrap().timestamp),
                );
                assert_eq!(times.len(), before + count);
            }
            let expected: Vec<i64> = records.iter().map(|r| r.timestamp).collect();
            assert_eq!(times, expected, "{limit}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_compressed_or_told_and_the_others_go() {
        let records = [
            record(0, vec![7; 5_000]),
            record(1, noise(5_000)),
            record(2, vec![1]),
        ];
        let packed = pack(&records, Compression::None, 1_000);
        assert!(matches!(packed[0], Packed::Batch(_, 1)));
        assert!(matches!(packed[1], Packed::TooLarge(size) if size > 5_000));
        assert!(matches!(packed[2], Packed::Batch(_, 1)));
        assert!(pack(&[], Compression::None, 10).is_empty());
    }
}
