use bytes::{Bytes, BytesMut};
use kafka_protocol::records::RecordBatchDecoder;
use proptest::prelude::*;

use super::*;
use crate::batch::{check_crc, seal};
use crate::compression::Compression;
use crate::records::{BatchBuilder, Record, RecordHeader, iterate};
use crate::walk;

const LIMIT: usize = 4 << 20;
const HORIZON: i64 = 1_800_000_000_123;

/// Keeps the key's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Whole(Vec<u8>);

impl Hasher for Whole {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

fn all(batch: &Bytes) -> Vec<Record> {
    let records: Result<Vec<_>, _> = iterate(batch.clone(), LIMIT).unwrap().collect();
    records.unwrap()
}

fn views(batch: &[u8]) -> Result<Vec<RecordView<Whole>>, RecordError> {
    let mut views = Vec::new();
    each(batch, LIMIT, Whole::default, |view| {
        views.push(view);
        ControlFlow::Continue(())
    })?;
    Ok(views)
}

fn record() -> impl Strategy<Value = Record> {
    let bytes = |most: usize| prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from);
    // Some are longer than the window that they are inflated into.
    let long = (0_usize..200_000).prop_map(|len| Bytes::from(vec![7; len]));
    let key = prop_oneof![3 => bytes(9), 1 => long];
    let name = "[a-z]{0,4}".prop_map(Bytes::from);
    let header = (name, prop::option::of(bytes(5)));
    (
        1_i64..4,
        -1_i64..1 << 41,
        prop::option::of(key),
        prop::option::of(bytes(60)),
        prop::collection::vec(header, 0..3),
    )
        .prop_map(|(step, timestamp, key, value, headers)| Record {
            offset: step,
            timestamp,
            key,
            value,
            headers: headers
                .into_iter()
                .map(|(key, value)| RecordHeader { key, value })
                .collect(),
        })
}

/// A batch of a compacted log: steps between offsets, and none behind the last.
fn batch() -> impl Strategy<Value = (Bytes, Vec<Record>)> {
    (
        prop::collection::vec(record(), 1..12),
        0_i64..1 << 40,
        0_i64..3,
        prop::sample::select(Compression::ALL.to_vec()),
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(mut records, base, behind, compression, [log_time, control])| {
                let mut offset = base - 1;
                for record in &mut records {
                    offset += record.offset;
                    record.offset = offset;
                    if log_time {
                        record.timestamp = 42;
                    }
                }
                let builder = BatchBuilder {
                    compression,
                    timestamp_type: match log_time {
                        true => TimestampType::LogAppendTime,
                        false => TimestampType::CreateTime,
                    },
                    producer_id: 77,
                    producer_epoch: 3,
                    base_sequence: i32::MAX - 2,
                    leader_epoch: 5,
                    transactional: true,
                    control,
                };
                let batch = builder.build_spanning(base, offset + behind, &records);
                (batch, records)
            },
        )
}

