use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use proptest::prelude::*;

use super::*;
use crate::batch::{check_all, check_crc};

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

/// Records with increasing offsets; dense as a producer sends them, or with the gaps that compaction leaves.
fn records(dense: bool) -> impl Strategy<Value = Vec<Record>> {
    let record = (
        1_000_000_i64..2_000_000,
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        prop::collection::btree_map("[a-z]{1,8}", proptest::option::of(bytes()), 0..3),
        1_i64..1000,
    );
    let gap = move |gap| if dense { 1 } else { gap };
    (0_i64..1 << 40, prop::collection::vec(record, 1..20)).prop_map(move |(mut offset, list)| {
        let record = |(timestamp, key, value, headers, step)| {
            offset += gap(step);
            let headers: std::collections::BTreeMap<String, Option<Bytes>> = headers;
            Record {
                offset,
                timestamp,
                key,
                value,
                headers: headers
                    .into_iter()
                    .map(|(key, value)| RecordHeader {
                        key: key.into(),
                        value,
                    })
                    .collect(),
            }
        };
        list.into_iter().map(record).collect()
    })
}

fn read(batch: Bytes) -> Result<Vec<Record>, RecordError> {
    iterate(batch, 1 << 20)?.collect()
}

fn their_codec(codec: Compression) -> theirs::Compression {
    match codec {
        Compression::None => theirs::Compression::None,
        Compression::Gzip => theirs::Compression::Gzip,
        Compression::Snappy => theirs::Compression::Snappy,
        Compression::Lz4 => theirs::Compression::Lz4,
        Compression::Zstd => theirs::Compression::Zstd,
    }
}

/// Their sequences count on from -1 in a batch without a producer id, and a gap starts a new batch.
fn their_record((index, record): (usize, &Record)) -> theirs::Record {
    let headers = record.headers.iter().map(|h| {
        let key = StrBytes::from_utf8(h.key.clone()).unwrap();
        (key, h.value.clone())
    });
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: theirs::TimestampType::Creation,
        offset: record.offset,
        sequence: index as i32 - 1,
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: headers.collect::<IndexMap<_, _>>(),
    }
}

proptest! {
    #[test]
    fn batches_of_every_codec_read_back(list in records(true)) {
        for compression in Compression::ALL {
            let batch = BatchBuilder { compression, ..Default::default() }.build(&list);
            let headers = check_all(&batch).unwrap();
            prop_assert_eq!(headers.len(), 1);
            prop_assert_eq!(headers[0].compression(), Ok(compression));
            prop_assert_eq!(headers[0].base_offset, list[0].offset);
            prop_assert_eq!(headers[0].last_offset(), list[list.len() - 1].offset);
            prop_assert_eq!(headers[0].max_timestamp, list.iter().map(|r| r.timestamp).max().unwrap());
            prop_assert_eq!(read(batch), Ok(list.clone()));
        }
    }

    #[test]
    fn batches_thinned_out_by_compaction_read_back(list in records(false)) {
        let batch = BatchBuilder::default().build(&list);
        prop_assert_eq!(check_crc(&batch), Ok(()));
        prop_assert_eq!(read(batch), Ok(list));
    }

    #[test]
    fn kafka_protocol_reads_what_is_built(list in records(true)) {
        for compression in Compression::ALL {
            let batch = BatchBuilder { compression, ..Default::default() }.build(&list);
            let set = theirs::RecordBatchDecoder::decode(&mut batch.clone()).unwrap();
            prop_assert_eq!(set.compression, their_codec(compression));
            let expected: Vec<_> = list.iter().enumerate().map(their_record).collect();
            prop_assert_eq!(set.records, expected);
        }
    }

    #[test]
    fn what_kafka_protocol_builds_is_read(list in records(true)) {
        for compression in Compression::ALL {
            let mut out = BytesMut::new();
            let options = theirs::RecordEncodeOptions { version: 2, compression: their_codec(compression) };
            let records: Vec<_> = list.iter().enumerate().map(their_record).collect();
            theirs::RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
            prop_assert!(check_all(&out).is_ok());
            prop_assert_eq!(read(out.freeze()), Ok(list.clone()));
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        body in prop::collection::vec(any::<u8>(), 0..200), codec in 0u8..5, count in 0i32..50,
    ) {
        let mut batch = BytesMut::from(&BatchBuilder::default().build(&[record(0)])[..HEADER_LEN]);
        batch.extend_from_slice(&body);
        let length = (batch.len() - LOG_OVERHEAD) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[22] = codec;
        batch[23..27].copy_from_slice(&(count - 1).max(0).to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        if let Ok(records) = iterate(batch.freeze(), 10_000) {
            prop_assert!(records.count() <= 51);
        }
    }

    #[test]
    fn one_changed_byte_never_panics(list in records(true), at in HEADER_LEN.., with: u8) {
        let mut batch = BytesMut::from(BatchBuilder::default().build(&list));
        let at = HEADER_LEN + at % (batch.len() - HEADER_LEN);
        batch[at] = with;
        let _ = read(batch.freeze());
    }
}

fn record(offset: i64) -> Record {
    Record {
        offset,
        timestamp: 5,
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"val\0e")),
        headers: vec![],
    }
}

