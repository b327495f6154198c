//! A partition's files: opening, writing what is only in memory, what a checkpoint takes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::aborted::{Blocks, CapturedBlocks};
use super::row::{PartitionRow, SegmentRow};
use super::{Log, Partition, Segment};
use crate::fs::{File, OpenMode};
use crate::index::{OFFSET_ENTRY, TIME_ENTRY};

/// A file of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentFile {
    Log = 0,
    Index = 1,
    TimeIndex = 2,
}

/// Which segment. Of two with the same base offset the one of the later generation was made from the other, and took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The first offset that belongs to it, with a record or without.
    pub base: i64,
    /// 0 as it was appended; one more than the latest of its sources if it was made from others.
    pub generation: u32,
}

impl SegmentId {
    /// The segment at `base` that appends go to.
    pub(crate) fn appended(base: i64) -> SegmentId {
        SegmentId {
            base,
            generation: 0,
        }
    }
}

/// `00000000000000000042.log` and its indexes, as Kafka names them; `00000000000000000042.3.log` of generation 3.
pub(crate) fn file_name(id: SegmentId, kind: SegmentFile) -> String {
    let extension = match kind {
        SegmentFile::Log => "log",
        SegmentFile::Index => "index",
        SegmentFile::TimeIndex => "timeindex",
    };
    match id.generation {
        0 => format!("{:020}.{extension}", id.base),
        generation => format!("{:020}.{generation}.{extension}", id.base),
    }
}

/// What a file is called while it is made anew.
pub(super) const REBUILT: &str = "rebuilt";

/// The segment of a file name, if it is one of a partition's files.
pub(crate) fn parse_file_name(name: &str) -> Option<SegmentId> {
    let mut parts = name.split('.');
    let base = parts.next().filter(|b| b.len() == 20)?.parse().ok()?;
    let mut extension = parts.next()?;
    let mut generation = 0;
    if let Some(last) = parts.next() {
        generation = extension.parse().ok().filter(|g| *g > 0)?;
        extension = last;
    }
    let ours = ["log", "index", "timeindex", REBUILT].contains(&extension);
    (ours && parts.next().is_none()).then_some(SegmentId { base, generation })
}

