//! Putting a segment in the place of those that it was made from.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::build::NewSegment;
use super::closed::{ClosedSegment, closed_segment};
use super::files::{REBUILT, SegmentId, parse_file_name};
use super::log::{Retired, Segment};
use super::{Log, Partition};
use crate::error::StoreError;
use crate::store::Inner;

/// What became of a segment that was to take the place of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is in their place, and will be after the next checkpoint whatever comes.
    Done,
    /// They are not what they were: deleted, with their records or their topic, or replaced by somebody else. The new one is removed.
    Overtaken,
}

impl Partition {
    /// Puts `new` in the place of `sources`: neighbours that [`Partition::closed_segments`] called ready, the first of which begins where
    /// `new` does. Waits for a checkpoint, or a snapshot, that is under way.
    ///
    /// The next checkpoint makes it durable; the files of the sources go after that. Until then a crash brings the sources back.
    ///
    /// # Panics
    /// If `new` cannot have been made from `sources`.
    pub fn replace(
        &self,
        sources: &[ClosedSegment],
        mut new: NewSegment,
    ) -> Result<Replaced, StoreError> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            panic!("a segment is made from at least one");
        };
        let id = new.id();
        assert!(
            new.is_of(self)
                && id.base == first.id.base
                && sources.iter().all(|s| s.id.generation < id.generation)
                && new.next_offset <= last.end,
            "segment {id:?} is made from {sources:?}"
        );
        let store = self.core.store().ok_or(StoreError::Closed)?;
        // No checkpoint that is under way has the old list in its row.
        let checkpointing = store.checkpointing.lock();
        let mut log = self.lock();
        let Some(at) = self.find(&log, sources) else {
            drop((log, checkpointing));
            return Ok(Replaced::Overtaken);
        };
        self.forget_up_to(&mut log, last.id.base);
        let segment = Segment {
            base_offset: id.base,
            generation: id.generation,
            size: new.size,
            times: new.times,
            created_ms: sources.iter().map(|s| s.created_ms).max().unwrap_or(0),
            index: std::mem::take(&mut new.index),
            fresh: false,
            unnamed: false,
            unsynced: false,
            last_seq: 0,
        };
        log.segments.splice(at..at + sources.len(), [segment]);
        let after = self.core.checkpoints.load(Ordering::Acquire) + 1;
        let retired = sources.iter().map(|s| Retired { id: s.id, after });
        log.replaced.extend(retired);
        log.replacements += 1;
        self.mark_dirty(&mut log);
        new.placed();
        drop(log);
        store.replaced.lock().push((after, self.arc()));
        drop(checkpointing);
        // It is no commit that brings the checkpoint about.
        self.core.background.mark_dirty();
        for source in sources {
            self.core.files.forget(self.uid, source.id);
        }
        Ok(Replaced::Done)
    }

    /// Where `sources` are in the list, if they are all there as they were.
    fn find(&self, log: &Log, sources: &[ClosedSegment]) -> Option<usize> {
        if self.is_deleted() {
            return None;
        }
        let first = sources.first()?.id;
        let at = log.segments.iter().position(|s| s.id() == first)?;
        let there = log.segments.iter().enumerate().skip(at);
        let same = there
            .zip(sources)
            .all(|((i, s), source)| closed_segment(log, i, s) == *source);
        // The last is the active one.
        (same && at + sources.len() < log.segments.len()).then_some(at)
    }

    /// Forgets the batches in memory of all segments up to the one at `base`: what is there is the end of the log, without a gap.
    fn forget_up_to(&self, log: &mut Log, base: i64) {
        let mut freed = 0;
        while let Some(front) = log.ring.pop_front_if(|c| c.segment <= base) {
            debug_assert!(front.in_file, "what may be replaced is in its file");
            freed += front.weight();
        }
        self.forget_bytes(freed, 0);
    }

    /// Whether a crash would bring back segments that were replaced: no checkpoint came after that.
    pub(crate) fn has_replacements_to_keep(&self) -> bool {
        let done = self.core.checkpoints.load(Ordering::Acquire);
        self.lock().replaced.iter().any(|r| r.after > done)
    }

    /// Everything below this was compacted; 0: nothing was.
    pub fn cleaned_to(&self) -> i64 {
        self.lock().cleaned_to
    }

    /// Notes up to where it was compacted. The next checkpoint keeps it.
    pub fn set_cleaned_to(&self, offset: i64) {
        let mut log = self.lock();
        if log.cleaned_to != offset {
            log.cleaned_to = offset;
            self.mark_dirty(&mut log);
            drop(log);
            self.core.background.mark_dirty();
        }
    }

    /// Closes the active segment, if there are records in it: what comes is appended to a new one. Whether there were.
    pub fn roll(&self, now_ms: i64) -> bool {
        let mut log = self.lock();
        if self.is_deleted() || log.segments.last().is_none_or(|s| s.size == 0) {
            return false;
        }
        let end = log.end;
        log.open_segment(end, now_ms);
        self.mark_dirty(&mut log);
        drop(log);
        self.core.background.mark_dirty();
        true
    }

    /// Removes files of segments that are neither in the list nor about to be: what a crash left of a compaction. To be called once before
    /// the first compaction in a process. Returns how many went.
    pub fn sweep(&self) -> io::Result<usize> {
        let Some(store) = self.core.store() else {
            return Ok(0);
        };
        // Neither a checkpoint nor the making of an index is writing files.
        let _checkpointing = store.checkpointing.lock();
        if self.is_deleted() || !self.core.fs.exists(&self.dir)? {
            return Ok(0);
        }
        let mut removed = 0;
        for entry in self.core.fs.read_dir(&self.dir)? {
            let Some(id) = parse_file_name(&entry.name).filter(|_| !entry.is_dir) else {
                continue;
            };
            // Nobody makes the files of a segment that comes into the list from here on.
            let _opening = self.opening.lock();
            if entry.name.ends_with(REBUILT) || !self.is_known(id) {
                self.core.files.forget(self.uid, id);
                self.core.fs.remove_file(&self.dir.join(&entry.name))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl Partition {
    /// Whether the segment has files that are not to be removed.
    pub(super) fn is_known(&self, id: SegmentId) -> bool {
        let log = self.lock();
        log.segments.iter().any(|s| s.id() == id)
            || log.replaced.iter().any(|r| r.id == id)
            || log.building.contains(&id)
    }

    /// Removes the files of segments that were replaced before checkpoint number `done`. Under the lock of checkpoints.
    fn remove_retired(&self, done: u64) -> io::Result<()> {
        let due: Vec<Retired> = {
            let mut log = self.lock();
            log.replaced.extract_if(.., |r| r.after <= done).collect()
        };
        if self.is_deleted() {
            // They go with the directory, whose name may be another topic's by now.
            return Ok(());
        }
        due.into_iter().try_for_each(|r| self.remove_files(r.id))
    }
}

impl Inner {
    /// Removes the files of replaced segments that no row names any more.
    pub(crate) fn remove_replaced(&self) {
        let done = self.core.checkpoints.load(Ordering::Acquire);
        let due: Vec<(u64, Arc<Partition>)> = {
            let mut waiting = self.replaced.lock();
            waiting
                .extract_if(.., |(after, _)| *after <= done)
                .collect()
        };
        for (_, partition) in due {
            // Nor does a snapshot that is being saved.
            let _checkpointing = self.checkpointing.lock();
            if let Err(e) = partition.remove_retired(done) {
                tracing::warn!(topic = %partition.topic(), index = partition.index(), error = %e, "files of compacted segments cannot be removed; tried again after the next start");
            }
        }
    }
}

#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod tests;
