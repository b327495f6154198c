//! Verifies what a store holds: every batch's CRC, that offsets follow each other, every entry of the indexes.

use std::io;

use ottla_codec::batch;

use crate::fs::File;
use crate::index;
use crate::partition::files::{SegmentFile, SegmentId};
use crate::partition::walk::{BatchAt, Walk};
use crate::partition::{Partition, SegmentTimes};
use crate::store::{Inner, Store};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CheckReport {
    pub topics: usize,
    pub partitions: usize,
    pub segments: usize,
    pub batches: u64,
    pub bytes: u64,
    pub problems: Vec<Problem>,
}

/// Damage, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Problem {
    pub topic: String,
    pub partition: i32,
    /// The base offset of the segment.
    pub segment: i64,
    /// What is wrong, in words.
    pub reason: String,
}

impl Store {
    /// Brings everything into segments, then reads and verifies all of it. Blocking; the store stays usable.
    pub fn check(&self) -> Result<CheckReport, crate::StoreError> {
        let inner = self.inner();
        inner
            .checkpoint()
            .map_err(|e| crate::StoreError::Failed(format!("checkpoint: {e}")))?;
        Ok(inner.check())
    }
}

impl Inner {
    fn check(&self) -> CheckReport {
        let mut report = CheckReport::default();
        for topic in self.catalog.topics().iter() {
            report.topics += 1;
            for index in 0..topic.partitions {
                report.partitions += 1;
                let Some(partition) = self.partition(&topic.id, index) else {
                    report.problems.push(Problem {
                        topic: topic.name.to_string(),
                        partition: index,
                        segment: 0,
                        reason: "the partition cannot be loaded".to_owned(),
                    });
                    continue;
                };
                check_partition(&partition, &topic.name, &mut report);
            }
        }
        report
    }
}

fn check_partition(partition: &Partition, topic: &str, report: &mut CheckReport) {
    let segments: Vec<(SegmentId, i64, u64, index::IndexLen)> = {
        let log = partition.lock();
        let of = |(i, s): (usize, &crate::partition::Segment)| {
            (s.id(), log.segment_end(i), s.size, s.index.in_file)
        };
        log.segments.iter().enumerate().map(of).collect()
    };
    for (id, end, size, len) in segments.into_iter().filter(|s| s.2 > 0) {
        report.segments += 1;
        let mut problem = |reason: String| {
            report.problems.push(Problem {
                topic: topic.to_owned(),
                partition: partition.index(),
                segment: id.base,
                reason,
            });
        };
        let mut indexes = Indexes::read(partition, id, len);
        match check_segment(partition, id, end, size, &mut indexes) {
            Ok((batches, bytes)) => {
                report.batches += batches;
                report.bytes += bytes;
                indexes.problems().into_iter().for_each(&mut problem);
            }
            // Without all batches the indexes cannot be judged.
            Err(e) => problem(e.to_string()),
        }
    }
}

/// The entries of a segment's indexes; those that named a batch are passed.
struct Indexes {
    offsets: io::Result<Vec<index::OffsetEntry>>,
    times: io::Result<Vec<SegmentTimes>>,
    offsets_at: usize,
    times_at: usize,
}

impl Indexes {
    fn read(p: &Partition, id: SegmentId, len: index::IndexLen) -> Indexes {
        let offsets = read_entries(p, id, SegmentFile::Index, len.offsets, index::offset_entry);
        let times = read_entries(p, id, SegmentFile::TimeIndex, len.times, index::time_entry);
        Indexes {
            offsets,
            times,
            offsets_at: 0,
            times_at: 0,
        }
    }

    fn pass(&mut self, batch: &BatchAt) {
        let last = batch.next_offset - 1;
        if let Ok(offsets) = &self.offsets
            && offsets
                .get(self.offsets_at)
                .is_some_and(|e| e.position == batch.position && e.offset == last)
        {
            self.offsets_at += 1;
        }
        if let Ok(times) = &self.times
            && times
                .get(self.times_at)
                .is_some_and(|t| t.offset == last && t.max_timestamp == batch.max_timestamp)
        {
            self.times_at += 1;
        }
    }

    fn problems(&self) -> Vec<String> {
        let judge = |name, count: Result<usize, &io::Error>, at: usize| match count {
            Err(e) => Some(format!("{name}: {e}")),
            Ok(count) if at < count => Some(format!("{name}: entry {at} names no batch")),
            Ok(_) => None,
        };
        let offsets = self.offsets.as_ref().map(Vec::len);
        let times = self.times.as_ref().map(Vec::len);
        [
            judge("offset index", offsets, self.offsets_at),
            judge("time index", times, self.times_at),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn read_entries<T>(
    p: &Partition,
    id: SegmentId,
    kind: SegmentFile,
    count: u32,
    read: fn(&dyn File, i64, u32) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let file = p.file(id, kind)?;
    (0..count).map(|i| read(&*file, id.base, i)).collect()
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn check_segment(
    p: &Partition,
    id: SegmentId,
    end: i64,
    size: u64,
    indexes: &mut Indexes,
) -> io::Result<(u64, u64)> {
    // What a segment was made from had records that it lacks.
    let may_have_gaps = id.generation > 0;
    let file = p.file(id, SegmentFile::Log)?;
    let mut walk = Walk::new(&*file, 0, size);
    let (mut batches, mut expected) = (0, id.base);
    while let Some(at) = walk.next()? {
        let (found, position) = (at.base_offset, at.position);
        if found != expected && !may_have_gaps {
            return Err(invalid(format!(
                "batch at position {position} has base offset {found} instead of {expected}"
            )));
        }
        if found < expected || at.next_offset > end {
            return Err(invalid(format!(
                "batch at position {position} has offsets {found} to {} instead of some within {expected} to {}",
                at.next_offset - 1,
                end - 1
            )));
        }
        let mut bytes = vec![0; at.size as usize];
        file.read_exact_at(at.position, &mut bytes)?;
        batch::check_crc(&bytes)
            .map_err(|e| invalid(format!("batch at offset {}: {e}", at.base_offset)))?;
        indexes.pass(&at);
        expected = at.next_offset;
        batches += 1;
    }
    if expected != end && !may_have_gaps {
        return Err(invalid(format!(
            "ends at offset {expected} instead of {end}"
        )));
    }
    Ok((batches, size))
}
