//! The background thread: checkpoints, writing small appends to their segments, removing files.

use std::io;
use std::sync::atomic::Ordering;

use crate::core::Moment;
use crate::error::StoreError;
use crate::fs::is_disk_full;
use crate::meta::{self, MetaWrite};
use crate::partition::capture::{self, Capture};
use crate::partition::row::{StateRow, partition_key};
use crate::partition::{Partition, aborted};
use crate::progress::Stage;
use crate::queue::Mode;
use crate::store::Inner;

/// Why a checkpoint did not come to an end. Nothing is lost: the journal keeps what it did not take.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot encode a row: {0}")]
    Encode(#[from] postcard::Error),
}

impl CheckpointError {
    /// As whoever asked for the checkpoint is told.
    pub fn as_store(&self) -> StoreError {
        match self {
            CheckpointError::Store(e) => e.clone(),
            CheckpointError::Io(e) if is_disk_full(e) => StoreError::DiskFull,
            other => StoreError::Failed(format!("checkpoint: {other}")),
        }
    }
}

/// What a checkpoint is to write.
pub(crate) struct Taken {
    /// When: what was committed up to then is in it.
    pub moment: Moment,
    /// Bytes since the checkpoint before.
    pub since: u64,
    pub captures: Vec<Capture>,
    /// Keys of deleted partitions.
    pub dead: Vec<Vec<u8>>,
}

/// The key of the journal position.
pub(crate) const POSITION_KEY: &[u8] = b"position";

impl Inner {
    /// The background thread's life.
    pub(crate) fn background_loop(&self) {
        if let Err(e) = self.make_first_reserve() {
            tracing::error!(error = %e, "making the reserve failed");
            self.stop_writes(format!("making the reserve: {e}"));
        }
        self.remove_leftovers();
        self.start_compaction();
        loop {
            let wanted = self
                .core
                .background
                .wait(self.core.options.checkpoint_interval);
            if wanted.stop {
                return;
            }
            // First: the writer may be about to need it.
            if wanted.next_file {
                self.make_next_journal_file();
            }
            if wanted.flush {
                let result = self.flush_all();
                self.note_trouble("writing to segments", result);
            }
            if wanted.checkpoint {
                let result = self.checkpoint();
                self.note_trouble("checkpoint", result);
            }
            if wanted.garbage {
                self.collect_garbage();
            }
            if wanted.compaction {
                self.start_compaction();
            }
        }
    }

    /// Makes the journal's next file if the writer has asked for it.
    pub(crate) fn make_next_journal_file(&self) {
        self.core.next_file.make(&*self.core.fs);
    }

    pub(crate) fn note_trouble(&self, what: &str, result: Result<(), CheckpointError>) {
        match result {
            Ok(()) | Err(CheckpointError::Store(_)) => {}
            Err(CheckpointError::Io(e)) if is_disk_full(&e) => {
                tracing::error!(error = %e, "{what}: the disk is full; writes are refused until there is room");
                self.disk_full();
                // Tried again by the next commit, or by the writer's look for room.
                self.core.background.mark_dirty();
            }
            Err(e) => {
                tracing::error!(error = %e, "{what} failed");
                self.stop_writes(format!("{what}: {e}"));
            }
        }
    }

    fn disk_full(&self) {
        // The writer gets what waits as it is; it fails or not by itself.
        self.core.queue.refuse_new(Mode::DiskFull);
    }

    fn stop_writes(&self, reason: String) {
        self.core.queue.refuse_new(Mode::Failed(reason));
    }

    /// Writes durable small appends to their segments.
    pub(crate) fn flush_all(&self) -> Result<(), CheckpointError> {
        let _one = self.checkpointing.lock();
        let dirty: Vec<_> = self.core.dirty.lock().clone();
        for partition in dirty {
            if !partition.is_deleted() {
                partition.flush()?;
            }
        }
        Ok(())
    }

    /// Brings everything that is committed now into segments and catalogue, then lets go of the journal up to there.
    pub(crate) fn checkpoint(&self) -> Result<(), CheckpointError> {
        let _one = self.checkpointing.lock();
        let since = self.core.since_checkpoint.load(Ordering::Relaxed);
        let moment = self.core.moment();
        let dead = std::mem::take(&mut *self.dead_rows.lock());
        let dirty = std::mem::take(&mut *self.core.dirty.lock());
        if dirty.is_empty()
            && dead.is_empty()
            && self.overlay.lock().is_empty()
            && moment.commit == self.core.released.load(Ordering::Acquire)
        {
            return Ok(());
        }
        let captures: Vec<Capture> = dirty.iter().map(|p| p.capture()).collect();
        drop(dirty);
        self.finish_checkpoint(Taken {
            moment,
            since,
            captures,
            dead,
        })
    }

    /// Writes what was taken, or gives it back. Under the lock of checkpoints.
    pub(crate) fn finish_checkpoint(&self, taken: Taken) -> Result<(), CheckpointError> {
        let moment = taken.moment;
        match self.write_checkpoint(moment, &taken.captures, &taken.dead) {
            Ok(()) => {
                for capture in &taken.captures {
                    let mut log = capture.partition.lock();
                    log.blocks.written(&capture.blocks);
                }
                self.core
                    .since_checkpoint
                    .fetch_sub(taken.since, Ordering::Relaxed);
                self.core.released.store(moment.settled, Ordering::Release);
                self.core
                    .released_records
                    .store(moment.record, Ordering::Release);
                self.core.checkpoints.fetch_add(1, Ordering::AcqRel);
                if !self.replaced.lock().is_empty() {
                    self.core.background.ask(|w| w.garbage = true);
                }
                Ok(())
            }
            Err(e) => {
                for capture in &taken.captures {
                    capture.give_back();
                }
                self.dead_rows.lock().extend(taken.dead);
                Err(e)
            }
        }
    }

