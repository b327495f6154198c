//! Making a segment that is to take the place of others. Nobody reads it, and no row names it, before it is put there.

use std::io;
use std::sync::Arc;

use ottla_codec::batch::BatchHeader;
use parking_lot::MutexGuard;

use super::Partition;
use super::closed::PIECE;
use super::files::{KINDS, SegmentFile, SegmentId};
use super::log::{MAX_SEGMENT_BYTES, SegmentTimes};
use crate::fs::{File, OpenMode};
use crate::index::{IndexTail, OFFSET_ENTRY, TIME_ENTRY};
use crate::store::Inner;

impl Partition {
    /// Begins a segment. `AlreadyExists`: one with this name is being made, or in use. `NotFound`: the topic is deleted. Waits, as dropping what
    /// is not finished does, for a checkpoint that is under way.
    pub fn begin_segment(&self, base: i64, generation: u32) -> io::Result<SegmentWriter> {
        let id = SegmentId { base, generation };
        let interval = {
            let mut log = self.lock();
            let known = log.segments.iter().any(|s| s.id() == id)
                || log.replaced.iter().any(|r| r.id == id)
                || log.building.contains(&id);
            if known || generation == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("segment {base} of generation {generation} is in use"),
                ));
            }
            log.building.push(id);
            log.config.index_interval_bytes
        };
        // From here on it is removed if it comes to nothing.
        let unfinished = Unfinished {
            partition: self.arc(),
            id,
            placed: false,
        };
        self.check_room(0)?;
        let store = self.core.store().ok_or_else(closed)?;
        Ok(SegmentWriter {
            files: self.create_files(&store, id)?,
            unfinished,
            interval,
            buffer: Vec::new(),
            written: 0,
            next_offset: base,
            times: SegmentTimes {
                max_timestamp: -1,
                offset: base,
            },
            index: IndexTail::default(),
        })
    }

    fn create_files(&self, store: &Inner, id: SegmentId) -> io::Result<Vec<Arc<dyn File>>> {
        let _checkpointing = self.lock_directory(store)?;
        let fs = &self.core.fs;
        let create = |kind| {
            let path = self.path(id, kind);
            // Of a pass that a crash ended.
            if fs.exists(&path)? {
                fs.remove_file(&path)?;
            }
            fs.open(&path, OpenMode::Truncate)
        };
        KINDS.into_iter().map(create).collect()
    }

    /// The directory stays this partition's while the lock of checkpoints is held: that of a deleted topic, which may be another one's
    /// by now, is `NotFound`.
    fn lock_directory<'a>(&self, store: &'a Inner) -> io::Result<MutexGuard<'a, ()>> {
        let checkpointing = store.checkpointing.lock();
        match self.is_deleted() {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(checkpointing),
        }
    }

    /// `StorageFull` if `bytes` more would leave too little for commits and checkpoints.
    fn check_room(&self, bytes: u64) -> io::Result<()> {
        let store = self.core.store().ok_or_else(closed)?;
        match self.core.fs.available_bytes(&self.core.dir) {
            Ok(room) if room < store.tuning.compaction_room + bytes => {
                Err(io::ErrorKind::StorageFull.into())
            }
            // Where it cannot be told, trying tells.
            _ => Ok(()),
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the store is closed")
}

/// A name that is taken, and whose files go unless the segment is put in its place.
struct Unfinished {
    partition: Arc<Partition>,
    id: SegmentId,
    placed: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.placed {
            self.remove();
        }
        let id = self.id;
        self.partition.lock().building.retain(|b| *b != id);
    }
}

impl Unfinished {
    fn remove(&self) {
        let Some(store) = self.partition.core.store() else {
            return;
        };
        let Ok(_checkpointing) = self.partition.lock_directory(&store) else {
            return;
        };
        if let Err(e) = self.partition.remove_files(self.id) {
            tracing::warn!(directory = %self.partition.dir.display(), segment = self.id.base, error = %e, "files of a segment that came to nothing cannot be removed; tried again after the next start");
        }
    }
}

/// Writes a segment. Dropped before [`SegmentWriter::finish`] it leaves nothing.
pub struct SegmentWriter {
    unfinished: Unfinished,
    /// By the numbers of [`SegmentFile`].
    files: Vec<Arc<dyn File>>,
    interval: usize,
    buffer: Vec<u8>,
    /// Bytes in the log's file.
    written: u64,
    next_offset: i64,
    times: SegmentTimes,
    index: IndexTail,
}

