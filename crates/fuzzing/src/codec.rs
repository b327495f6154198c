//! Decoders of `ottla-codec`.

use bytes::{Bytes, BytesMut};
use ottla_codec::api::Api;
use ottla_codec::batch::{self, BatchHeader, HEADER_LEN, LOG_OVERHEAD};
use ottla_codec::compression::{Compression, compress, decompress};
use ottla_codec::frame::FrameDecoder;
use ottla_codec::header::RequestHeader;
use ottla_codec::records::{self, BatchBuilder, Record};
use ottla_codec::walk::{Seen, walk};
use ottla_codec::{
    answer as answers, consumer_protocol, control, cut, places, produce as produces,
};
use ottla_codec::{request, rewrite as rewrites};

/// What records may inflate to.
const LIMIT: usize = 1 << 20;

/// The first `N` bytes, and the rest; zeros for those that are not there.
pub(crate) fn split<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut first = [0; N];
    let len = N.min(data.len());
    first[..len].copy_from_slice(&data[..len]);
    (first, &data[len..])
}

/// What a client reads: the answer to any API in any version, and what the members of a group tell each other. The first
/// two bytes choose.
pub fn answer(data: &[u8]) {
    let ([api, version], body) = split(data);
    let body = Bytes::copy_from_slice(body);
    if api == u8::MAX {
        let _ = consumer_protocol::subscription(body.clone());
        let _ = consumer_protocol::assignment(body);
        return;
    }
    let api = any_api(api);
    let version = any_of(answers::versions(api), version);
    let _ = answers::check(api, version, body);
}

/// The API with this key; what is none is one all the same.
fn any_api(key: u8) -> Api {
    let any = Api::ALL[usize::from(key) % Api::ALL.len()];
    Api::from_key(i16::from(key)).unwrap_or(any)
}

fn any_of(versions: std::ops::RangeInclusive<i16>, chosen: u8) -> i16 {
    let count = versions.end() - versions.start() + 1;
    versions.start() + i16::from(chosen) % count
}

/// Batches as they came, and with the CRC put right so that the checks behind it are reached.
pub fn batch(data: &[u8]) {
    let _ = batch::check_all(data);
    let mut bytes = data.to_vec();
    if let Some(magic) = bytes.get_mut(16) {
        *magic = 2;
    }
    let Ok(header) = BatchHeader::parse(&bytes) else {
        return;
    };
    header.next_offset();
    header.last_sequence();
    let _ = control::outcome(&header, &bytes);
    if header.size > bytes.len() {
        return;
    }
    batch::set_offset_and_epoch(&mut bytes, header.base_offset, 3);
    batch::set_log_append_time(&mut bytes, 1);
    assert_eq!(batch::check_crc(&bytes), Ok(()));
    if let Ok(headers) = batch::check_all(&bytes) {
        let total: usize = headers.iter().map(|h| h.size).sum();
        assert_eq!(total, bytes.len());
    }
}

/// Every codec over arbitrary bytes: never beyond the bound, and what is compressed reads back.
pub fn decompression(data: &[u8]) {
    let ([codec], data) = split(data);
    let codec = match codec % 5 {
        0 => Compression::None,
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 => Compression::Lz4,
        _ => Compression::Zstd,
    };
    if let Ok(out) = decompress(codec, data, LIMIT) {
        assert!(out.len() <= LIMIT);
    }
    if data.len() <= LIMIT {
        assert_eq!(
            decompress(codec, &compress(codec, data), LIMIT).as_deref(),
            Ok(data)
        );
    }
}

