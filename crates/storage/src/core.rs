//! What partitions, the writer and the background thread share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Condvar, Mutex};

use crate::config::{Durability, StoreOptions};
use crate::error::StoreError;
use crate::fs::{FileCache, Fs};
use crate::journal::NextFile;
use crate::large::LargeAppends;
use crate::partition::Partition;
use crate::progress::{Progress, Stage};
use crate::queue::{Kind, Queue, QueuedOp};
use crate::store::Inner;

pub(crate) struct Core {
    pub fs: Arc<dyn Fs>,
    pub dir: PathBuf,
    pub options: StoreOptions,
    pub queue: Queue,
    pub files: FileCache,
    /// Partitions that changed since their last checkpoint.
    pub dirty: Mutex<Vec<Arc<Partition>>>,
    /// What recent batches take in memory.
    pub cached: AtomicUsize,
    /// Bytes of small appends that are only in memory and in the journal.
    pub unflushed: AtomicUsize,
    /// Bytes that the journal and the segments took since the last checkpoint.
    pub since_checkpoint: AtomicU64,
    /// Checkpoints that came to an end, since the start.
    pub checkpoints: AtomicU64,
    /// Since the start.
    pub journal_syncs: AtomicU64,
    /// Since the start.
    pub journal_bytes: AtomicU64,
    /// A recovery needs no commit up to this one.
    pub released: AtomicU64,
    /// Nor a record of the journal up to this one. Records have numbers of their own: see [`Moment`].
    pub released_records: AtomicU64,
    /// The last record of the journal.
    pub last_record: AtomicU64,
    /// Commits whose bytes recovery looked for, since they may not have been synced: those that it kept, and those that it left out.
    pub kept_unsettled: AtomicU64,
    pub left_out: AtomicU64,
    /// The way of large appends to their segments.
    pub large: LargeAppends,
    pub background: Signal,
    /// The journal's.
    pub next_file: Arc<NextFile>,
    /// The store, for the few things that a partition asks of it.
    pub store: OnceLock<Weak<Inner>>,
    next_uid: AtomicU64,
}

/// A moment between two commits. Commits are numbered as they are made, records as they come into the journal: the numbers differ when
/// one has overtaken another, or was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// All commits up to this one have their records, up to `record`, or are not kept.
    pub settled: u64,
    /// All records up to this one are of commits up to `commit`.
    pub record: u64,
    /// The last commit that was made.
    pub commit: u64,
}

impl AsRef<Progress> for Core {
    fn as_ref(&self) -> &Progress {
        &self.queue.progress
    }
}

impl Core {
    pub fn new(fs: Arc<dyn Fs>, dir: PathBuf, options: StoreOptions, last_seq: u64) -> Core {
        Core {
            files: FileCache::new(options.max_open_files),
            fs,
            dir,
            options,
            queue: Queue::new(last_seq),
            dirty: Mutex::default(),
            cached: AtomicUsize::new(0),
            unflushed: AtomicUsize::new(0),
            since_checkpoint: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            journal_syncs: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            released: AtomicU64::new(last_seq),
            released_records: AtomicU64::new(last_seq),
            last_record: AtomicU64::new(last_seq),
            kept_unsettled: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            large: LargeAppends::default(),
            background: Signal::default(),
            next_file: Arc::default(),
            store: OnceLock::new(),
            next_uid: AtomicU64::new(1),
        }
    }

    pub fn next_uid(&self) -> u64 {
        self.next_uid.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands a commit over, see [`Queue::enqueue`]. Where each group is synced, its large appends go to their segments from here on.
    pub fn enqueue(&self, ops: Vec<QueuedOp>, kind: Kind) -> Result<u64, StoreError> {
        self.queue.enqueue(ops, kind, |job| {
            let is_sent = self.synced() && job.may_be_overtaken();
            if is_sent {
                self.large.send(job);
            }
            is_sent
        })
    }

    /// Commits and records go on after `last_seq`. For recovery, before any commit.
    pub fn restart_after(&self, last_seq: u64) {
        self.queue.restart_after(last_seq);
        self.last_record.store(last_seq, Ordering::Release);
    }

    /// The moment that it is now. What it says stays true, whatever is committed since.
    pub fn moment(&self) -> Moment {
        // In this order: a record is published after it was written, and written after its commit was made.
        let settled = self.queue.progress.reached(Stage::Written);
        let record = self.last_record.load(Ordering::Acquire);
        let commit = self.queue.last_seq();
        Moment {
            settled,
            record,
            commit,
        }
    }

    /// The store. `None` when its last handle is gone.
    pub fn store(&self) -> Option<Arc<Inner>> {
        self.store.get()?.upgrade()
    }

    pub fn synced(&self) -> bool {
        self.options.durability == Durability::Disk
    }
}

/// What is under way refers to its partition, and that to the core. With this of a store that goes, or was not opened, so does what no
/// checkpoint has taken and what was not written.
pub(crate) struct UnderWay(pub Arc<Core>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dirty.lock().clear();
        self.0.large.give_up();
        self.0.queue.take();
    }
}

/// What the background thread is asked for. It sleeps until then.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<Wanted>,
    changed: Condvar,
}

/// Requests to the background thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Write small appends to their segments, to free memory.
    pub flush: bool,
    pub checkpoint: bool,
    /// Make the journal's next file.
    pub next_file: bool,
    /// Something was committed since the last checkpoint: one is due when the interval has passed.
    pub dirty: bool,
    /// Files of deleted topics and segments wait.
    pub garbage: bool,
    /// There may be something to compact, and no thread that does it.
    pub compaction: bool,
    pub stop: bool,
}

impl Wanted {
    /// Whether something is to be done now.
    fn is_pressing(&self) -> bool {
        self.flush
            || self.checkpoint
            || self.next_file
            || self.garbage
            || self.compaction
            || self.stop
    }
}

impl Signal {
    /// Adds to what is wanted.
    pub fn ask(&self, change: impl FnOnce(&mut Wanted)) {
        let mut state = self.state.lock();
        let before = *state;
        change(&mut state);
        if *state != before {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Whether a checkpoint by time is armed already; spares the lock's notification on every commit.
    pub fn mark_dirty(&self) {
        self.ask(|w| w.dirty = true);
    }

    /// Waits for work: at most until `deadline` of a dirty store. Takes what is wanted.
    pub fn wait(&self, interval: std::time::Duration) -> Wanted {
        let mut state = self.state.lock();
        let mut deadline = None;
        loop {
            if state.is_pressing() {
                break;
            }
            if state.dirty {
                let at = *deadline.get_or_insert_with(|| std::time::Instant::now() + interval);
                if self.changed.wait_until(&mut state, at).timed_out() {
                    state.checkpoint = true;
                }
            } else {
                self.changed.wait(&mut state);
            }
        }
        let wanted = *state;
        // A stop stays; so does the mark of a store that no checkpoint has cleaned.
        *state = Wanted {
            stop: wanted.stop,
            dirty: wanted.dirty && !wanted.checkpoint,
            ..Wanted::default()
        };
        wanted
    }
}
