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
    for codec in Compression::ALL {
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

/// A batch whose records are of these sizes, each with a header at its end.
fn sized(compression: Compression, sizes: &[usize]) -> Vec<u8> {
    let records: Vec<Record> = (0..)
        .zip(sizes)
        .map(|(i, &size)| Record {
            offset: i,
            timestamp: 1000 + i,
            key: (i % 2 == 0).then(|| Bytes::from_static(b"key")),
            value: Some(Bytes::from_iter(
                (0..size as u32).map(|b| (b.wrapping_mul(b) >> 3) as u8),
            )),
            headers: vec![RecordHeader {
                key: Bytes::from_static(b"h"),
                value: Some(Bytes::from(vec![1; size / 2])),
            }],
        })
        .collect();
    let builder = BatchBuilder {
        compression,
        ..BatchBuilder::default()
    };
    builder.build(&records).to_vec()
}

/// The body of an uncompressed `batch`, as raw snappy.
fn raw_snappy(batch: &[u8]) -> Vec<u8> {
    let body = snap::raw::Encoder::new()
        .compress_vec(&batch[HEADER_LEN..])
        .unwrap();
    with_body(batch, Compression::Snappy, &body)
}

fn with_body(batch: &[u8], codec: Compression, body: &[u8]) -> Vec<u8> {
    let mut batch = batch[..HEADER_LEN].to_vec();
    batch.extend_from_slice(body);
    let length = batch.len() as i32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec as u8;
    batch
}

fn walked_to(batch: &[u8], limit: usize) -> Result<Vec<Seen>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    let mut seen = Vec::new();
    walk(&header, batch, limit, |s| seen.push(s))?;
    Ok(seen)
}

#[test]
fn records_of_any_length_are_seen_wherever_the_window_ends() {
    let around = |size: usize| (size - 40..size + 40).step_by(7).collect::<Vec<_>>();
    let mut cases = vec![
        vec![2 << 20],
        vec![10; 30_000],
        vec![WHOLE, 0, 3 * WINDOW, 1, WINDOW, 5],
    ];
    cases.push(around(WHOLE * 2 / 3));
    cases.push(around(WINDOW * 2 / 3));
    cases.push((0..200).map(|i| i * 37).collect());
    for sizes in cases {
        let plain = sized(Compression::None, &sizes);
        let expected = walked_to(&plain, 0).unwrap();
        assert_eq!(expected.len(), sizes.len());
        for codec in [1, 2, 3, 4, 5].map(|n| n as u8) {
            let batch = match codec {
                1 => sized(Compression::Gzip, &sizes),
                2 => sized(Compression::Snappy, &sizes),
                3 => sized(Compression::Lz4, &sizes),
                4 => sized(Compression::Zstd, &sizes),
                _ => raw_snappy(&plain),
            };
            assert_eq!(walked_to(&batch, 16 << 20), Ok(expected.clone()), "{codec}");
            let inflated = plain.len() - HEADER_LEN;
            assert_eq!(walked_to(&batch, inflated), Ok(expected.clone()), "{codec}");
            let limit = inflated - 1;
            let refused = walked_to(&batch, limit);
            assert_eq!(
                refused,
                Err(CompressionError::TooLarge { limit }.into()),
                "{codec}"
            );
        }
    }
}

#[test]
fn a_body_whose_end_is_not_sound_is_refused_though_its_records_are() {
    let plain = sized(Compression::None, &[100, 200]);
    for codec in [
        Compression::Gzip,
        Compression::Lz4,
        Compression::Zstd,
        Compression::Snappy,
    ] {
        let packed = crate::compression::compress(codec, &plain[HEADER_LEN..]);
        let whole = with_body(&plain, codec, &packed);
        assert_eq!(walked_to(&whole, 1 << 20).map(|seen| seen.len()), Ok(2));
        let cut = with_body(&plain, codec, &packed[..packed.len() - 1]);
        assert!(walked_to(&cut, 1 << 20).is_err(), "{codec:?} cut short");
        let more = [&plain[HEADER_LEN..], &[0]].concat();
        let more = with_body(&plain, codec, &crate::compression::compress(codec, &more));
        assert!(
            walked_to(&more, 1 << 20).is_err(),
            "{codec:?} with a byte more"
        );
    }
}

proptest! {
    #[test]
    fn a_changed_byte_is_judged_alike_in_a_window_and_whole(
        sizes in prop::collection::vec(prop_oneof![0usize..300, WHOLE - 50..WHOLE + 50], 1..4), at: usize, with: u8,
    ) {
        let mut plain = sized(Compression::None, &sizes);
        let at = HEADER_LEN + at % (plain.len() - HEADER_LEN);
        plain[at] = with;
        let whole = walked_to(&plain, 0);
        let packed = crate::compression::compress(Compression::Lz4, &plain[HEADER_LEN..]);
        let window = walked_to(&with_body(&plain, Compression::Lz4, &packed), 16 << 20);
        match (&whole, &window) {
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(&whole, &window),
        }
    }
}

/// The offsets and timestamps of a batch of the log, as the one way to read it shows them and as the other does.
fn both_ways(batch: Vec<u8>) -> [Option<Vec<(i64, i64)>>; 2] {
    let header = BatchHeader::parse(&batch).unwrap();
    let mut seen = Vec::new();
    let walked = stored(&batch, 1 << 20, |s| {
        seen.push((header.base_offset + i64::from(s.offset_delta), s.timestamp));
        ControlFlow::Continue(())
    });
    let read = crate::records::iterate(batch.into(), 1 << 20)
        .and_then(Iterator::collect::<Result<Vec<Record>, _>>);
    let read = read.map(|all| all.iter().map(|r| (r.offset, r.timestamp)).collect());
    [walked.ok().map(|()| seen), read.ok()]
}

#[test]
fn a_batch_of_the_log_is_walked_over_until_the_caller_has_enough() {
    let batch = sized(Compression::Zstd, &[10, 10, 10]);
    let mut seen = Vec::new();
    let walked = stored(&batch, 1 << 20, |s| {
        seen.push(s.timestamp);
        match s.timestamp {
            1001 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!((walked, seen), (Ok(()), vec![1000, 1001]));
    let longer = [&batch[..], &[0]].concat();
    assert!(stored(&longer, 1 << 20, |_| ControlFlow::Continue(())).is_err());
    assert!(
        stored(&batch[..batch.len() - 1], 1 << 20, |_| {
            ControlFlow::Continue(())
        })
        .is_err()
    );
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

    #[test]
    fn a_batch_of_the_log_is_walked_over_as_it_is_read(
        offsets in prop::collection::btree_set(0i64..50, 1..8), appended: bool, codec in 0u8..2, spoilt: Option<(usize, u8)>,
    ) {
        let records: Vec<Record> = offsets
            .iter()
            .map(|&offset| Record { offset, timestamp: 1000 - offset, key: None, value: None, headers: Vec::new() })
            .collect();
        let mut batch = BatchBuilder::default().build(&records).to_vec();
        if let Some((at, with)) = spoilt {
            let at = HEADER_LEN + at % (batch.len() - HEADER_LEN);
            batch[at] = with;
        }
        if codec == 1 {
            let packed = crate::compression::compress(Compression::Snappy, &batch[HEADER_LEN..]);
            batch = with_body(&batch, Compression::Snappy, &packed);
        }
        if appended {
            crate::batch::set_log_append_time(&mut batch, 77);
        }
        let [walked, read] = both_ways(batch);
        prop_assert_eq!(walked, read);
    }
}
