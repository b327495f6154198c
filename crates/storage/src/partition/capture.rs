//! What a checkpoint takes of partitions, and how it comes into their files: many together, since a device syncs many at a time as fast as
//! a few.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::aborted::{Blocks, CapturedBlocks};
use super::files::{SegmentFile, SegmentId, if_there};
use super::row::{PartitionRow, SegmentRow};
use super::{Log, Partition};
use crate::fs::{File, Fs, OpenMode};
use crate::index::{OFFSET_ENTRY, TIME_ENTRY};

/// Partitions whose files are written, then synced together: their files are open meanwhile, three of each at most.
const AT_ONCE: usize = 64;

/// What a checkpoint takes of a partition: consistent with itself, and durable once commit `seq` is.
pub(crate) struct Capture {
    pub partition: Arc<Partition>,
    pub seq: u64,
    pub row: PartitionRow,
    pub state: Option<Vec<u8>>,
    pub blocks: CapturedBlocks,
    batches: Vec<(i64, u64, Bytes)>,
    segments: Vec<CapturedSegment>,
}

struct CapturedSegment {
    id: SegmentId,
    offsets_at: u64,
    offsets: Vec<u8>,
    times_at: u64,
    times: Vec<u8>,
}

impl Partition {
    /// What a checkpoint is to keep of this partition as it is now; not dirty after that.
    pub(crate) fn capture(&self) -> Capture {
        self.capture_locked(&mut self.log.lock())
    }

    pub(crate) fn capture_locked(&self, log: &mut Log) -> Capture {
        log.dirty = false;
        let mut segments = Vec::new();
        for s in &mut log.segments {
            if s.unsynced || !s.index.offsets.is_empty() || !s.index.times.is_empty() {
                let (offsets, times) = s.index.encode(s.base_offset);
                s.unsynced = false;
                segments.push(CapturedSegment {
                    id: s.id(),
                    offsets_at: u64::from(s.index.in_file.offsets) * OFFSET_ENTRY as u64,
                    offsets,
                    times_at: u64::from(s.index.in_file.times) * TIME_ENTRY as u64,
                    times,
                });
            }
        }
        let blocks = Blocks::capture(log, self.high_watermark());
        Capture {
            partition: self.arc(),
            blocks,
            seq: log.last_seq,
            row: PartitionRow {
                end: log.end,
                segments: log.segments.iter().map(SegmentRow::of).collect(),
                cleaned_to: log.cleaned_to,
            },
            state: log.state.snapshot(),
            batches: log
                .ring
                .iter()
                .filter(|c| !c.in_file)
                .map(|c| (c.segment, c.position, c.bytes.clone()))
                .collect(),
            segments,
        }
    }
}

/// Writes and syncs the files of all partitions. Call it when each one's commit `seq` is durable.
pub(crate) fn write_all(fs: &dyn Fs, captures: &[Capture]) -> io::Result<()> {
    for some in captures.chunks(AT_ONCE) {
        let some: Vec<&Capture> = some.iter().filter(|c| !c.partition.is_deleted()).collect();
        let mut files = Vec::new();
        for capture in &some {
            files.extend(capture.write()?);
        }
        let directories: BTreeSet<PathBuf> = some
            .iter()
            .flat_map(|capture| capture.unsynced_directories())
            .collect();
        fs.sync_all(&files, &Vec::from_iter(directories))?;
        for capture in some {
            capture.synced();
        }
    }
    Ok(())
}

impl Capture {
    /// Writes the partition's files. Returns those that are to be synced before [`Capture::synced`].
    fn write(&self) -> io::Result<Vec<Arc<dyn File>>> {
        let p = &self.partition;
        p.write_batches(&self.batches)?;
        let mut written = Vec::new();
        for s in &self.segments {
            written.extend(if_there(p.file(s.id, SegmentFile::Log))?);
            for (kind, at, bytes) in [
                (SegmentFile::Index, s.offsets_at, &s.offsets),
                (SegmentFile::TimeIndex, s.times_at, &s.times),
            ] {
                if bytes.is_empty() {
                    continue;
                }
                let file = match p.file(s.id, kind) {
                    // A power cut took its name, or somebody removed it: readers do without, and the rows stay right.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        let made = p.core.fs.open(&p.path(s.id, kind), OpenMode::Truncate)?;
                        self.note_unnamed(s.id);
                        made
                    }
                    other => other?,
                };
                file.write_at(at, &[bytes])?;
                written.push(file);
            }
        }
        Ok(written)
    }

    /// Notes that a file of a segment was made whose name is not durable.
    fn note_unnamed(&self, id: SegmentId) {
        let mut log = self.partition.lock();
        if let Some(segment) = log.segments.iter_mut().find(|s| s.id() == id) {
            segment.unnamed = true;
        }
    }

    /// The directories that files were made in whose names are not durable.
    fn unsynced_directories(&self) -> Vec<PathBuf> {
        match self.partition.lock().segments.iter().any(|s| s.unnamed) {
            true => self.partition.unsynced_directories(),
            false => Vec::new(),
        }
    }

    /// Its files are durable, and their names.
    fn synced(&self) {
        let p = &self.partition;
        p.mark_in_file(self.row.end);
        let mut log = p.lock();
        let done: BTreeMap<SegmentId, &CapturedSegment> =
            self.segments.iter().map(|s| (s.id, s)).collect();
        for s in &mut log.segments {
            let Some(captured) = done.get(&s.id()) else {
                continue;
            };
            // Only a checkpoint, or a flush before it, makes files whose names are not durable.
            s.unnamed = false;
            let offsets = captured.offsets.len() / OFFSET_ENTRY;
            let times = captured.times.len() / TIME_ENTRY;
            s.index.written(offsets, times);
        }
    }

    /// The checkpoint did not come to an end: the next one takes this partition again.
    pub fn give_back(&self) {
        let mut log = self.partition.lock();
        for s in &mut log.segments {
            if self.segments.iter().any(|c| c.id == s.id()) {
                s.unsynced = true;
            }
        }
        self.partition.mark_dirty(&mut log);
    }
}
