//! A partition's row in the catalogue: what a checkpoint knows of it. The log is loaded from it without reading a segment.

use serde::{Deserialize, Serialize};

use super::log::{Segment, SegmentTimes};
use crate::index::{IndexLen, IndexTail};
use crate::topic::TopicId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionRow {
    pub end: i64,
    pub segments: Vec<SegmentRow>,
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

impl SegmentRow {
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
        }
    }

    pub fn load(&self) -> Segment {
        Segment {
            base_offset: self.base_offset,
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
            fresh: self.size == 0,
            unsynced: false,
        }
    }
}
