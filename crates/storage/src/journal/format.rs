//! The journal's bytes. All numbers are little-endian.
//!
//! ```text
//! file    magic [8] | version u32 | file id u64 | last sequence before it u64 | CRC32C u32 of those | notes | zeros up to 4096 | records
//! note    file id u64 | number u64 | kind u32 | CRC32C u32 of those; at 512 the file's length (kind 1: groups are synced), at 1024 the last commit of a checkpoint,
//!         at 1536 the last commit of the file, kind 1 if another file follows, 2 if the store was closed
//! record  CRC32C u32 (seeded with the file id; of what follows) | payload length u32 | sequence u64 | payload: ops
//! op      1 inline append  | append whose bytes are in the segment: 2 synced before the record was written, 3 later, 8 meanwhile
//!         | 4 put | 5 delete | first of its record: all records before this one were synced before it was written (6, of version 1),
//!         | and with those before that number all that they name in segments (7, u64)
//! append  topic id [16] | partition i32 | base offset i64 | next offset i64 | segment i64 | position u64 | now i64
//!         | max timestamp i64 | length u32 | inline: bytes; else u32 that says nothing, count u32
//!         | the batches' headers, 61 bytes each
//! put     tree u8 | key length u32 | key | value length u32 | value
//! delete  tree u8 | key length u32 | key
//! ```
//! Files are recycled: the id in the CRC's seed keeps a record of an earlier life from being taken for one of this.

use bytes::Bytes;
use ottla_codec::batch;

use crate::meta::TreeId;
use crate::topic::TopicId;

pub(crate) const MAGIC: &[u8; 8] = b"OTTLAWAL";
pub(crate) const VERSION: u32 = 2;
/// Where records start: a page, so that the header's page is not written again with records.
pub(crate) const HEADER_LEN: u64 = 4096;
pub(crate) const RECORD_HEADER_LEN: usize = 16;

const APPEND_LEN: usize = 1 + 16 + 4 + 8 * 6 + 4;

/// The place of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub topic: TopicId,
    pub partition: i32,
    pub base_offset: i64,
    pub next_offset: i64,
    /// The base offset of the segment.
    pub segment: i64,
    /// In the segment's file.
    pub position: u64,
    pub now_ms: i64,
    pub max_timestamp: i64,
}

/// When bytes in a segment reached the device, and the record that names them was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenSynced {
    /// Before the record was written: they are there.
    Before,
    /// While the record was synced. Nothing that follows the commit was in the journal before both were done.
    Meanwhile,
    /// Some time: what follows the commit is of no use without it.
    Later,
}

/// Where an append's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Inline(Bytes),
    /// In the segment already. `headers` are those of its batches, one after the other, so that recovery reads nothing that was synced.
    Segment {
        len: u32,
        synced: WhenSynced,
        headers: Bytes,
    },
}

/// An op of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JournalOp {
    Append(Place, Body),
    Meta {
        tree: TreeId,
        key: Bytes,
        value: Option<Bytes>,
    },
}

impl JournalOp {
    /// Whether it changes which topics there are, or where a log starts.
    pub fn changes_catalogue(&self) -> bool {
        matches!(self, JournalOp::Meta { tree, .. } if *tree >= crate::meta::TOPICS)
    }
}

/// The header of a journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub version: u32,
    pub id: u64,
    pub after_seq: u64,
}