impl SegmentWriter {
    /// Appends a whole batch behind those before it. `StorageFull`: what is left of the disk is for commits. `InvalidInput`: its offsets
    /// are not behind those of the batch before, or the segment would be larger than one can be.
    pub fn append(&mut self, header: &BatchHeader, bytes: &[u8]) -> io::Result<()> {
        let base = self.unfinished.id.base;
        let fits = header.size == bytes.len()
            && header.base_offset >= self.next_offset
            && header.last_offset() >= header.base_offset
            && header.last_offset() - base <= i64::from(i32::MAX)
            && self.size() + bytes.len() as u64 <= MAX_SEGMENT_BYTES;
        if !fits {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a batch of {} bytes at offset {} does not fit segment {base}, which has {} bytes up to offset {}",
                    bytes.len(),
                    header.base_offset,
                    self.size(),
                    self.next_offset
                ),
            ));
        }
        let (position, last_offset) = (self.size(), header.last_offset());
        if header.max_timestamp > self.times.max_timestamp {
            self.times = SegmentTimes {
                max_timestamp: header.max_timestamp,
                offset: last_offset,
            };
        }
        self.index.note(
            last_offset,
            position,
            bytes.len(),
            self.interval,
            self.times,
        );
        self.next_offset = header.next_offset();
        if self.buffer.len() + bytes.len() > PIECE {
            self.flush(bytes)
        } else {
            self.buffer.extend_from_slice(bytes);
            Ok(())
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes the rest, and syncs. One without a batch has no files.
    pub fn finish(mut self) -> io::Result<NewSegment> {
        self.flush(&[])?;
        self.index.close(self.times);
        self.flush_index()?;
        if self.written == 0 {
            self.unfinished.remove();
        } else {
            for file in &self.files {
                file.sync_data()?;
            }
            let partition = &self.unfinished.partition;
            partition.core.fs.sync_dir(&partition.dir)?;
        }
        Ok(NewSegment {
            size: self.written,
            times: self.times,
            next_offset: self.next_offset,
            index: self.index,
            unfinished: self.unfinished,
        })
    }

    /// Removes what was written; as dropping it does.
    pub fn abandon(self) {}

    fn flush(&mut self, behind: &[u8]) -> io::Result<()> {
        let len = (self.buffer.len() + behind.len()) as u64;
        if len > 0 {
            self.unfinished.partition.check_room(len)?;
            let log = &self.files[SegmentFile::Log as usize];
            log.write_at(self.written, &[&self.buffer, behind])?;
            self.written += len;
            self.buffer.clear();
        }
        self.flush_index()
    }

    fn flush_index(&mut self) -> io::Result<()> {
        let (offsets, times) = self.index.encode(self.unfinished.id.base);
        let in_file = self.index.in_file;
        for (kind, entries, entry_len, bytes) in [
            (SegmentFile::Index, in_file.offsets, OFFSET_ENTRY, offsets),
            (SegmentFile::TimeIndex, in_file.times, TIME_ENTRY, times),
        ] {
            if !bytes.is_empty() {
                let at = u64::from(entries) * entry_len as u64;
                self.files[kind as usize].write_at(at, &[&bytes])?;
            }
        }
        self.index
            .written(self.index.offsets.len(), self.index.times.len());
        Ok(())
    }
}

/// A segment whose files are written and synced. Dropped it leaves nothing; [`Partition::replace`] puts it in its place.
pub struct NewSegment {
    unfinished: Unfinished,
    pub(super) size: u64,
    pub(super) times: SegmentTimes,
    /// The offset after the last record.
    pub(super) next_offset: i64,
    pub(super) index: IndexTail,
}

impl NewSegment {
    /// Which.
    pub fn id(&self) -> SegmentId {
        self.unfinished.id
    }
    /// Bytes of its batches.
    pub fn size(&self) -> u64 {
        self.size
    }
    pub(super) fn is_of(&self, partition: &Partition) -> bool {
        std::ptr::eq(&*self.unfinished.partition, partition)
    }
    /// It is in the list: its files stay.
    pub(super) fn placed(&mut self) {
        self.unfinished.placed = true;
    }
}
