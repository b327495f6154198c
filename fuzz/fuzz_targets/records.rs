//! A batch's body, of any codec and with any count: both ways to read its records.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use ottla_codec::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD};
use ottla_codec::records::{self, BatchBuilder, Record};
use ottla_codec::walk::walk;

const LIMIT: usize = 1 << 20;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (codec, count, body) = input;
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let batch = BatchBuilder::default().build(&[record]);
    let mut batch = BytesMut::from(&batch[..HEADER_LEN]);
    batch.extend_from_slice(body);
    let length = (batch.len() - LOG_OVERHEAD) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec % 8;
    batch[23..27].copy_from_slice(&i32::from(count.saturating_sub(1)).to_be_bytes());
    batch[57..61].copy_from_slice(&i32::from(count).to_be_bytes());
    let batch: Bytes = batch.freeze();
    if let Ok(header) = BatchHeader::parse(&batch) {
        let mut walked = 0;
        if walk(&header, &batch, LIMIT, |_| walked += 1).is_ok() {
            // What a producer may send can be read.
            let read = records::iterate(batch.clone(), LIMIT).expect("walked over");
            assert_eq!(read.filter(Result::is_ok).count(), walked);
        }
    }
    if let Ok(records) = records::iterate(batch, LIMIT) {
        let offsets: Vec<i64> = records.flatten().map(|r| r.offset).collect();
        assert!(offsets.is_sorted());
        assert!(offsets.len() <= usize::from(count));
    }
});
