//! A partition's row in the catalogue: what a checkpoint knows of it. The log is loaded from it without reading a segment.
//!
//! Its bytes are those of [`PartitionRow`]; if the partition was ever compacted [`MARK`] comes before them and those of [`Compacted`] behind.

use serde::{Deserialize, Serialize};

use super::files::SegmentId;
use super::log::{Segment, SegmentTimes};
use crate::index::{IndexLen, IndexTail};
use crate::topic::TopicId;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionRow {
    pub end: i64,
    pub segments: Vec<SegmentRow>,
    /// In [`Compacted`].
    #[serde(skip)]
    pub cleaned_to: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    pub base_offset: i64,
    pub size: u64,
    pub times: SegmentTimes,
    pub created_ms: i64,
    pub index: IndexLen,
    pub bytes_since_index: u64,
    pub last_time: Option<SegmentTimes>,
    /// In [`Compacted`].
    #[serde(skip)]
    pub generation: u32,
}

/// No number begins so: a version that knows of no generations cannot read the row. It would look for files that are gone, and forget which
/// there are.
const MARK: [u8; 10] = [0xff; 10];

/// What compaction left.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Compacted {
    /// Generations that are not 0, each with the number of its segment in the row.
    generations: Vec<(u32, u32)>,
    cleaned_to: i64,
}

/// The offset up to which a state has seen batches, and its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRow {
    pub end: i64,
    pub snapshot: Vec<u8>,
}

/// The key of a partition in every tree.
pub(crate) fn partition_key(topic: &TopicId, index: i32) -> Vec<u8> {
    let mut key = topic.as_bytes().to_vec();
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// What [`partition_key`] made.
pub(crate) fn parse_partition_key(key: &[u8]) -> Option<(TopicId, i32)> {
    let (topic, index) = key.split_at_checked(16)?;
    Some((
        TopicId::from_slice(topic).ok()?,
        i32::from_be_bytes(index.try_into().ok()?),
    ))
}

impl PartitionRow {
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let bytes = postcard::to_stdvec(self)?;
        let numbered = (0..).zip(&self.segments);
        let compacted = Compacted {
            generations: numbered
                .filter(|(_, s)| s.generation > 0)
                .map(|(i, s)| (i, s.generation))
                .collect(),
            cleaned_to: self.cleaned_to,
        };
        if compacted.generations.is_empty() && compacted.cleaned_to == 0 {
            return Ok(bytes);
        }
        let compacted = postcard::to_stdvec(&compacted)?;
        Ok([&MARK[..], &bytes, &compacted].concat())
    }

    pub fn decode(bytes: &[u8]) -> Result<PartitionRow, postcard::Error> {
        let Some(marked) = bytes.strip_prefix(&MARK) else {
            return postcard::from_bytes(bytes);
        };
        let (mut row, rest) = postcard::take_from_bytes::<PartitionRow>(marked)?;
        let compacted: Compacted = postcard::from_bytes(rest)?;
        for (i, generation) in compacted.generations {
            let segment = row.segments.get_mut(i as usize);
            segment
                .ok_or(postcard::Error::DeserializeBadEncoding)?
                .generation = generation;
        }
        row.cleaned_to = compacted.cleaned_to;
        Ok(row)
    }
}

impl SegmentRow {
    pub fn id(&self) -> SegmentId {
        SegmentId {
            base: self.base_offset,
            generation: self.generation,
        }
    }

    /// The row of a segment whose index tail is about to be in the files.
    pub fn of(segment: &Segment) -> SegmentRow {
        let index = &segment.index;
        SegmentRow {
            base_offset: segment.base_offset,
            size: segment.size,
            times: segment.times,
            created_ms: segment.created_ms,
            index: IndexLen {
                offsets: index.in_file.offsets + index.offsets.len() as u32,
                times: index.in_file.times + index.times.len() as u32,
            },
            bytes_since_index: index.bytes_since as u64,
            last_time: index.last_time,
            generation: segment.generation,
        }
    }

    /// The segment as it was when the row was made; `active`: the last of its partition.
    pub fn load(&self, active: bool) -> Segment {
        Segment {
            base_offset: self.base_offset,
            generation: self.generation,
            size: self.size,
            times: self.times,
            created_ms: self.created_ms,
            index: IndexTail {
                in_file: self.index,
                offsets: Vec::new(),
                times: Vec::new(),
                bytes_since: self.bytes_since_index as usize,
                last_time: self.last_time,
                last_time_in_file: self.last_time,
            },
            // One that is closed is not written to, and may be empty.
            fresh: active && self.size == 0,
            unnamed: false,
            unsynced: false,
            last_seq: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn row() -> PartitionRow {
        let segment = |base_offset, size| SegmentRow {
            base_offset,
            size,
            times: SegmentTimes {
                max_timestamp: 7,
                offset: base_offset + 1,
            },
            created_ms: 5,
            index: IndexLen {
                offsets: 1,
                times: 2,
            },
            bytes_since_index: 9,
            last_time: None,
            generation: 0,
        };
        PartitionRow {
            end: 300,
            segments: vec![segment(0, 1000), segment(200, 64)],
            cleaned_to: 0,
        }
    }

    /// As this row was written before there was compaction.
    const NEVER_COMPACTED: &[u8] = &[
        0xd8, 0x04, 2, 0, 0xe8, 7, 14, 2, 10, 1, 2, 9, 0, 0x90, 3, 64, 14, 0x92, 3, 10, 1, 2, 9, 0,
    ];

    #[test]
    fn the_row_of_a_partition_that_was_never_compacted_is_as_ever() {
        assert_eq!(row().encode().unwrap(), NEVER_COMPACTED);
        assert_eq!(PartitionRow::decode(NEVER_COMPACTED).unwrap(), row());
    }

    #[test]
    fn generations_and_where_it_is_clean_are_in_a_row_that_older_versions_refuse() {
        let mut compacted = row();
        compacted.segments[1].generation = 3;
        compacted.cleaned_to = 300;
        let bytes = compacted.encode().unwrap();
        assert!(bytes[MARK.len()..].starts_with(NEVER_COMPACTED));
        assert!(postcard::from_bytes::<PartitionRow>(&bytes).is_err());
        assert_eq!(PartitionRow::decode(&bytes).unwrap(), compacted);
        let ids: Vec<SegmentId> = compacted.segments.iter().map(SegmentRow::id).collect();
        assert_eq!((ids[0].generation, ids[1].generation), (0, 3));
        // Cleaned, and nothing was to be removed.
        let mut clean = row();
        clean.cleaned_to = 200;
        let bytes = clean.encode().unwrap();
        assert_eq!(PartitionRow::decode(&bytes).unwrap(), clean);
    }

    #[test]
    fn a_generation_of_no_segment_is_damage() {
        let mut bytes = [&MARK[..], NEVER_COMPACTED, &[1, 2, 3, 0]].concat();
        assert!(PartitionRow::decode(&bytes).is_err());
        while bytes.pop().is_some() && bytes.len() >= MARK.len() {
            assert!(PartitionRow::decode(&bytes).is_err());
        }
    }
}