/// Three records of 14 bytes each, changed at byte `at` of the first.
fn changed(at: usize, with: u8) -> Result<Vec<Record>, RecordError> {
    let list = [record(0), record(1), record(2)];
    let mut batch = BytesMut::from(BatchBuilder::default().build(&list));
    batch[HEADER_LEN + at] = with;
    read(batch.freeze())
}

fn reason(result: Result<Vec<Record>, RecordError>) -> &'static str {
    match result {
        Err(RecordError::Malformed { reason, .. }) => reason,
        other => panic!("no malformed record: {other:?}"),
    }
}

#[test]
fn each_defect_of_a_record_is_named() {
    // length, attributes, timestamp delta, offset delta, key length, key, value length, value, header count
    assert_eq!(reason(changed(0, 0x01)), "length is negative");
    assert_eq!(reason(changed(0, 0x7e)), "runs past the batch's end");
    assert_eq!(
        reason(changed(3, 0x01)),
        "offset delta is outside the batch"
    );
    assert_eq!(reason(changed(3, 0x02)), "offset deltas do not increase");
    assert_eq!(
        reason(changed(3, 0x06)),
        "offset delta is outside the batch"
    );
    assert_eq!(reason(changed(4, 0x03)), "negative length of a field");
    assert_eq!(reason(changed(4, 0x7e)), "fields run past its end");
    assert_eq!(reason(changed(8, 0x06)), "bytes after its last field");
    assert_eq!(reason(changed(14, 0x01)), "header count is negative");
    assert_eq!(reason(changed(14, 0x7e)), "more headers than it can hold");
}

#[test]
fn a_false_count_is_an_error_either_way() {
    let list = [record(0), record(1), record(2)];
    for (count, index) in [(2_i32, 2), (4, 3)] {
        let mut batch = BytesMut::from(BatchBuilder::default().build(&list));
        batch[23..27].copy_from_slice(&9_i32.to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        let mut records = iterate(batch.freeze(), 1000).unwrap();
        let error = records.find_map(Result::err).unwrap();
        assert!(
            matches!(error, RecordError::Malformed { index: i, .. } if i == index),
            "{error}"
        );
        assert_eq!(records.next(), None);
    }
}

#[test]
fn bytes_after_the_batch_or_a_missing_end_are_refused() {
    let batch = BatchBuilder::default().build(&[record(0)]);
    let mut longer = BytesMut::from(&batch[..]);
    longer.put_u8(0);
    assert!(iterate(longer.freeze(), 1000).is_err());
    assert!(iterate(batch.slice(..batch.len() - 1), 1000).is_err());
}

#[test]
fn uncompressed_records_are_parts_of_their_batch() {
    let batch = BatchBuilder::default().build(&[record(0)]);
    let range = batch.as_ptr_range();
    let read = read(batch.clone()).unwrap();
    assert!(range.contains(&read[0].value.as_ref().unwrap().as_ptr()));
}

#[test]
fn a_bomb_inside_a_batch_stops_at_the_limit() {
    let mut bomb = record(0);
    bomb.value = Some(vec![0; 8 << 20].into());
    for compression in Compression::ALL.into_iter().skip(1) {
        let builder = BatchBuilder {
            compression,
            ..Default::default()
        };
        let error = iterate(builder.build(std::slice::from_ref(&bomb)), 1 << 20).unwrap_err();
        assert_eq!(
            error,
            RecordError::Compression(CompressionError::TooLarge { limit: 1 << 20 })
        );
    }
}

#[test]
fn log_append_time_gives_every_record_the_append_time() {
    let mut batch = BytesMut::from(BatchBuilder::default().build(&[record(0), record(1)]));
    batch::set_log_append_time(&mut batch, 99);
    let read = read(batch.freeze()).unwrap();
    assert!(read.iter().all(|r| r.timestamp == 99));
}

#[test]
fn a_control_batch_gives_its_marker() {
    let marker = Record {
        key: Some(Bytes::from_static(&[0, 0, 0, 1])),
        value: Some(Bytes::from_static(&[0; 6])),
        ..record(40)
    };
    let builder = BatchBuilder {
        producer_id: 7,
        producer_epoch: 1,
        transactional: true,
        control: true,
        ..Default::default()
    };
    let batch = builder.build(std::slice::from_ref(&marker));
    let header = BatchHeader::parse(&batch).unwrap();
    assert!(header.is_control() && header.is_transactional());
    assert_eq!(read(batch.clone()), Ok(vec![marker]));
    assert_eq!(
        check_all(&batch),
        Err(BatchError::Invalid("clients may not write control records"))
    );
}
