//! The store: the catalogue, the journal's front, and the small trees of the coordinators.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::catalog::Catalog;
use crate::checkpoint::CheckpointError;
use crate::compaction::{CompactionStats, Compactor};
use crate::config::StoreOptions;
use crate::core::{Core, UnderWay};
use crate::error::{AppendError, OpenError, StoreError};
use crate::fs::Fs;
use crate::journal::format::JournalOp;
use crate::large::SYNCED_AT_ONCE;
use crate::meta::{MetaStore, Overlay, TreeId, tree_id};
use crate::partition::{Appended, Partition};
use crate::progress::{Stage, Wait};
use crate::queue::{Kind, QueuedOp};
use crate::recovery;
use crate::reset::{ResetTopics, Wiped};
use crate::topic::{NewTopic, Topic, TopicId, Topics};
use crate::writer::Writer;

/// The trees that others keep their state in. The store does not look into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Tree {
    Groups,
    Offsets,
    Producers,
    /// Dynamic broker, group and logger settings; which topics have not got their first records yet.
    Configs,
    /// State of dead letters: what groups failed on, redrives.
    DeadLetters,
    /// Transactional ids.
    Transactions,
    /// Offsets of open transactions.
    PendingOffsets,
}

/// A change of a small tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MetaOp {
    Put {
        tree: Tree,
        key: Bytes,
        value: Bytes,
    },
    Delete {
        tree: Tree,
        key: Bytes,
    },
}

/// An op of an atomic commit.
pub enum Op {
    /// A change of a small tree.
    Meta(MetaOp),
    /// An append; as [`Partition::append`].
    Append {
        /// Where.
        partition: Arc<Partition>,
        /// Whole, checked batches.
        batches: bytes::BytesMut,
        /// Their headers.
        headers: Vec<ottla_codec::batch::BatchHeader>,
        /// Time.
        ctx: crate::AppendContext,
    },
}

/// A commit, by its sequence number. One that is kept says that those before it are which changed a tree, or the same partition: an append
/// may be kept before a large one to another partition that was made earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit(pub u64);

/// What a store counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits kept since the data directory was made.
    pub commits: u64,
    /// Syncs of the journal since the start.
    pub journal_syncs: u64,
    /// Bytes written to the journal since the start.
    pub journal_bytes: u64,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    _threads: Arc<Threads>,
}

/// Sizes that tests make smaller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub reserve_bytes: usize,
    pub journal_file_bytes: u64,
    /// A checkpoint is not begun with less room than this.
    pub checkpoint_room: u64,
    /// What compaction leaves of a disk: more than a journal file takes, and a checkpoint.
    pub compaction_room: u64,
    /// Offsets of a block of aborted transactions. On disk: no setting.
    pub block_offsets: i64,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            reserve_bytes: crate::writer::DEFAULT_RESERVE,
            journal_file_bytes: crate::journal::MIN_FILE_LEN,
            checkpoint_room: 1 << 20,
            compaction_room: 40 << 20,
            block_offsets: crate::partition::aborted::BLOCK_OFFSETS,
        }
    }
}