proptest! {
    #[test]
    fn every_record_is_shown_with_its_whole_key((batch, records) in batch()) {
        let expected: Vec<_> = records
            .iter()
            .map(|r| RecordView {
                offset: r.offset,
                key: r.key.as_ref().map(|k| Whole(k.to_vec())),
                is_tombstone: r.value.is_none(),
            })
            .collect();
        prop_assert_eq!(views(&batch).unwrap(), expected);
    }

    #[test]
    fn what_stays_is_what_it_was_and_all_else_of_the_batch_too(
        (batch, records) in batch(), stays: u16, horizon: Option<bool>,
    ) {
        let horizon = horizon.map(|far| if far { i64::MAX } else { HORIZON });
        let mut bits = stays;
        let choice = choose(&batch, LIMIT, Whole::default, |_| {
            bits = bits.rotate_right(1);
            bits >> 15 == 1
        })
        .unwrap();
        let kept: Vec<Record> = (0..)
            .zip(&records)
            .filter(|(i, _)| stays >> i & 1 == 1)
            .map(|(_, r)| r.clone())
            .collect();
        prop_assert_eq!(choice.kept(), kept.len());
        prop_assert_eq!(choice.removed(), records.len() - kept.len());
        prop_assert_eq!(choice.tombstones(), kept.iter().filter(|r| r.value.is_none()).count());

        let thinned = choice.rewrite(&batch, horizon).unwrap();
        prop_assert_eq!(check_crc(&thinned), Ok(()));
        prop_assert_eq!(all(&thinned), kept.clone());
        let before = BatchHeader::parse(&batch).unwrap();
        let after = BatchHeader::parse(&thinned).unwrap();
        let log_time = before.timestamp_type() == TimestampType::LogAppendTime;
        let latest = kept.iter().map(|r| r.timestamp).max().unwrap_or(-1);
        let expected = BatchHeader {
            size: thinned.len(),
            crc: after.crc,
            attributes: before.attributes | if horizon.is_some() { 0x40 } else { 0 },
            base_timestamp: horizon.unwrap_or(before.base_timestamp),
            max_timestamp: if log_time { before.max_timestamp } else { latest },
            record_count: i32::try_from(kept.len()).unwrap(),
            ..before
        };
        prop_assert_eq!(after, expected);
        prop_assert_eq!(after.delete_horizon(), horizon);

        // What walks over it sees the same timestamps.
        let mut times = Vec::new();
        walk::stored(&thinned, LIMIT, |seen| {
            times.push(seen.timestamp);
            ControlFlow::Continue(())
        })
        .unwrap();
        prop_assert!(times.into_iter().eq(kept.iter().map(|r| r.timestamp)));
        // And so does one who is not of this project.
        if !kept.is_empty() && !before.is_control() {
            let set = RecordBatchDecoder::decode(&mut thinned.clone()).unwrap();
            for (theirs, ours) in set.records.iter().zip(&kept) {
                prop_assert_eq!((theirs.offset, &theirs.key, &theirs.value), (ours.offset, &ours.key, &ours.value));
                if !log_time {
                    prop_assert_eq!(theirs.timestamp, ours.timestamp);
                }
            }
            prop_assert_eq!(set.records.len(), kept.len());
        }

        // A horizon stays when the batch is written again.
        let again = choose(&thinned, LIMIT, Whole::default, |_| true).unwrap();
        prop_assert_eq!(again.removed(), 0);
        let again = again.rewrite(&thinned, Some(5)).unwrap();
        let header = BatchHeader::parse(&again).unwrap();
        prop_assert_eq!(header.delete_horizon(), horizon.or(Some(5)));
        prop_assert_eq!(all(&again), kept);
    }

    #[test]
    fn damaged_bytes_are_no_panic(
        (batch, _) in batch(), at: prop::sample::Index, with: u8, sealed: bool,
    ) {
        let mut bytes = BytesMut::from(&batch[..]);
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        if sealed {
            seal(&mut bytes);
        }
        let _ = views(&bytes);
        if let Ok(choice) = choose(&bytes, LIMIT, Whole::default, |_| true) {
            choice.rewrite(&bytes, Some(HORIZON)).unwrap();
        }
    }
}

fn of(timestamps: &[i64]) -> Bytes {
    let records: Vec<Record> = (0..)
        .zip(timestamps)
        .map(|(offset, &timestamp)| Record {
            offset,
            timestamp,
            key: Some(Bytes::from_static(b"key")),
            value: None,
            headers: Vec::new(),
        })
        .collect();
    BatchBuilder::default().build(&records)
}

#[test]
fn records_are_shown_until_that_is_enough() {
    for compression in Compression::ALL {
        let builder = BatchBuilder {
            compression,
            ..BatchBuilder::default()
        };
        let batch = builder.build(&all(&of(&[1, 2, 3])));
        let mut shown = 0;
        each(&batch, LIMIT, Whole::default, |_| {
            shown += 1;
            match shown {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
        .unwrap();
        assert_eq!(shown, 2, "{compression:?}");
    }
}

#[test]
fn a_part_of_a_batch_with_a_horizon_has_the_right_times() {
    let batch = of(&[100, 300, 200]);
    let choice = choose(&batch, LIMIT, Whole::default, |r| r.offset != 0).unwrap();
    let thinned = choice.rewrite(&batch, Some(HORIZON)).unwrap();
    let part = crate::cut::cut(thinned, 2, 3, LIMIT).unwrap().unwrap();
    assert_eq!(all(&part), all(&batch)[2..]);
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let record = Record {
        value: Some(Bytes::from(vec![0; 1 << 20])),
        ..all(&of(&[1])).remove(0)
    };
    for compression in Compression::ALL.into_iter().skip(1) {
        let builder = BatchBuilder {
            compression,
            ..BatchBuilder::default()
        };
        let batch = builder.build(std::slice::from_ref(&record));
        let refused = choose(&batch, 1 << 20, Whole::default, |_| true);
        assert!(
            matches!(refused, Err(RecordError::Compression(_))),
            "{compression:?}"
        );
    }
}

#[test]
fn a_timestamp_too_far_from_the_horizon_leaves_the_batch_without() {
    let batch = of(&[i64::MIN + 1, i64::MIN + 2]);
    let choice = choose(&batch, LIMIT, Whole::default, |_| true).unwrap();
    let rewritten = choice.rewrite(&batch, Some(HORIZON)).unwrap();
    let header = BatchHeader::parse(&rewritten).unwrap();
    assert_eq!(header.delete_horizon(), None);
    assert_eq!(all(&rewritten), all(&batch));
    let header = BatchHeader::parse(&choice.rewrite(&batch, Some(-1)).unwrap()).unwrap();
    assert_eq!(header.delete_horizon(), None, "a negative one is none");
}
