//! The sparse offset and time indexes of a segment, in Kafka's file formats (big-endian):
//! an offset entry is the last offset of a batch, relative to the segment, and the batch's position (4 + 4 bytes);
//! a time entry is the largest timestamp so far and the relative offset of the batch that has it (8 + 4 bytes).

use std::io;

use serde::{Deserialize, Serialize};

use crate::fs::File;
use crate::partition::SegmentTimes;

pub(crate) const OFFSET_ENTRY: usize = 8;
pub(crate) const TIME_ENTRY: usize = 12;

/// An entry of the offset index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// The last offset of the batch at `position`.
    pub offset: i64,
    pub position: u64,
}

/// How many entries the files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct IndexLen {
    pub offsets: u32,
    pub times: u32,
}

/// The end of a segment's indexes: what the files do not have yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexTail {
    pub in_file: IndexLen,
    pub offsets: Vec<OffsetEntry>,
    pub times: Vec<SegmentTimes>,
    /// Bytes since the last entry.
    pub bytes_since: usize,
    /// The last time entry, in the file or not.
    pub last_time: Option<SegmentTimes>,
    /// The last time entry in the file.
    pub last_time_in_file: Option<SegmentTimes>,
}

impl IndexTail {
    /// Notes a batch: an entry if more than `interval` bytes came since the last.
    pub fn note(
        &mut self,
        last_offset: i64,
        position: u64,
        size: usize,
        interval: usize,
        times: SegmentTimes,
    ) {
        if self.bytes_since > interval {
            self.offsets.push(OffsetEntry {
                offset: last_offset,
                position,
            });
            self.note_time(times);
            self.bytes_since = 0;
        }
        self.bytes_since += size;
    }

    fn note_time(&mut self, times: SegmentTimes) {
        let last = self.last_time.map_or(-1, |t| t.max_timestamp);
        if times.max_timestamp > last {
            self.times.push(times);
            self.last_time = Some(times);
        }
    }

    /// The segment is full: its largest timestamp ends the time index.
    pub fn close(&mut self, times: SegmentTimes) {
        self.note_time(times);
    }

    /// Forgets entries at or after `offset`. Those in the files are older than anything that is ever taken back.
    pub fn truncate(&mut self, offset: i64) {
        while self.offsets.pop_if(|e| e.offset >= offset).is_some() {}
        while self.times.pop_if(|t| t.offset >= offset).is_some() {}
        self.last_time = self.times.last().copied().or(self.last_time_in_file);
    }

    /// The first `offsets` and `times` entries are in the files now.
    pub fn written(&mut self, offsets: usize, times: usize) {
        self.offsets.drain(..offsets);
        if let Some(last) = self.times.drain(..times).next_back() {
            self.last_time_in_file = Some(last);
        }
        self.in_file.offsets += offsets as u32;
        self.in_file.times += times as u32;
    }

    /// Whether the files have every entry.
    pub fn is_in_files(&self) -> bool {
        self.offsets.is_empty() && self.times.is_empty()
    }

    /// The last entry that is not in a file and not above `offset`.
    pub fn floor(&self, offset: i64) -> Option<OffsetEntry> {
        let at = self.offsets.partition_point(|e| e.offset <= offset);
        Some(self.offsets[at.checked_sub(1)?])
    }

    /// The last entry that is not in a file and whose batch starts at or before `position`.
    pub fn floor_position(&self, position: u64) -> Option<OffsetEntry> {
        let at = self.offsets.partition_point(|e| e.position <= position);
        Some(self.offsets[at.checked_sub(1)?])
    }

    /// The last time entry that is not in a file and not above `timestamp`.
    pub fn floor_time(&self, timestamp: i64) -> Option<SegmentTimes> {
        let at = self.times.partition_point(|t| t.max_timestamp <= timestamp);
        Some(self.times[at.checked_sub(1)?])
    }

    /// The entries as bytes for the files.
    pub fn encode(&self, base: i64) -> (Vec<u8>, Vec<u8>) {
        let mut offsets = Vec::with_capacity(self.offsets.len() * OFFSET_ENTRY);
        for e in &self.offsets {
            offsets.extend_from_slice(&((e.offset - base) as u32).to_be_bytes());
            offsets.extend_from_slice(&(e.position as u32).to_be_bytes());
        }
        let mut times = Vec::with_capacity(self.times.len() * TIME_ENTRY);
        for t in &self.times {
            times.extend_from_slice(&t.max_timestamp.to_be_bytes());
            times.extend_from_slice(&((t.offset - base) as u32).to_be_bytes());
        }
        (offsets, times)
    }
}

/// Reads entry `i` of an offset index.
pub(crate) fn offset_entry(file: &dyn File, base: i64, i: u32) -> io::Result<OffsetEntry> {
    let mut b = [0; OFFSET_ENTRY];
    file.read_exact_at(u64::from(i) * OFFSET_ENTRY as u64, &mut b)?;
    Ok(OffsetEntry {
        offset: base + i64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])),
        position: u64::from(u32::from_be_bytes([b[4], b[5], b[6], b[7]])),
    })
}

/// Reads entry `i` of a time index.
pub(crate) fn time_entry(file: &dyn File, base: i64, i: u32) -> io::Result<SegmentTimes> {
    let mut b = [0; TIME_ENTRY];
    file.read_exact_at(u64::from(i) * TIME_ENTRY as u64, &mut b)?;
    let (t, o) = b.split_at(8);
    Ok(SegmentTimes {
        max_timestamp: i64::from_be_bytes(t.try_into().expect("8 bytes")),
        offset: base + i64::from(u32::from_be_bytes(o.try_into().expect("4 bytes"))),
    })
}

/// The last of `count` ordered entries for which `below` holds, read one by one in a binary search: an index in a file costs no memory.
pub(crate) fn floor_by<T>(
    count: u32,
    read: impl Fn(u32) -> io::Result<T>,
    below: impl Fn(&T) -> bool,
) -> io::Result<Option<T>> {
    let (mut low, mut high) = (0, count);
    let mut found = None;
    while low < high {
        let mid = low + (high - low) / 2;
        let entry = read(mid)?;
        if below(&entry) {
            found = Some(entry);
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_after_more_than_the_interval_and_names_the_last_offset() {
        let mut tail = IndexTail::default();
        let times = SegmentTimes {
            max_timestamp: 5,
            offset: 1,
        };
        tail.note(1, 0, 60, 100, times);
        tail.note(3, 60, 60, 100, times);
        assert!(tail.offsets.is_empty());
        tail.note(5, 120, 60, 100, times);
        assert_eq!(
            tail.offsets,
            [OffsetEntry {
                offset: 5,
                position: 120
            }]
        );
        assert_eq!(tail.times, [times]);
    }

    #[test]
    fn the_floor_is_the_last_entry_not_above() {
        let read = |i: u32| Ok(i64::from(i) * 10);
        for (target, expected) in [(-1, None), (0, Some(0)), (9, Some(0)), (95, Some(90))] {
            assert_eq!(
                floor_by(10, read, |e| *e <= target).expect("reads"),
                expected
            );
        }
        assert_eq!(floor_by(0, read, |_| true).expect("reads"), None);
    }
}
