//! Making the indexes of a segment anew from its log, when they are missing or do not fit it.

use std::io;

use super::Partition;
use super::files::{REBUILT, SegmentFile, SegmentId};
use super::log::SegmentTimes;
use super::walk::Walk;
use crate::fs::OpenMode;
use crate::index::IndexTail;

impl Partition {
    /// Makes the indexes of a segment anew and puts them in place of the old ones, each by a rename. `Ok(false)`: the segment
    /// is not there any more. Reads go on meanwhile; checkpoints wait.
    pub(crate) fn rebuild_indexes(&self, id: SegmentId) -> io::Result<bool> {
        let Some(store) = self.core.store() else {
            return Ok(false);
        };
        // A checkpoint writes to the same files.
        let _checkpointing = store.checkpointing.lock();
        self.rebuild_indexes_locked(id)
    }

    fn rebuild_indexes_locked(&self, id: SegmentId) -> io::Result<bool> {
        let (limit, interval, closed) = {
            let log = self.lock();
            let Some(i) = log.segments.iter().position(|s| s.id() == id) else {
                return Ok(false);
            };
            let s = &log.segments[i];
            // What is in memory alone has no bytes in the file that one could walk over.
            let in_memory = log.ring.iter().find(|c| c.segment == id.base && !c.in_file);
            let tail = s.index.offsets.first().map_or(s.size, |e| e.position);
            let limit = tail.min(in_memory.map_or(s.size, |c| c.position));
            let closed = (i + 1 < log.segments.len()).then_some(s.times);
            (limit, log.config.index_interval_bytes, closed)
        };
        let (offsets, times, made) = self.index_of(id, limit, interval, closed)?;
        for (kind, bytes) in [
            (SegmentFile::Index, &offsets),
            (SegmentFile::TimeIndex, &times),
        ] {
            let path = self.path(id, kind);
            let new = path.with_extension(REBUILT);
            let file = self.core.fs.open(&new, OpenMode::Truncate)?;
            file.write_at(0, &[bytes])?;
            file.sync_data()?;
            self.core.fs.rename(&new, &path)?;
        }
        self.core.fs.sync_dir(&self.dir)?;
        self.core.files.forget(self.uid, id);
        let mut log = self.lock();
        if let Some(s) = log.segments.iter_mut().find(|s| s.id() == id) {
            s.index.in_file = made.in_file;
            s.index.last_time_in_file = made.last_time;
            // The row counts the entries.
            self.mark_dirty(&mut log);
        }
        tracing::warn!(directory = %self.dir.display(), segment = id.base, "the indexes did not fit the segment: made anew");
        Ok(true)
    }

    fn index_of(
        &self,
        id: SegmentId,
        limit: u64,
        interval: usize,
        closed: Option<SegmentTimes>,
    ) -> io::Result<(Vec<u8>, Vec<u8>, IndexTail)> {
        let file = self.file(id, SegmentFile::Log)?;
        let mut walk = Walk::new(&*file, 0, limit);
        let mut tail = IndexTail::default();
        let mut times = SegmentTimes {
            max_timestamp: -1,
            offset: id.base,
        };
        while let Some(batch) = walk.next()? {
            let last = batch.next_offset - 1;
            if batch.max_timestamp > times.max_timestamp {
                times = SegmentTimes {
                    max_timestamp: batch.max_timestamp,
                    offset: last,
                };
            }
            tail.note(last, batch.position, batch.size as usize, interval, times);
        }
        if let Some(times) = closed {
            tail.close(times);
        }
        tail.in_file.offsets = tail.offsets.len() as u32;
        tail.in_file.times = tail.times.len() as u32;
        let (offsets, times) = tail.encode(id.base);
        Ok((offsets, times, tail))
    }

    /// For a reader that met a wrong index: it has found its way without, so that a failure here is only told.
    pub(crate) fn try_rebuild(&self, id: SegmentId) {
        if !self.is_listed(id) {
            return;
        }
        if let Err(e) = self.rebuild_indexes(id) {
            tracing::warn!(directory = %self.dir.display(), segment = id.base, error = %e, "the indexes do not fit the segment and cannot be made anew");
        }
    }
}