/// Everything of a store; its threads share it.
pub(crate) struct Inner {
    pub core: Arc<Core>,
    pub _under_way: UnderWay,
    pub meta: Box<dyn MetaStore>,
    pub overlay: Mutex<Overlay>,
    pub catalog: Catalog,
    pub partitions: RwLock<HashMap<(TopicId, i32), Arc<Partition>>>,
    pub writer: Mutex<Writer>,
    pub garbage: Mutex<Vec<crate::garbage::Garbage>>,
    /// Partitions with files of replaced segments, and after how many checkpoints those go.
    pub replaced: Mutex<Vec<(u64, Arc<Partition>)>>,
    pub compactor: Compactor,
    /// Keys of deleted partitions, whose rows the next checkpoint removes.
    pub dead_rows: Mutex<Vec<Vec<u8>>>,
    /// One checkpoint, or flush, at a time.
    pub checkpointing: Mutex<()>,
    pub cluster_id: String,
    pub tuning: Tuning,
    /// No threads: whoever waits does the work. For simulation.
    pub stepped: bool,
    /// Held until the store is closed.
    pub lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// Ends the store's threads with its last handle.
struct Threads {
    inner: Arc<Inner>,
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Threads {
    fn stop(&self) {
        self.inner.core.queue.close();
        self.inner.compactor.stop();
        self.inner.core.queue.stop();
        self.inner.core.background.ask(|w| w.stop = true);
        for handle in self.handles.lock().drain(..) {
            // The last handle may go with a future or a watcher that one of the threads woke.
            if handle.thread().id() != thread::current().id() && handle.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        self.inner.meta.close();
        self.inner.lock.lock().take();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Store {
    /// Opens or creates a data directory, locks it, and recovers what the journal has.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: StoreOptions) -> Result<Store, OpenError> {
        let inner = Inner::shared(recovery::open(fs, dir, options, Tuning::default(), false)?);
        let spawn = |name: &str, run: fn(&Inner)| {
            let of_thread = inner.clone();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run(&of_thread))
                .map_err(|source| OpenError::Io {
                    path: dir.to_owned(),
                    source,
                })
        };
        let mut handles = vec![
            spawn("ottla-journal", Inner::write_loop)?,
            spawn("ottla-segments", Inner::write_large_loop)?,
            spawn("ottla-store", Inner::background_loop)?,
        ];
        for _ in 0..SYNCED_AT_ONCE {
            handles.push(spawn("ottla-seg-sync", Inner::sync_large_loop)?);
        }
        Ok(Store::with(inner, handles))
    }

    /// A store without threads: whoever waits does the work. For simulation.
    pub(crate) fn open_stepped(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: StoreOptions,
        tuning: Tuning,
    ) -> Result<Store, OpenError> {
        let inner = Inner::shared(recovery::open(fs, dir, options, tuning, true)?);
        Ok(Store::with(inner, Vec::new()))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    fn with(inner: Arc<Inner>, handles: Vec<thread::JoinHandle<()>>) -> Store {
        let threads = Arc::new(Threads {
            inner: inner.clone(),
            handles: Mutex::new(handles),
        });
        Store {
            inner,
            _threads: threads,
        }
    }

    /// The cluster's id (22 characters of base64url, as Kafka's), made when the directory was created.
    pub fn cluster_id(&self) -> &str {
        &self.inner.cluster_id
    }
    /// The catalogue as it is now.
    pub fn topics(&self) -> Topics {
        self.inner.catalog.topics()
    }
    /// A partition of a topic, loaded if need be. `None` if there is none (any more).
    pub fn partition(&self, topic: &TopicId, index: i32) -> Option<Arc<Partition>> {
        self.inner.partition(topic, index)
    }
    /// Creates a topic, usable when this returns. `Ok(None)` if the name is taken.
    pub fn create_topic(&self, new: NewTopic) -> Result<Option<(Arc<Topic>, Commit)>, StoreError> {
        let made = self.inner.create_topic(new)?;
        if let Some((topic, _)) = &made
            && (self.inner.core.options.log_config)(&topic.configs)
                .cleanup_policy
                .compact
        {
            self.inner.ask_to_compact_all();
        }
        Ok(made)
    }
    /// Deletes a topic and, when that is durable, its files. `Ok(None)` if there is none.
    pub fn delete_topic(&self, id: &TopicId) -> Result<Option<Commit>, StoreError> {
        self.inner.delete_topic(id)
    }
    /// Grows a topic to `total` partitions. `Ok(None)` if the topic is gone or has as many already.
    pub fn create_partitions(
        &self,
        id: &TopicId,
        total: i32,
    ) -> Result<Option<Commit>, StoreError> {
        self.inner.change_topic(id, |t| {
            (t.partitions < total).then_some(Topic {
                partitions: total,
                ..t.clone()
            })
        })
    }
    /// Replaces a topic's own settings. `Ok(None)` if the topic is gone.
    pub fn set_topic_configs(
        &self,
        id: &TopicId,
        configs: BTreeMap<String, String>,
    ) -> Result<Option<Commit>, StoreError> {
        let commit = self.inner.change_topic(id, |t| {
            Some(Topic {
                configs,
                ..t.clone()
            })
        })?;
        self.inner.refresh_configs(Some(id));
        Ok(commit)
    }
    /// Resolves every loaded partition's settings anew, after a broker default changed.
    pub fn refresh_log_configs(&self) {
        self.inner.refresh_configs(None);
    }
    /// Commits `ops` together. Returns at once.
    pub fn commit(&self, ops: Vec<MetaOp>) -> Result<Commit, StoreError> {
        let changes: Vec<Change> = ops.into_iter().map(Change::from).collect();
        self.inner.commit_changes(changes, Kind::Normal).map(Commit)
    }
    /// Commits appends and changes together, whole or not at all. Offsets of the appends in the order of the ops.
    pub fn commit_all(&self, ops: Vec<Op>) -> Result<(Vec<Appended>, Commit), AppendError> {
        self.inner.commit_all(ops)
    }
    /// Waits until `commit` is kept as [`crate::Durability`] promises.
    pub fn durable(
        &self,
        commit: Commit,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        Wait::new(self.inner.core.clone(), Stage::Durable, commit.0)
    }
    /// Waits until `commit` is written to the operating system (acks=1).
    pub fn written(
        &self,
        commit: Commit,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        Wait::new(self.inner.core.clone(), Stage::Written, commit.0)
    }
    /// The commit on whose outcome depends whether what is seen now lasts; `None` if all of it is kept. After a failed sync it is one
    /// that was not kept: what the journal has of it is not known before the next start, and so is still seen.
    pub fn unsettled(&self) -> Option<Commit> {
        let queue = &self.inner.core.queue;
        let failed = matches!(queue.trouble(), Some(StoreError::Failed(_)));
        let last = match failed {
            true => queue.progress.last_failed(),
            false => queue.last_seq(),
        };
        let is_open = failed || last > queue.progress.reached(Stage::Durable);
        (is_open && last > 0).then_some(Commit(last))
    }
    /// A value, with everything committed so far.
    pub fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(tree_id(tree), key)
    }
    /// All pairs whose key starts with `prefix`, in order, with everything committed so far.
    pub fn scan(&self, tree: Tree, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.inner.scan(tree_id(tree), prefix)
    }
    /// Takes away topics and all rows of `trees`, together or not at all. Appends that are under way go with their topics. Nothing else may
    /// change the rows of `trees` meanwhile.
    pub fn reset(&self, topics: ResetTopics<'_>, trees: &[Tree]) -> Result<Wiped, StoreError> {
        let trees: Vec<TreeId> = trees.iter().map(|t| tree_id(*t)).collect();
        self.inner.reset(topics, &trees)
    }
    /// Brings everything that is committed now into segments and catalogue. Blocking; done by itself every now and then.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let result = self.inner.checkpoint();
        let told = result.as_ref().err().map(CheckpointError::as_store);
        self.inner.note_trouble("checkpoint", result);
        told.map_or(Ok(()), Err)
    }
    /// Applies retention to every partition. Called by the broker's timer. Returns how many segments went.
    pub fn run_retention(&self, now_ms: i64) -> Result<usize, StoreError> {
        self.inner.run_retention(now_ms)
    }
    /// Compacts what is due at `now_ms`, and what gets due by that, as the thread does that is there for it. Returns how many passes over
    /// a partition came to their end. Blocking.
    pub fn compact_now(&self, now_ms: i64) -> usize {
        self.inner.compact_now(now_ms)
    }
    /// What compaction did since the start, and what it sees now.
    pub fn compaction_stats(&self) -> CompactionStats {
        self.inner.compaction_stats()
    }
    /// `None` while writes are taken; otherwise why not (disk full, failed sync), for `/healthz` and logs.
    pub fn write_trouble(&self) -> Option<StoreError> {
        self.inner.core.queue.trouble()
    }
    /// All commits up to this one are kept, or lost.
    pub fn settled(&self) -> Commit {
        Commit(self.inner.core.queue.progress.reached(Stage::Durable))
    }
    /// The last commit since the start that was taken and then not kept, if there is one.
    pub fn last_lost(&self) -> Option<Commit> {
        match self.inner.core.queue.progress.last_failed() {
            0 => None,
            seq => Some(Commit(seq)),
        }
    }
    /// What was counted since the start, for metrics.
    pub fn stats(&self) -> StoreStats {
        let core = &self.inner.core;
        StoreStats {
            commits: core.queue.progress.reached(Stage::Durable),
            journal_syncs: core.journal_syncs.load(Ordering::Relaxed),
            journal_bytes: core.journal_bytes.load(Ordering::Relaxed),
        }
    }
    /// Takes no more commits, finishes those under way, checkpoints, unlocks. Blocking.
    pub fn close(&self) -> Result<(), StoreError> {
        let failed = match self.write_trouble() {
            Some(e @ StoreError::Failed(_)) => Some(e),
            _ => None,
        };
        self.inner.core.queue.close();
        self.inner.compactor.stop();
        let result = match failed {
            // What is in memory may not be what the journal has.
            Some(e) => Err(e),
            // First all that is under way, so that the checkpoint has the end of the journal.
            None => self
                .inner
                .wait_durable(self.inner.core.queue.last_seq())
                .and_then(|()| self.inner.checkpoint().map_err(|e| e.as_store())),
        };
        self.inner.remove_replaced();
        if result.is_ok()
            && let Err(e) = self.inner.writer.lock().close_journal()
        {
            // A start then takes the journal for one that was cut short.
            tracing::warn!(error = %e, "the end of the journal cannot be noted");
        }
        self._threads.stop();
        result
    }
}

/// A change of any tree.
pub(crate) struct Change {
    pub tree: TreeId,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl From<MetaOp> for Change {
    fn from(op: MetaOp) -> Change {
        match op {
            MetaOp::Put { tree, key, value } => Change {
                tree: tree_id(tree),
                key,
                value: Some(value),
            },
            MetaOp::Delete { tree, key } => Change {
                tree: tree_id(tree),
                key,
                value: None,
            },
        }
    }
}

impl Inner {
    fn shared(inner: Inner) -> Arc<Inner> {
        let inner = Arc::new(inner);
        // The core was made for this store a moment ago: nothing is set yet.
        let _ = inner.core.store.set(Arc::downgrade(&inner));
        inner
    }