impl FileHeader {
    pub fn encode(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[12..20].copy_from_slice(&self.id.to_le_bytes());
        out[20..28].copy_from_slice(&self.after_seq.to_le_bytes());
        let crc = crc32c::crc32c(&out[..28]);
        out[28..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` if this is not the header of a journal file, or a torn one.
    pub fn decode(bytes: &[u8]) -> Option<FileHeader> {
        let mut r = Reader(bytes.get(..32)?);
        if r.take(8)? != MAGIC || crc32c::crc32c(&bytes[..28]).to_le_bytes() != bytes[28..32] {
            return None;
        }
        Some(FileHeader {
            version: r.u32()?,
            id: r.u64()?,
            after_seq: r.u64()?,
        })
    }
}

fn seeded_crc(file_id: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&file_id.to_le_bytes()), bytes)
}

impl WhenSynced {
    /// The op's number.
    fn kind(self) -> u8 {
        match self {
            WhenSynced::Before => 2,
            WhenSynced::Later => 3,
            WhenSynced::Meanwhile => 8,
        }
    }

    fn of(kind: u8) -> Option<WhenSynced> {
        let all = [Self::Before, Self::Meanwhile, Self::Later];
        all.into_iter().find(|when| when.kind() == kind)
    }
}

impl JournalOp {
    pub fn encoded_len(&self) -> usize {
        match self {
            JournalOp::Append(_, Body::Inline(bytes)) => APPEND_LEN + bytes.len(),
            JournalOp::Append(_, Body::Segment { headers, .. }) => APPEND_LEN + 8 + headers.len(),
            JournalOp::Meta { key, value, .. } => {
                6 + key.len() + value.as_ref().map_or(0, |v| 4 + v.len())
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            JournalOp::Append(place, body) => {
                let (kind, len) = match body {
                    Body::Inline(bytes) => (1, bytes.len() as u32),
                    Body::Segment { len, synced, .. } => (synced.kind(), *len),
                };
                out.push(kind);
                out.extend_from_slice(place.topic.as_bytes());
                out.extend_from_slice(&place.partition.to_le_bytes());
                out.extend_from_slice(&place.base_offset.to_le_bytes());
                out.extend_from_slice(&place.next_offset.to_le_bytes());
                out.extend_from_slice(&place.segment.to_le_bytes());
                out.extend_from_slice(&place.position.to_le_bytes());
                out.extend_from_slice(&place.now_ms.to_le_bytes());
                out.extend_from_slice(&place.max_timestamp.to_le_bytes());
                out.extend_from_slice(&len.to_le_bytes());
                match body {
                    Body::Inline(bytes) => out.extend_from_slice(bytes),
                    Body::Segment { headers, .. } => {
                        out.extend_from_slice(&[0; 4]);
                        let count = (headers.len() / batch::HEADER_LEN) as u32;
                        out.extend_from_slice(&count.to_le_bytes());
                        out.extend_from_slice(headers);
                    }
                }
            }
            JournalOp::Meta { tree, key, value } => {
                out.push(if value.is_some() { 4 } else { 5 });
                out.push(*tree);
                out.extend_from_slice(&(key.len() as u32).to_le_bytes());
                out.extend_from_slice(key);
                if let Some(value) = value {
                    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                    out.extend_from_slice(value);
                }
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Option<JournalOp> {
        let kind = r.u8()?;
        match kind {
            1..=3 | 8 => {
                let place = Place {
                    topic: TopicId::from_bytes(r.take(16)?.try_into().ok()?),
                    partition: r.u32()? as i32,
                    base_offset: r.u64()? as i64,
                    next_offset: r.u64()? as i64,
                    segment: r.u64()? as i64,
                    position: r.u64()?,
                    now_ms: r.u64()? as i64,
                    max_timestamp: r.u64()? as i64,
                };
                let len = r.u32()?;
                let body = match WhenSynced::of(kind) {
                    None => Body::Inline(Bytes::copy_from_slice(r.take(len as usize)?)),
                    Some(synced) => {
                        r.u32()?;
                        let count = r.u32()? as usize;
                        let headers_len = count.checked_mul(batch::HEADER_LEN)?;
                        let headers = Bytes::copy_from_slice(r.take(headers_len)?);
                        Body::Segment {
                            len,
                            synced,
                            headers,
                        }
                    }
                };
                Some(JournalOp::Append(place, body))
            }
            4 | 5 => {
                let tree = r.u8()?;
                let key_len = r.u32()? as usize;
                let key = Bytes::copy_from_slice(r.take(key_len)?);
                let value = if kind == 4 {
                    let len = r.u32()? as usize;
                    Some(Bytes::copy_from_slice(r.take(len)?))
                } else {
                    None
                };
                Some(JournalOp::Meta { tree, key, value })
            }
            _ => None,
        }
    }
}

/// The bytes that a record of these ops takes.
pub(crate) fn record_len(ops: &[JournalOp]) -> usize {
    RECORD_HEADER_LEN + ops.iter().map(JournalOp::encoded_len).sum::<usize>()
}

/// Bytes that a record takes more if it begins a synced group.
pub(crate) const GROUP_MARK_LEN: usize = 1 + 8;
const GROUP_MARK: u8 = 7;
/// Of version 1, with which bytes in segments were synced before the record was written.
const OLD_GROUP_MARK: u8 = 6;

/// Whether a payload says that all records before it were synced before it was written.
pub(crate) fn begins_synced_group(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(GROUP_MARK | OLD_GROUP_MARK)))
}

/// The first record of which a payload does not say that all it names in segments was synced. 0 if it says nothing of that.
pub(crate) fn first_unsettled(payload: &[u8]) -> u64 {
    split_mark(payload).map_or(0, |(first, _)| first)
}

/// What the mark says, and the ops behind it.
fn split_mark(payload: &[u8]) -> Option<(u64, Reader<'_>)> {
    let mut r = Reader(payload);
    match payload.first() {
        Some(&GROUP_MARK) => {
            r.u8()?;
            Some((r.u64()?, r))
        }
        Some(&OLD_GROUP_MARK) => {
            r.u8()?;
            Some((0, r))
        }
        _ => Some((0, r)),
    }
}

/// Appends a record to `out`. `begins_group`: all that the journal holds is synced, and so is what records before this number name in
/// segments.
pub(crate) fn encode_record(
    out: &mut Vec<u8>,
    file_id: u64,
    seq: u64,
    ops: &[JournalOp],
    begins_group: Option<u64>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&seq.to_le_bytes());
    if let Some(first_unsettled) = begins_group {
        out.push(GROUP_MARK);
        out.extend_from_slice(&first_unsettled.to_le_bytes());
    }
    for op in ops {
        op.encode(out);
    }
    let len = (out.len() - start - RECORD_HEADER_LEN) as u32;
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    let crc = seeded_crc(file_id, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The record at the front of `bytes`: sequence number, payload, the record's whole length. `None` if there is no whole and sound one.
pub(crate) fn decode_record(bytes: &[u8], file_id: u64) -> Option<(u64, &[u8], usize)> {
    let mut r = Reader(bytes);
    let crc = r.u32()?;
    let len = r.u32()? as usize;
    let seq = r.u64()?;
    let payload = r.take(len)?;
    let whole = RECORD_HEADER_LEN + len;
    (seeded_crc(file_id, &bytes[4..whole]) == crc && seq != 0).then_some((seq, payload, whole))
}

/// The ops of a payload. `None` for an op that this version does not know: damage, since the CRC was right.
pub(crate) fn decode_ops(payload: &[u8]) -> Option<Vec<JournalOp>> {
    let (_, mut r) = split_mark(payload)?;
    let mut ops = Vec::new();
    while !r.0.is_empty() {
        ops.push(JournalOp::decode(&mut r)?);
    }
    Some(ops)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }
    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops() -> Vec<JournalOp> {
        let place = Place {
            topic: TopicId::from_u128(7),
            partition: 3,
            base_offset: 10,
            next_offset: 12,
            segment: 0,
            position: 99,
            now_ms: 5,
            max_timestamp: -1,
        };
        vec![
            JournalOp::Append(place, Body::Inline(Bytes::from_static(b"abc"))),
            JournalOp::Append(
                place,
                Body::Segment {
                    len: 70_000,
                    synced: WhenSynced::Before,
                    headers: Bytes::from_static(&[9; 61]),
                },
            ),
            JournalOp::Append(
                place,
                Body::Segment {
                    len: 80_000,
                    synced: WhenSynced::Meanwhile,
                    headers: Bytes::from_static(&[8; 122]),
                },
            ),
            JournalOp::Append(
                place,
                Body::Segment {
                    len: 90_000,
                    synced: WhenSynced::Later,
                    headers: Bytes::from_static(&[7; 61]),
                },
            ),
            JournalOp::Meta {
                tree: 2,
                key: Bytes::from_static(b"k"),
                value: Some(Bytes::new()),
            },
            JournalOp::Meta {
                tree: 2,
                key: Bytes::new(),
                value: None,
            },
        ]
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let mut out = Vec::new();
        encode_record(&mut out, 4, 9, &ops(), None);
        assert_eq!(out.len(), record_len(&ops()));
        let (seq, payload, len) = decode_record(&out, 4).expect("whole");
        assert_eq!((seq, len), (9, out.len()));
        assert_eq!(decode_ops(payload), Some(ops()));
    }

    #[test]
    fn the_mark_of_a_group_is_no_op() {
        let mut out = Vec::new();
        encode_record(&mut out, 4, 9, &ops(), Some(7));
        assert_eq!(out.len(), record_len(&ops()) + GROUP_MARK_LEN);
        let (_, payload, _) = decode_record(&out, 4).expect("whole");
        assert!(begins_synced_group(payload));
        assert_eq!(first_unsettled(payload), 7);
        assert_eq!(decode_ops(payload), Some(ops()));
        let of_version_1 = [&[OLD_GROUP_MARK], &payload[GROUP_MARK_LEN..]].concat();
        assert!(begins_synced_group(&of_version_1));
        assert_eq!(first_unsettled(&of_version_1), 0);
        assert_eq!(decode_ops(&of_version_1), Some(ops()));
        assert_eq!(decode_ops(&payload[..GROUP_MARK_LEN - 1]), None);
    }

    #[test]
    fn a_record_of_another_life_of_the_file_is_refused() {
        let mut out = Vec::new();
        encode_record(&mut out, 4, 9, &ops(), None);
        assert!(decode_record(&out, 5).is_none());
    }

    #[test]
    fn every_cut_and_every_flipped_byte_of_a_record_is_noticed() {
        let mut out = Vec::new();
        encode_record(&mut out, 4, 9, &ops(), None);
        for i in 0..out.len() {
            assert!(decode_record(&out[..i], 4).is_none());
            let mut bad = out.clone();
            bad[i] ^= 0x40;
            assert!(decode_record(&bad, 4).is_none());
        }
        assert!(decode_record(&[0; 64], 4).is_none());
    }

    #[test]
    fn a_file_header_reads_back_or_not_at_all() {
        let header = FileHeader {
            version: VERSION,
            id: 3,
            after_seq: 77,
        };
        let mut bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Some(header));
        bytes[13] ^= 1;
        assert_eq!(FileHeader::decode(&bytes), None);
    }
}