    fn write_checkpoint(
        &self,
        moment: Moment,
        captures: &[Capture],
        dead: &[Vec<u8>],
    ) -> Result<(), CheckpointError> {
        let last = captures.iter().map(|c| c.seq).fold(moment.commit, u64::max);
        self.wait_durable(last)?;
        if captures.iter().any(|c| {
            self.core
                .queue
                .progress
                .outcome(Stage::Durable, c.seq)
                .is_some_and(|o| o.is_err())
        }) {
            // Taken back meanwhile: what was captured is not the log any more.
            return Err(StoreError::DiskFull.into());
        }
        if !self.core.synced() {
            self.sync_commits()?;
        }
        self.check_room(0)?;
        self.write_blocks(captures)?;
        let mut rows = Vec::with_capacity(2 * captures.len());
        capture::write_all(&*self.core.fs, captures)?;
        for capture in captures {
            if capture.partition.is_deleted() {
                continue;
            }
            rows.extend(capture_rows(&capture.partition, capture)?);
            rows.extend(capture.blocks.removals(&*self.meta, &capture.partition)?);
        }
        rows.extend(self.overlay.lock().gathered(moment.commit));
        for key in dead {
            rows.extend(aborted::removals(&*self.meta, key, i64::MAX)?);
            for tree in [meta::PARTITIONS, meta::STATES, meta::LOG_STARTS] {
                rows.push(MetaWrite {
                    tree,
                    key: key.clone(),
                    value: None,
                });
            }
        }
        let bytes = rows.iter().map(MetaWrite::len).sum();
        self.check_room(bytes)?;
        self.meta.write(&rows)?;
        self.meta.sync()?;
        // Last of all, and durable by itself: before it a restart replays from the older position, which gives the same state.
        self.meta.write(&[position_row(moment.record)])?;
        self.meta.sync()?;
        // Outside of sled, which takes a damaged end of its log for one that was never written.
        self.writer.lock().note_checkpoint(moment.record)?;
        self.overlay.lock().forget(moment.commit);
        Ok(())
    }

    /// Blocks of aborted transactions, durable before the states that leave them out: rows of one write may come to the disk one by one.
    fn write_blocks(&self, captures: &[Capture]) -> Result<(), CheckpointError> {
        let alive = captures.iter().filter(|c| !c.partition.is_deleted());
        let rows: Vec<MetaWrite> = alive.flat_map(|c| c.blocks.rows(&c.partition)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.check_room(rows.iter().map(MetaWrite::len).sum())?;
        self.meta.write(&rows)?;
        self.meta.sync()?;
        Ok(())
    }

    /// sled takes an error of the disk as its end, so it is not asked to write `bytes` to a disk that is as good as full.
    /// It rewrites what shares a page with what changes: the double is a guess.
    fn check_room(&self, bytes: u64) -> Result<(), CheckpointError> {
        match self.core.fs.available_bytes(&self.core.dir) {
            Ok(room) if room < self.tuning.checkpoint_room + 2 * bytes => {
                Err(io::Error::from(io::ErrorKind::StorageFull).into())
            }
            _ => Ok(()),
        }
    }

    /// Blocks until all commits up to `seq` are durable or failed. A store without threads does the work here.
    pub(crate) fn wait_durable(&self, seq: u64) -> Result<(), StoreError> {
        let progress = &self.core.queue.progress;
        if self.stepped {
            while progress.outcome_after_all(Stage::Durable, seq).is_none() && self.step_writer() {}
            return match progress.outcome_after_all(Stage::Durable, seq) {
                Some(_) => Ok(()),
                None => Err(StoreError::Closed),
            };
        }
        let wait = crate::progress::Wait::for_all(self.core.clone(), Stage::Durable, seq);
        // A failed commit among those waited for is told apart by the caller.
        let _ = crate::block_on::block_on(wait);
        Ok(())
    }
}

pub(crate) fn capture_rows(
    partition: &Partition,
    capture: &Capture,
) -> Result<Vec<MetaWrite>, postcard::Error> {
    let key = partition_key(partition.topic(), partition.index());
    let state = match &capture.state {
        Some(snapshot) => Some(postcard::to_stdvec(&StateRow {
            end: capture.row.end,
            snapshot: snapshot.clone(),
        })?),
        None => None,
    };
    Ok(vec![
        MetaWrite {
            tree: meta::PARTITIONS,
            key: key.clone(),
            value: Some(capture.row.encode()?),
        },
        MetaWrite {
            tree: meta::STATES,
            key,
            value: state,
        },
    ])
}

pub(crate) fn position_row(position: u64) -> MetaWrite {
    MetaWrite {
        tree: meta::CHECKPOINT,
        key: POSITION_KEY.to_vec(),
        value: Some(position.to_le_bytes().to_vec()),
    }
}