    /// A value of any tree.
    pub(crate) fn get(&self, tree: TreeId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(changed) = self.overlay.lock().get(tree, key) {
            return Ok(changed);
        }
        let stored = self
            .meta
            .get(tree, key)
            .map_err(|e| StoreError::Failed(format!("reading the catalogue: {e}")))?;
        Ok(stored.map(Bytes::from))
    }

    /// All pairs of any tree whose key starts with `prefix`, in order.
    pub(crate) fn scan(
        &self,
        tree: TreeId,
        prefix: &[u8],
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        // What is only in memory first: a checkpoint moves it down, never up.
        let changed = self.overlay.lock().scan(tree, prefix);
        let stored = self
            .meta
            .scan(tree, prefix)
            .map_err(|e| StoreError::Failed(format!("reading the catalogue: {e}")))?;
        let mut all: BTreeMap<Bytes, Bytes> = stored
            .into_iter()
            .map(|(k, v)| (Bytes::from(k), Bytes::from(v)))
            .collect();
        for (key, value) in changed {
            match value {
                Some(value) => all.insert(key, value),
                None => all.remove(&key),
            };
        }
        Ok(all.into_iter().collect())
    }

    /// Commits changes of trees. Returns the sequence number.
    pub(crate) fn commit_changes(
        &self,
        changes: Vec<Change>,
        kind: Kind,
    ) -> Result<u64, StoreError> {
        self.enqueue(Vec::new(), changes, kind)
    }

