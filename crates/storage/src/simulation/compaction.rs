//! Segments that are replaced in the simulation. Stands in for a pass: it drops batches, and writes some with other records, at random.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ottla_codec::batch::BatchHeader;
use ottla_codec::records::{BatchBuilder, Record};
use rand::Rng;

use super::Simulation;
use super::model::PartitionModel;
use crate::fs::{Fs, is_disk_full};
use crate::partition::files::parse_file_name;
use crate::{ClosedSegment, NewSegment, Partition, Replaced, SegmentId};

/// What a replacement makes of batches: base offset, and what is there after it.
type Changes = Vec<(i64, Option<Bytes>)>;

/// A segment that is written and not in its place yet.
pub(super) struct Pending {
    partition: Arc<Partition>,
    sources: Vec<ClosedSegment>,
    new: NewSegment,
    changes: Changes,
}

impl PartitionModel {
    fn replace(&mut self, changes: Changes) {
        let mut before = Vec::with_capacity(changes.len());
        for (base, bytes) in changes {
            let at = self.batches.partition_point(|b| b.base < base);
            let batch = &mut self.batches[at];
            assert_eq!(batch.base, base);
            before.push((base, std::mem::replace(&mut batch.bytes, bytes)));
        }
        self.replaced.push(before);
    }

    /// Takes back the last replacement that no checkpoint has; `false`: there is none.
    fn take_back(&mut self) -> bool {
        let Some(before) = self.replaced.pop() else {
            return false;
        };
        self.replace(before);
        self.replaced.pop();
        true
    }

    /// The log is what it was after one of the replacements, all of each or nothing. Those behind that never were.
    pub(super) fn settle_replacements(&mut self, found: &[(i64, Bytes)], start: i64) {
        let is = |model: &PartitionModel| {
            let there = model.batches.iter().filter(|b| b.next > start);
            let there = there.filter_map(|b| Some((b.base, b.bytes.as_ref()?)));
            there.eq(found.iter().map(|(base, bytes)| (*base, bytes)))
        };
        while !is(self) {
            let bases: Vec<i64> = found.iter().map(|f| f.0).collect();
            assert!(
                self.take_back(),
                "from {start} on: {bases:?} is neither the old nor the new"
            );
        }
        self.replaced.clear();
    }
}

impl Simulation {
    /// Writes what is to take the place of some closed segments.
    pub(super) fn rewrite(&mut self) {
        // What came to nothing is removed.
        self.pending = None;
        let Some(p) = self.pick() else { return };
        if self.rng.random_bool(0.3) {
            p.roll(1);
        }
        let ready = p.closed_segments().ready;
        if ready.is_empty() {
            return;
        }
        let from = self.rng.random_range(0..ready.len());
        let to = self.rng.random_range(from..ready.len().min(from + 4));
        let sources = ready[from..=to].to_vec();
        match self.write_thinned(&p, &sources) {
            Ok((new, changes)) => {
                self.pending = Some(Pending {
                    partition: p,
                    sources,
                    new,
                    changes,
                });
            }
            Err(e) => self.allow(&e),
        }
    }

    fn write_thinned(
        &mut self,
        p: &Partition,
        sources: &[ClosedSegment],
    ) -> io::Result<(NewSegment, Changes)> {
        let generation = sources.iter().map(|s| s.id.generation).max().unwrap() + 1;
        let mut writer = p.begin_segment(sources[0].id.base, generation)?;
        let mut changes = Vec::new();
        let dropped = *[0.1, 0.5, 0.9, 1.0]
            .get(self.rng.random_range(0..4))
            .unwrap();
        for source in sources {
            let mut reader = p.read_closed(source, |_| Ok(()))?;
            while let Some((header, bytes)) = reader.next()? {
                if self.rng.random_bool(dropped) {
                    changes.push((header.base_offset, None));
                } else if self.rng.random_bool(0.3) {
                    let fill: u8 = self.rng.random();
                    let bytes = rewritten(&header, fill);
                    let header = BatchHeader::parse(&bytes).unwrap();
                    writer.append(&header, &bytes)?;
                    changes.push((header.base_offset, Some(bytes)));
                } else {
                    writer.append(&header, bytes)?;
                }
            }
        }
        Ok((writer.finish()?, changes))
    }

    /// Puts what was written in its place, if that is there still.
    pub(super) fn replace(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let p = pending.partition;
        let listed = |p: &Partition| {
            let log = p.lock();
            let ids: Vec<SegmentId> = log.segments.iter().map(|s| s.id()).collect();
            pending.sources.iter().all(|s| ids.contains(&s.id))
        };
        let are_there = listed(&p);
        match p.replace(&pending.sources, pending.new) {
            Ok(Replaced::Done) => {
                self.events.replaced += 1;
                let key = (*p.topic(), p.index());
                let model = self.model.partitions.get_mut(&key).unwrap();
                model.replace(pending.changes);
            }
            Ok(Replaced::Overtaken) => {
                self.events.overtaken += 1;
                assert!(!are_there, "overtaken by nobody");
            }
            Err(e) => panic!("replace: {e}"),
        }
    }

    /// Now and then the partition of which segments are about to be replaced.
    pub(super) fn source(&mut self) -> Option<Arc<Partition>> {
        let pending = self.pending.as_ref()?;
        self.rng.random_bool(0.7).then(|| pending.partition.clone())
    }

    pub(super) fn sweep(&mut self) {
        let Some(p) = self.pick() else { return };
        if let Err(e) = p.sweep() {
            self.allow(&e);
        }
    }

    /// The process ends as it is: nobody removes what it was writing.
    pub(super) fn forget_pending(&mut self) {
        if self.pending.is_some() {
            self.fs.crash_after(0);
            self.pending = None;
        }
    }

    fn allow(&self, e: &io::Error) {
        let expected = is_disk_full(e) || e.to_string().starts_with("simulated");
        assert!(expected || self.fs.has_crashed(), "compaction: {e}");
    }
}

/// A batch with the offsets of `header` and one record of its own.
fn rewritten(header: &BatchHeader, fill: u8) -> Bytes {
    let record = Record {
        offset: header.base_offset,
        timestamp: header.max_timestamp,
        key: None,
        value: Some(Bytes::from(vec![fill; 40])),
        headers: Vec::new(),
    };
    let mut batch = BatchBuilder::default().build(&[record]).to_vec();
    ottla_codec::batch::set_offset_and_epoch(&mut batch, header.base_offset, 0);
    batch[23..27].copy_from_slice(&header.last_offset_delta.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(batch)
}

/// After a sweep the directory has files of the partition's segments only.
pub(super) fn check_swept(p: &Partition, fs: &dyn Fs) {
    let dir = p.dir();
    p.sweep().unwrap();
    if !fs.exists(dir).unwrap() {
        return;
    }
    let listed: HashSet<SegmentId> = p.lock().segments.iter().map(|s| s.id()).collect();
    for entry in fs.read_dir(dir).unwrap() {
        let known = parse_file_name(&entry.name).is_some_and(|id| listed.contains(&id));
        assert!(known, "{} is left", entry.name);
    }
}