/// A stream in pieces, as long as the first byte says: frames come out whole and within the limit, and buffers follow the bytes that arrived.
pub fn frame(data: &[u8]) {
    const FRAME_LIMIT: usize = 100_000;
    let ([piece], stream) = split(data);
    let mut decoder = FrameDecoder::new(FRAME_LIMIT);
    let mut buf = BytesMut::new();
    for piece in stream.chunks(usize::from(piece).max(1)) {
        let hint = decoder.reserve_hint(&buf);
        assert!(hint <= FRAME_LIMIT + 4);
        buf.reserve(hint);
        buf.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buf) {
                Ok(Some(frame)) => assert!(frame.len() <= FRAME_LIMIT),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// The hand-written produce decoder takes no more than the table of shapes does, and its parts can be written to.
pub fn produce(data: &[u8]) {
    let ([version], body) = split(data);
    let version = any_of(Api::Produce.versions(), version);
    let _ = ottla_codec::produce_removed::refuse(version % 3, 7, body);
    let Ok(read) = produces::decode(version, BytesMut::from(body)) else {
        return;
    };
    if body.len() < 4096 {
        let again = request::check(Api::Produce, version, Bytes::copy_from_slice(body));
        assert_eq!(again, Ok(()));
    }
    for partition in read.topics.into_iter().flat_map(|t| t.partitions) {
        if let Some(mut records) = partition.records {
            records.fill(0);
        }
    }
}

/// A batch that says to have `count` records of `codec`, and has `body`.
fn batch_of(codec: u8, count: u16, body: &[u8]) -> BytesMut {
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let batch: Bytes = BatchBuilder::default().build(&[record]);
    let mut batch = BytesMut::from(&batch[..HEADER_LEN]);
    batch.extend_from_slice(body);
    let length = (batch.len() - LOG_OVERHEAD) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec;
    batch[23..27].copy_from_slice(&i32::from(count.saturating_sub(1)).to_be_bytes());
    batch[57..61].copy_from_slice(&i32::from(count).to_be_bytes());
    batch
}

/// A batch's body, of any codec and with any count: both ways to read its records.
pub fn records(data: &[u8]) {
    let ([codec, low, high], body) = split(data);
    let count = u16::from_le_bytes([low, high]);
    let batch: Bytes = batch_of(codec % 8, count, body).freeze();
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
}

/// The body of any API in any version; the first two bytes choose.
pub fn request_body(data: &[u8]) {
    let ([api, version], body) = split(data);
    let api = any_api(api);
    let version = any_of(api.versions(), version);
    let read = request::check(api, version, Bytes::copy_from_slice(body));
    let found = places::places(api, version, body);
    if read.is_ok() {
        let ends = found.expect("what is read has places");
        assert!(ends.iter().all(|place| place.whole.end <= body.len()));
    }
}

/// Both ways to read a request header agree, also about what is left.
pub fn request_header(data: &[u8]) {
    let mut frozen = Bytes::copy_from_slice(data);
    let mut writable = BytesMut::from(data);
    let header = RequestHeader::decode(&mut frozen);
    assert_eq!(header, RequestHeader::decode_mut(&mut writable));
    if header.is_ok() {
        assert_eq!(frozen, writable);
    }
}

/// Records looked at while they are inflated: the same verdict as over records that are not compressed, and no more of them
/// than the header counts. Bodies that are no packed ones come from the target `records`.
pub fn walk_records(data: &[u8]) {
    let ([codec, c0, c1, z0, z1], body) = split(data);
    let count = u16::from_le_bytes([c0, c1]);
    let zeros = u16::from_le_bytes([z0, z1]);
    let codec = packing(codec);
    // A small input makes records of more than a window, too.
    let mut body = body.to_vec();
    body.resize(body.len() + 4 * usize::from(zeros), 0);
    let plain = seen(&batch_of(0, count, &body));
    let packed = batch_of(codec as u8, count, &compress(codec, &body));
    assert_eq!(seen(&packed), plain);
}

fn packing(chosen: u8) -> Compression {
    match chosen % 4 {
        0 => Compression::Gzip,
        1 => Compression::Snappy,
        2 => Compression::Lz4,
        _ => Compression::Zstd,
    }
}

fn seen(batch: &[u8]) -> Option<Vec<Seen>> {
    let header = BatchHeader::parse(batch).ok()?;
    let mut seen = Vec::new();
    walk(&header, batch, LIMIT, |s| seen.push(s)).ok()?;
    assert_eq!(seen.len(), header.record_count as usize);
    Some(seen)
}

/// A batch as compaction rewrites it: what stays is unchanged and where it was, and the result passes the broker's own checks. The first
/// bytes choose which records stay, the codec, transactional or not, and a delete horizon; the rest is a body, or with a flag a whole batch.
pub fn rewrite(data: &[u8]) {
    let ([flags, mask, h0, h1, count], body) = split(data);
    let horizon = (flags & 1 == 1).then(|| i64::from(u16::from_le_bytes([h0, h1])) << 20);
    let mut batch = match flags & 2 {
        0 => match flags & 4 {
            0 => batch_of(flags >> 5, u16::from(count), body),
            _ => {
                let codec = packing(flags >> 5);
                batch_of(codec as u8, u16::from(count), &compress(codec, body))
            }
        },
        _ => BytesMut::from(body),
    };
    let Ok(header) = BatchHeader::parse(&batch) else {
        return;
    };
    if header.size > batch.len() {
        return;
    }
    batch.truncate(header.size);
    if flags & 2 == 0 {
        // Transactional, log append time, and an offset.
        batch[22] |= flags & 0x18;
        batch[..8].copy_from_slice(&(i64::from(mask) << 8).to_be_bytes());
    }
    batch::seal(&mut batch);
    thin(&batch.freeze(), mask, horizon);
}

fn thin(batch: &Bytes, mask: u8, horizon: Option<i64>) {
    let keep = |offset: i64| mask >> (offset.rem_euclid(8)) & 1 == 1;
    let hasher = std::hash::DefaultHasher::new;
    let choice = rewrites::choose(batch, LIMIT, hasher, |view| keep(view.offset));
    let Ok(choice) = choice else {
        return;
    };
    let before = choice.header();
    let new = match choice.rewrite(batch, horizon) {
        Ok(new) => new,
        Err(error) => panic!("what was looked at cannot be written: {error}"),
    };
    batch::check_crc(&new).expect("it passes the check of the store");
    let after = BatchHeader::parse(&new).expect("it passes the check of the store");
    assert_eq!(after.size, new.len());
    assert_eq!(after.base_offset, before.base_offset);
    assert_eq!(after.last_offset(), before.last_offset());
    assert_eq!(after.producer_id, before.producer_id);
    assert_eq!(after.producer_epoch, before.producer_epoch);
    assert_eq!(after.base_sequence, before.base_sequence);
    assert_eq!(after.is_transactional(), before.is_transactional());
    assert_eq!(after.is_control(), before.is_control());
    assert_eq!(after.timestamp_type(), before.timestamp_type());
    assert_eq!(after.compression(), before.compression());
    assert_eq!(after.record_count as usize, choice.kept());
    if let Some(horizon) = before.delete_horizon() {
        assert_eq!(after.delete_horizon(), Some(horizon));
    }
    let Ok(old) = records::iterate(batch.clone(), LIMIT) else {
        return;
    };
    let old: Vec<Record> = old.flatten().filter(|r| keep(r.offset)).collect();
    let stays = records::iterate(new, LIMIT).expect("what was written is read");
    let stays: Result<Vec<Record>, _> = stays.collect();
    assert_eq!(stays.expect("what was written is read"), old);
    let range = cut::cut(
        batch.clone(),
        before.base_offset + 1,
        before.next_offset(),
        LIMIT,
    );
    if let Ok(Some(range)) = range {
        assert_eq!(batch::check_crc(&range), Ok(()));
    }
}