pub(super) const KINDS: [SegmentFile; 3] =
    [SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex];

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
    pub(crate) fn path(&self, id: SegmentId, kind: SegmentFile) -> PathBuf {
        self.dir.join(file_name(id, kind))
    }

    /// An existing file of a segment. Not to be called under the partition's lock.
    pub(crate) fn file(&self, id: SegmentId, kind: SegmentFile) -> io::Result<Arc<dyn File>> {
        let mut opened = false;
        let key = (self.uid, id, kind as u8);
        let file = self.core.files.get_or_open(key, || {
            opened = true;
            self.core.fs.open(&self.path(id, kind), OpenMode::Write)
        })?;
        if opened && !self.is_known(id) {
            // Removed meanwhile: its room on the disk is not to be kept by a file that nobody asks for again.
            self.core.files.forget(self.uid, id);
        }
        Ok(file)
    }

    /// A segment's log for writing, made if this is the first write to it.
    pub(crate) fn writable(&self, base: i64) -> io::Result<Arc<dyn File>> {
        let _opening = self.opening.lock();
        let id = SegmentId::appended(base);
        let fresh = {
            let log = self.log.lock();
            log.segments
                .iter()
                .rev()
                .find(|s| s.base_offset == base)
                .is_some_and(|s| s.fresh)
        };
        if !fresh {
            return self.file(id, SegmentFile::Log);
        }
        self.core.files.forget(self.uid, id);
        let fs = &self.core.fs;
        fs.create_dir_all(&self.dir)?;
        // Also when it was there: a process that was killed may have made it without this.
        if let Some(parent) = self.dir.parent() {
            fs.sync_dir(parent)?;
        }
        for kind in KINDS {
            let path = self.path(id, kind);
            // What is there is of another life, and a snapshot may share it.
            if fs.exists(&path)? {
                fs.remove_file(&path)?;
            }
            fs.open(&path, OpenMode::Truncate)?;
        }
        fs.sync_dir(&self.dir)?;
        let file = self.file(id, SegmentFile::Log)?;
        let mut log = self.log.lock();
        if let Some(s) = log
            .segments
            .iter_mut()
            .rev()
            .find(|s| s.base_offset == base)
        {
            s.fresh = false;
        }
        Ok(file)
    }

    /// Syncs the segments that were written to since the last checkpoint, as far as they have a file.
    pub(crate) fn sync_segments(&self) -> io::Result<()> {
        let unsynced: Vec<SegmentId> = {
            let log = self.log.lock();
            let unsynced = log.segments.iter().filter(|s| s.unsynced && !s.fresh);
            unsynced.map(Segment::id).collect()
        };
        unsynced
            .into_iter()
            .try_for_each(|id| sync_if_there(self.file(id, SegmentFile::Log)))
    }

    /// Removes a segment's files, as far as they are there.
    pub(crate) fn remove_files(&self, id: SegmentId) -> io::Result<()> {
        self.core.files.forget(self.uid, id);
        for kind in KINDS {
            match self.core.fs.remove_file(&self.path(id, kind)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the names of files durable that a killed process may have made without a sync.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        if self.core.fs.exists(&self.dir)? {
            self.core.fs.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Cuts what a crash left behind the known end of the last segment. For a partition just loaded.
    pub(crate) fn cut_files(&self) -> io::Result<()> {
        let last = {
            let log = self.log.lock();
            match log.segments.last() {
                Some(s) if !s.fresh => (s.id(), s.size, s.index.in_file),
                _ => return Ok(()),
            }
        };
        let (id, size, index) = last;
        let lengths = [
            size,
            u64::from(index.offsets) * OFFSET_ENTRY as u64,
            u64::from(index.times) * TIME_ENTRY as u64,
        ];
        for (kind, len) in KINDS.into_iter().zip(lengths) {
            match self.file(id, kind) {
                Ok(file) if file.len()? > len => file.set_len(len)?,
                Ok(_) => {}
                // A reader notices, and a missing index is read around.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes durable small appends to their segments, without a sync, so that memory may be freed. Background thread only.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let hw = self.high_watermark();
        let batches: Vec<_> = {
            let log = self.log.lock();
            log.ring
                .iter()
                .take_while(|c| c.next_offset <= hw)
                .filter(|c| !c.in_file)
                .map(|c| (c.segment, c.position, c.bytes.clone()))
                .collect()
        };
        if batches.is_empty() {
            return Ok(());
        }
        self.write_batches(&batches)?;
        self.mark_in_file(hw);
        Ok(())
    }

    fn mark_in_file(&self, below: i64) {
        let mut log = self.log.lock();
        let mut flushed = 0;
        for cached in &mut log.ring {
            if cached.next_offset > below {
                break;
            }
            if !cached.in_file {
                cached.in_file = true;
                flushed += cached.bytes.len();
            }
        }
        self.core.unflushed.fetch_sub(flushed, Ordering::Relaxed);
    }

    /// Writes neighbours in one call.
    fn write_batches(&self, batches: &[(i64, u64, Bytes)]) -> io::Result<()> {
        let mut rest = batches;
        while let Some((segment, position, first)) = rest.first() {
            let mut end = position + first.len() as u64;
            let mut bufs: Vec<&[u8]> = vec![first];
            for (s, p, bytes) in &rest[1..] {
                if s != segment || *p != end {
                    break;
                }
                bufs.push(bytes);
                end += bytes.len() as u64;
            }
            self.writable(*segment)?.write_at(*position, &bufs)?;
            rest = &rest[bufs.len()..];
        }
        Ok(())
    }

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

impl Capture {
    /// Writes and syncs the partition's files. Call it when commit `seq` is durable.
    pub fn write(&self) -> io::Result<()> {
        let p = &self.partition;
        if p.is_deleted() {
            return Ok(());
        }
        p.write_batches(&self.batches)?;
        for s in &self.segments {
            if s.offsets_at == 0 && s.offsets.is_empty() && s.times.is_empty() {
                // Only its log changed.
                sync_if_there(p.file(s.id, SegmentFile::Log))?;
                continue;
            }
            sync_if_there(p.file(s.id, SegmentFile::Log))?;
            for (kind, at, bytes) in [
                (SegmentFile::Index, s.offsets_at, &s.offsets),
                (SegmentFile::TimeIndex, s.times_at, &s.times),
            ] {
                if bytes.is_empty() {
                    continue;
                }
                let file = match p.file(s.id, kind) {
                    // Somebody removed it: readers do without, and the rows stay right.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        p.core.fs.open(&p.path(s.id, kind), OpenMode::Truncate)?
                    }
                    other => other?,
                };
                file.write_at(at, &[bytes])?;
                file.sync_data()?;
            }
        }
        p.mark_in_file(self.row.end);
        let mut log = p.lock();
        let done: BTreeMap<SegmentId, &CapturedSegment> =
            self.segments.iter().map(|s| (s.id, s)).collect();
        for s in &mut log.segments {
            let Some(captured) = done.get(&s.id()) else {
                continue;
            };
            let offsets = captured.offsets.len() / OFFSET_ENTRY;
            let times = captured.times.len() / TIME_ENTRY;
            s.index.written(offsets, times);
        }
        Ok(())
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

/// Retention may have removed the segment meanwhile.
fn sync_if_there(file: io::Result<Arc<dyn File>>) -> io::Result<()> {
    match file {
        Ok(file) => file.sync_data(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
