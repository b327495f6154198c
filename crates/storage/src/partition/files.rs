//! A partition's files: opening, writing what is only in memory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Partition, Segment};
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

    /// A segment's log for writing, made if this is the first write to it, its name durable.
    pub(crate) fn writable(&self, base: i64) -> io::Result<Arc<dyn File>> {
        let _opening = self.opening.lock();
        let file = self.made(base)?;
        if self.segment(base, |s| s.unnamed) == Some(true) {
            self.core.fs.sync_all(&[], &self.unsynced_directories())?;
            self.segment(base, |s| s.unnamed = false);
        }
        Ok(file)
    }

    /// As [`Partition::writable`], its name not durable if it is made here: a checkpoint syncs the names of many together.
    fn written_to(&self, base: i64) -> io::Result<Arc<dyn File>> {
        let _opening = self.opening.lock();
        self.made(base)
    }

    fn made(&self, base: i64) -> io::Result<Arc<dyn File>> {
        let id = SegmentId::appended(base);
        if self.segment(base, |s| s.fresh) != Some(true) {
            return self.file(id, SegmentFile::Log);
        }
        self.core.files.forget(self.uid, id);
        let fs = &self.core.fs;
        fs.create_dir_all(&self.dir)?;
        let mut removed = false;
        for kind in KINDS {
            let path = self.path(id, kind);
            // What is there is of another life, and a snapshot may share it.
            if fs.exists(&path)? {
                fs.remove_file(&path)?;
                removed = true;
            }
            fs.open(&path, OpenMode::Truncate)?;
        }
        if removed {
            // It must not come back, and be written to.
            fs.sync_dir(&self.dir)?;
        }
        let file = self.file(id, SegmentFile::Log)?;
        self.segment(base, |s| {
            s.fresh = false;
            s.unnamed = true;
        });
        Ok(file)
    }

    /// Looks at the segment that begins at `base`, if there is one.
    fn segment<R>(&self, base: i64, look: impl FnOnce(&mut Segment) -> R) -> Option<R> {
        let mut log = self.log.lock();
        let mut segments = log.segments.iter_mut().rev();
        segments.find(|s| s.base_offset == base).map(look)
    }

    /// The directories whose names are to be synced when files were made in this one. The one above also when this was there: a process
    /// that was killed may have made it without.
    pub(super) fn unsynced_directories(&self) -> Vec<PathBuf> {
        let parent = self.dir.parent().map(PathBuf::from);
        parent.into_iter().chain([self.dir.clone()]).collect()
    }

    /// The files of segments that were written to since the last checkpoint, as far as there are any.
    pub(crate) fn unsynced_files(&self) -> io::Result<Vec<Arc<dyn File>>> {
        let unsynced: Vec<SegmentId> = {
            let log = self.log.lock();
            let unsynced = log.segments.iter().filter(|s| s.unsynced && !s.fresh);
            unsynced.map(Segment::id).collect()
        };
        let mut files = Vec::new();
        for id in unsynced {
            files.extend(if_there(self.file(id, SegmentFile::Log))?);
        }
        Ok(files)
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

    /// Its directory, if it is there: a killed process may have made names in it without a sync.
    pub(crate) fn directory(&self) -> io::Result<Option<PathBuf>> {
        Ok(self.core.fs.exists(&self.dir)?.then(|| self.dir.clone()))
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

    pub(super) fn mark_in_file(&self, below: i64) {
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
    pub(super) fn write_batches(&self, batches: &[(i64, u64, Bytes)]) -> io::Result<()> {
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
            self.written_to(*segment)?.write_at(*position, &bufs)?;
            rest = &rest[bufs.len()..];
        }
        Ok(())
    }
}

/// Retention may have removed the segment meanwhile.
pub(super) fn if_there(file: io::Result<Arc<dyn File>>) -> io::Result<Option<Arc<dyn File>>> {
    match file {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