    /// Hands a commit to the queue, its changes visible from now on.
    fn enqueue(
        &self,
        mut ops: Vec<QueuedOp>,
        changes: Vec<Change>,
        kind: Kind,
    ) -> Result<u64, StoreError> {
        if changes.is_empty() {
            return self.core.enqueue(ops, kind);
        }
        ops.extend(changes.iter().map(|c| {
            QueuedOp::Meta(JournalOp::Meta {
                tree: c.tree,
                key: c.key.clone(),
                value: c.value.clone(),
            })
        }));
        // Enqueued under the overlay's lock: versions of a key come in the journal's order.
        let mut overlay = self.overlay.lock();
        let seq = self.core.enqueue(ops, kind)?;
        let durable = self.core.queue.progress.reached(Stage::Durable);
        for c in changes {
            overlay.put(c.tree, c.key, seq, c.value, durable);
        }
        Ok(seq)
    }

    fn commit_all(&self, ops: Vec<Op>) -> Result<(Vec<Appended>, Commit), AppendError> {
        if let Some(trouble) = self.core.queue.trouble() {
            return Err(trouble.into());
        }
        let mut changes = Vec::new();
        let mut appends = Vec::new();
        for op in ops {
            match op {
                Op::Meta(op) => changes.push(Change::from(op)),
                Op::Append {
                    partition,
                    batches,
                    headers,
                    ctx,
                } => appends.push((partition, batches, headers, ctx)),
            }
        }
        // Each partition once, in one order for everybody: no deadlock.
        let mut involved: Vec<Arc<Partition>> = appends.iter().map(|a| a.0.clone()).collect();
        involved.sort_by_key(|p| p.uid());
        involved.dedup_by_key(|p| p.uid());
        let mut locked: Vec<_> = involved.iter().map(|p| (p, p.lock())).collect();
        let ends: Vec<i64> = locked.iter().map(|(_, log)| log.end).collect();
        let mut staged = Vec::new();
        let mut queued = Vec::new();
        let mut counts = Vec::new();
        let outcome = (|| {
            for (partition, batches, headers, ctx) in appends {
                let at = involved
                    .iter()
                    .position(|p| Arc::ptr_eq(p, &partition))
                    .expect("every append's partition is among those locked");
                let (appended, pending) =
                    partition.stage(&mut locked[at].1, batches, &headers, ctx)?;
                if let Some(pending) = pending {
                    counts.push((at, pending.count));
                    queued.push(QueuedOp::Append(pending));
                }
                staged.push(appended);
            }
            let seq = self.enqueue(queued, changes, Kind::Normal)?;
            Ok::<u64, AppendError>(seq)
        })();
        match outcome {
            Ok(seq) => {
                let mut totals = vec![0; locked.len()];
                for (at, count) in counts {
                    totals[at] += count;
                }
                for ((_, log), total) in locked.iter_mut().zip(totals) {
                    if total > 0 {
                        log.set_seq(total, seq);
                    }
                }
                let commit = Commit(seq);
                for appended in &mut staged {
                    appended.commit = appended.commit.max(commit);
                }
                Ok((staged, commit))
            }
            Err(e) => {
                for ((partition, log), end) in locked.iter_mut().zip(ends) {
                    partition.roll_back_locked(log, end);
                }
                Err(e)
            }
        }
    }

    pub(crate) fn topics_dir(&self) -> PathBuf {
        crate::datadir::topics_dir(&self.core.dir)
    }

    fn refresh_configs(&self, only: Option<&TopicId>) {
        let partitions: Vec<Arc<Partition>> = self
            .partitions
            .read()
            .values()
            .filter(|p| only.is_none_or(|id| p.topic() == id))
            .cloned()
            .collect();
        for partition in partitions {
            if let Some(topic) = self.catalog.get(partition.topic()) {
                let config = (self.core.options.log_config)(&topic.configs);
                partition.set_config(Arc::new(config));
            }
        }
        self.ask_to_compact_all();
    }
}
