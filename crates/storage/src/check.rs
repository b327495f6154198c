//! Verifies what a store holds: every batch's CRC, that offsets follow each other, every entry of the offset indexes.

use std::io;

use ottla_codec::batch;

use crate::index;
use crate::partition::Partition;
use crate::partition::files::SegmentFile;
use crate::partition::walk::Walk;
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
    let segments: Vec<(i64, i64, u64, index::IndexLen)> = {
        let log = partition.lock();
        let of = |(i, s): (usize, &crate::partition::Segment)| {
            (s.base_offset, log.segment_end(i), s.size, s.index.in_file)
        };
        log.segments.iter().enumerate().map(of).collect()
    };
    for (base, end, size, len) in segments.into_iter().filter(|s| s.2 > 0) {
        report.segments += 1;
        let mut problem = |reason: String| {
            report.problems.push(Problem {
                topic: topic.to_owned(),
                partition: partition.index(),
                segment: base,
                reason,
            });
        };
        match check_segment(partition, base, end, size) {
            Ok((batches, bytes)) => {
                report.batches += batches;
                report.bytes += bytes;
            }
            Err(e) => problem(e.to_string()),
        }
        if let Err(e) = check_index(partition, base, size, len) {
            report.problems.push(Problem {
                topic: topic.to_owned(),
                partition: partition.index(),
                segment: base,
                reason: format!("offset index: {e}"),
            });
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn check_segment(p: &Partition, base: i64, end: i64, size: u64) -> io::Result<(u64, u64)> {
    let file = p.file(base, SegmentFile::Log)?;
    let mut walk = Walk::new(&*file, 0, size);
    let (mut batches, mut expected) = (0, base);
    while let Some(at) = walk.next()? {
        if at.base_offset != expected {
            return Err(invalid(format!(
                "batch at position {} has base offset {} instead of {expected}",
                at.position, at.base_offset
            )));
        }
        let mut bytes = vec![0; at.size as usize];
        file.read_exact_at(at.position, &mut bytes)?;
        batch::check_crc(&bytes)
            .map_err(|e| invalid(format!("batch at offset {}: {e}", at.base_offset)))?;
        expected = at.next_offset;
        batches += 1;
    }
    if expected != end {
        return Err(invalid(format!(
            "ends at offset {expected} instead of {end}"
        )));
    }
    Ok((batches, size))
}

fn check_index(p: &Partition, base: i64, size: u64, len: index::IndexLen) -> io::Result<()> {
    if len.offsets == 0 {
        return Ok(());
    }
    let file = p.file(base, SegmentFile::Index)?;
    let log = p.file(base, SegmentFile::Log)?;
    for i in 0..len.offsets {
        let entry = index::offset_entry(&*file, base, i)?;
        let batch = Walk::new(&*log, entry.position, size).next()?;
        if batch.is_none_or(|b| b.next_offset != entry.offset + 1) {
            return Err(invalid(format!("entry {i} names no batch")));
        }
    }
    Ok(())
}
