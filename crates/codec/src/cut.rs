//! A batch cut to a range of offsets, for readers that are to see a part of it only.
//!
//! Clients go on at the offset after the batch's last one, whether there is a record at it or not, as after compaction (Java:
//! `nextOffset` of the batch; librdkafka and franz-go: base offset plus last offset delta; sarama, kafkajs: the batch's last
//! offset). So a batch that is cut behind ends at the range's end, and its reader asks for that offset next.

use bytes::Bytes;

use crate::batch::{BatchHeader, TimestampType};
use crate::records::{BatchBuilder, Record, RecordError, iterate};

/// The one batch in `batch` with its records from `from` on and before `until` alone, at their offsets. Unchanged if it has no others; `None` if
/// it has none of these.
///
/// A rewritten batch begins at `from` if it began before that, and ends before `until` if it went on. Its codec, timestamps, timestamp type, leader
/// epoch, producer and transaction are those of the original. Control batches are never cut. A compressed body may inflate to `limit` bytes.
pub fn cut(
    batch: Bytes,
    from: i64,
    until: i64,
    limit: usize,
) -> Result<Option<Bytes>, RecordError> {
    let header = BatchHeader::parse(&batch)?;
    if header.next_offset() <= from || until <= header.base_offset {
        return Ok(None);
    }
    if header.is_control() || from <= header.base_offset && header.next_offset() <= until {
        return Ok(Some(batch));
    }
    let mut kept: Vec<Record> = Vec::new();
    for record in iterate(batch, limit)? {
        let record = record?;
        if (from..until).contains(&record.offset) {
            kept.push(record);
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    let base_offset = header.base_offset.max(from);
    let last_offset = header.last_offset().min(until - 1);
    let builder = BatchBuilder {
        compression: header.compression()?,
        timestamp_type: header.timestamp_type(),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: sequence(&header, base_offset),
        leader_epoch: header.leader_epoch,
        transactional: header.is_transactional(),
        control: false,
    };
    debug_assert!(
        header.timestamp_type() == TimestampType::CreateTime
            || kept.iter().all(|r| r.timestamp == header.max_timestamp),
        "the log's time of a batch is that of all its records"
    );
    Ok(Some(builder.build_spanning(
        base_offset,
        last_offset,
        &kept,
    )))
}

/// The sequence of the record at `offset`, wrapping as producers do.
fn sequence(header: &BatchHeader, offset: i64) -> i32 {
    if header.base_sequence < 0 {
        return header.base_sequence;
    }
    let sequence = i64::from(header.base_sequence) + (offset - header.base_offset);
    sequence.rem_euclid(1_i64 << 31) as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::check_crc;
    use crate::compression::Compression;
    use crate::records::RecordHeader;

    const LIMIT: usize = 1 << 20;

    fn record(offset: i64, size: usize) -> Record {
        Record {
            offset,
            timestamp: 1_000_000 - offset * 7,
            key: (offset % 3 != 0).then(|| Bytes::from(offset.to_string())),
            value: (offset % 4 != 0).then(|| Bytes::from(vec![offset as u8; size])),
            headers: (0..offset % 3)
                .map(|i| RecordHeader {
                    key: Bytes::from(format!("h{i}")),
                    value: (i % 2 == 0).then(|| Bytes::from("v")),
                })
                .collect(),
        }
    }

    fn all(batch: Bytes) -> Vec<Record> {
        let records: Result<Vec<_>, _> = iterate(batch, LIMIT).unwrap().collect();
        records.unwrap()
    }

    fn builder(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            compression,
            producer_id: 77,
            producer_epoch: 3,
            base_sequence: i32::MAX - 2,
            leader_epoch: 5,
            transactional: true,
            ..BatchBuilder::default()
        }
    }

    fn codec() -> impl Strategy<Value = Compression> {
        prop::sample::select(Compression::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn a_cut_batch_has_the_records_of_the_range_and_leads_to_its_end(
            base in 0_i64..1 << 40,
            steps in prop::collection::vec((1_i64..4, 0_usize..40), 1..30),
            from in -5_i64..100,
            len in 0_i64..100,
            codec in codec(),
            log_time in any::<bool>(),
        ) {
            let mut offset = base - 1;
            let mut records: Vec<Record> = steps
                .into_iter()
                .map(|(step, size)| {
                    offset += step;
                    record(offset, size)
                })
                .collect();
            let mut builder = builder(codec);
            if log_time {
                builder.timestamp_type = TimestampType::LogAppendTime;
                records.iter_mut().for_each(|r| r.timestamp = 42);
            }
            let batch = builder.build_spanning(base, offset + 2, &records);
            let (from, until) = (base + from, base + from + len);
            let expected: Vec<Record> = records
                .iter()
                .filter(|r| (from..until).contains(&r.offset))
                .cloned()
                .collect();
            let Some(cut) = cut(batch.clone(), from, until, LIMIT).unwrap() else {
                prop_assert!(expected.is_empty());
                return Ok(());
            };
            let before = BatchHeader::parse(&batch).unwrap();
            let after = BatchHeader::parse(&cut).unwrap();
            prop_assert_eq!(after.size, cut.len());
            prop_assert_eq!(check_crc(&cut), Ok(()));
            prop_assert_eq!(all(cut), expected);
            prop_assert_eq!(after.base_offset, base.max(from));
            prop_assert_eq!(after.next_offset(), (offset + 3).min(until));
            prop_assert_eq!(after.attributes, before.attributes);
            prop_assert_eq!(after.producer_id, before.producer_id);
            prop_assert_eq!(after.producer_epoch, before.producer_epoch);
            prop_assert_eq!(after.leader_epoch, before.leader_epoch);
            if log_time {
                prop_assert_eq!(after.max_timestamp, before.max_timestamp);
            }
        }

        #[test]
        fn cutting_damaged_bytes_is_an_error_and_no_panic(
            at in 0_usize..200,
            with in any::<u8>(),
            from in 0_i64..12,
            until in 0_i64..12,
            codec in codec(),
        ) {
            let records: Vec<Record> = (0..10).map(|o| record(o, 20)).collect();
            let mut bytes = builder(codec).build(&records).to_vec();
            let at = at % bytes.len();
            bytes[at] = with;
            let _ = cut(bytes.into(), from, until, LIMIT);
        }
    }

    #[test]
    fn a_batch_within_the_range_and_a_control_batch_stay_as_they_are() {
        let records: Vec<Record> = (3..6).map(|o| record(o, 5)).collect();
        let batch = builder(Compression::Lz4).build(&records);
        assert_eq!(cut(batch.clone(), 3, 6, LIMIT), Ok(Some(batch.clone())));
        assert_eq!(cut(batch.clone(), 0, 3, LIMIT), Ok(None));
        assert_eq!(cut(batch, 6, 9, LIMIT), Ok(None));
        let marker = BatchBuilder {
            control: true,
            ..builder(Compression::None)
        };
        let marker = marker.build(&records[..1]);
        assert_eq!(cut(marker.clone(), 0, 9, LIMIT), Ok(Some(marker)));
    }

    #[test]
    fn sequences_stay_with_their_records() {
        let records: Vec<Record> = (0..5).map(|o| record(o, 5)).collect();
        let batch = builder(Compression::None).build(&records);
        let sequence = |from| {
            let cut = cut(batch.clone(), from, 9, LIMIT).unwrap().unwrap();
            BatchHeader::parse(&cut).unwrap().base_sequence
        };
        assert_eq!(sequence(2), i32::MAX);
        assert_eq!(sequence(3), 0);
    }
}
