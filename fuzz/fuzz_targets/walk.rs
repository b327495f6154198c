//! Records looked at while they are inflated: the same verdict as over records that are not compressed, and no more of them
//! than the header counts. Bodies that are no packed ones come from the target `records`.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use ottla_codec::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD};
use ottla_codec::compression::{Compression, compress};
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::walk::{Seen, walk};

const LIMIT: usize = 1 << 20;

fn batch(codec: Compression, count: u16, body: &[u8]) -> Vec<u8> {
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let batch: Bytes = BatchBuilder::default().build(&[record]);
    let mut batch = BytesMut::from(&batch[..HEADER_LEN]);
    batch.extend_from_slice(&compress(codec, body));
    let length = (batch.len() - LOG_OVERHEAD) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec as u8;
    batch[23..27].copy_from_slice(&i32::from(count.saturating_sub(1)).to_be_bytes());
    batch[57..61].copy_from_slice(&i32::from(count).to_be_bytes());
    batch.to_vec()
}

fn seen(batch: &[u8]) -> Option<Vec<Seen>> {
    let header = BatchHeader::parse(batch).ok()?;
    let mut seen = Vec::new();
    walk(&header, batch, LIMIT, |s| seen.push(s)).ok()?;
    assert_eq!(seen.len(), header.record_count as usize);
    Some(seen)
}

fuzz_target!(|input: (u8, u16, u16, &[u8])| {
    let (codec, count, zeros, body) = input;
    let codec = match codec % 4 {
        0 => Compression::Gzip,
        1 => Compression::Snappy,
        2 => Compression::Lz4,
        _ => Compression::Zstd,
    };
    // A small input makes records of more than a window, too.
    let mut body = body.to_vec();
    body.resize(body.len() + 4 * usize::from(zeros), 0);
    let plain = seen(&batch(Compression::None, count, &body));
    assert_eq!(seen(&batch(codec, count, &body)), plain);
});
