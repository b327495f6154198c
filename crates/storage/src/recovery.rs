//! Opening a data directory: the catalogue, then the journal since the last checkpoint, idempotently. Of segments it reads what may not have
//! been synced (the last large appends, or all since then in a store without syncs), so that a start does not grow with the data.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Mutex, RwLock};

use crate::catalog::{Catalog, TopicRow};
use crate::checkpoint::POSITION_KEY;
use crate::config::StoreOptions;
use crate::core::{Core, UnderWay};
use crate::datadir;
use crate::error::OpenError;
use crate::fs::Fs;
use crate::journal::format::{Body, JournalOp, Place, WhenSynced};
use crate::journal::{self, Journal, JournalDamage, ReplayError};
use crate::meta::{self, MetaStore, Overlay};
use crate::partition::Partition;
use crate::partition::row::{parse_partition_key, partition_key};
use crate::replay_plan::ReplayPlan;
use crate::store::{Inner, Tuning};
use crate::topic::TopicId;
use crate::writer::{self, Writer};

/// Partitions whose files are open together to be synced.
const SYNCED_AT_ONCE: usize = 64;

/// Opens a store, ready for its first commit.
pub(crate) fn open(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: StoreOptions,
    tuning: Tuning,
    stepped: bool,
) -> Result<Inner, OpenError> {
    let data_dir = datadir::open(&*fs, dir, options.cluster_id.as_deref())?;
    if fs
        .available_bytes(dir)
        .is_ok_and(|room| room < 2 * tuning.checkpoint_room)
    {
        writer::use_reserve(&*fs, dir);
    }
    let io_error = |source: io::Error| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    let damaged = |reason: String| OpenError::Damaged {
        path: dir.to_owned(),
        reason,
    };
    fs.write_meta_again(&datadir::meta_dir(dir))
        .map_err(io_error)?;
    let mut meta = fs
        .open_meta(&datadir::meta_dir(dir))
        .map_err(|e| match e.kind() {
            io::ErrorKind::Other => damaged(format!(
                "the catalogue in {} cannot be opened: {e}. {WAY_OUT}",
                datadir::meta_dir(dir).display()
            )),
            _ => io_error(e),
        })?;
    let position = read_position(&*meta).map_err(io_error)?;
    let replay_error = |e| match e {
        ReplayError::Io(e) if e.kind() == io::ErrorKind::InvalidData => damaged(e.to_string()),
        ReplayError::Io(e) => io_error(e),
        ReplayError::Unknown(reason) => damaged(reason),
    };
    let journal_dir = datadir::journal_dir(dir);
    let mut found_lock = Some(data_dir.lock);
    let mut limit = u64::MAX;
    let mut lost: Option<JournalDamage> = None;
    let (inner, found) = loop {
        let core = Core::new(fs.clone(), dir.to_owned(), options.clone(), position);
        let core = Arc::new(core);
        let inner = Inner {
            _under_way: UnderWay(core.clone()),
            core,
            meta,
            overlay: Mutex::new(Overlay::default()),
            catalog: Catalog::default(),
            partitions: RwLock::new(HashMap::new()),
            writer: Mutex::new(Writer::new()),
            garbage: Mutex::default(),
            replaced: Mutex::default(),
            compactor: Default::default(),
            dead_rows: Mutex::default(),
            checkpointing: Mutex::default(),
            cluster_id: data_dir.cluster_id.clone(),
            tuning,
            stepped,
            lock: Mutex::new(found_lock.take()),
        };
        inner.load_catalog().map_err(damaged)?;
        let mut plan = ReplayPlan::default();
        let looked = journal::replay(&*fs, &journal_dir, position, limit, |seq, ops| {
            plan.note(seq, &ops);
            Ok(true)
        })
        .map_err(replay_error)?;
        if looked.checkpoint > position {
            return Err(OpenError::Damaged {
                path: dir.to_owned(),
                reason: damaged_catalogue(dir, position, looked.checkpoint),
            });
        }
        if looked.max_id == 0
            && had_journal(&*fs, dir).map_err(io_error)?
            && !options.cut_damaged_journal
        {
            return Err(OpenError::DamagedJournal {
                path: dir.to_owned(),
                reason: format!("no file in {} has a sound header", journal_dir.display()),
            });
        }
        if let Some(damage) = looked.damage.clone().filter(|_| looked.cut_at.is_none()) {
            if !options.cut_damaged_journal {
                return Err(OpenError::DamagedJournal {
                    path: dir.to_owned(),
                    reason: damage.to_string(),
                });
            }
            tracing::error!(%damage, "the journal is damaged, and cut as the settings say: commits are lost");
            lost = Some(damage);
        }
        // It is about to be shown to consumers, and files are removed as it says: no power cut may take it back.
        looked.write_again(&*fs).map_err(io_error)?;
        let found = if looked.replayed == 0 {
            looked
        } else {
            journal::replay(&*fs, &journal_dir, position, limit, |seq, ops| {
                inner.replay(seq, ops, &plan, looked.first_unsettled)
            })
            .map_err(replay_error)?
        };
        match found.cut_at {
            // Deletions behind the cut are cut as well: what they would have taken must come back.
            Some(seq) if seq < limit && plan.looks_past(seq) => {
                limit = seq;
                found_lock = inner.lock.into_inner();
                meta = inner.meta;
            }
            _ => break (inner, found),
        }
    };
    if found.torn_bytes > 0 {
        tracing::warn!(
            bytes = found.torn_bytes,
            at = found
                .torn_at
                .as_ref()
                .map(|(path, position)| format!("{} at byte {position}", path.display())),
            "the journal ends in commits that are not whole: cut. A crash leaves that of what was not acknowledged"
        );
    }
    if let Some(damage) = &lost {
        inner.tell_lost(damage);
    }
    inner.core.restart_after(found.last_seq);
    if found.replayed > 0 || !found.stale.is_empty() {
        tracing::info!(commits = found.replayed, "recovered from the journal");
        let touched = inner.loaded_partitions();
        // Without syncs a power cut could still take appends that the journal has, and the deletions behind them, but not files back.
        for some in touched.chunks(SYNCED_AT_ONCE) {
            let mut files = Vec::new();
            for partition in some {
                files.extend(partition.unsynced_files().map_err(io_error)?);
            }
            fs.sync_all(&files, &[]).map_err(io_error)?;
        }
        for partition in &touched {
            partition.drop_deleted().map_err(io_error)?;
        }
        let mut directories = vec![datadir::topics_dir(dir)];
        for partition in &touched {
            directories.extend(partition.directory().map_err(io_error)?);
        }
        fs.sync_all(&[], &directories).map_err(io_error)?;
        inner.checkpoint().map_err(|e| match e {
            crate::checkpoint::CheckpointError::Io(e) => io_error(e),
            other => damaged(format!("checkpoint after recovery: {other}")),
        })?;
        for partition in touched {
            partition.cut_files().map_err(io_error)?;
        }
    } else {
        // A killed process may have written the position without a sync: the journal before it is about to be reused.
        inner.meta.sync().map_err(io_error)?;
    }
    let next = inner.core.next_file.clone();
    let synced = inner.core.synced();
    let bytes = tuning.journal_file_bytes;
    let journal = Journal::start(fs, &journal_dir, found, bytes, next, synced).map_err(io_error)?;
    inner.writer.lock().start(journal);
    // With threads it is the first that the background does.
    if stepped {
        inner.make_first_reserve().map_err(io_error)?;
    }
    Ok(inner)
}

/// What helps when the catalogue is damaged.
const WAY_OUT: &str = "Bring the directory back from a copy or, with `ottla snapshot restore`, from a snapshot; the records are whole in topics/";

fn damaged_catalogue(dir: &Path, position: u64, checkpoint: u64) -> String {
    let meta = datadir::meta_dir(dir);
    format!(
        "the catalogue in {} goes up to commit {position}, and went up to {checkpoint} before: what came later is lost. {WAY_OUT}",
        meta.display()
    )
}

/// Whether commits may have been made here: what is set aside is made after the first journal file is there to stay.
fn had_journal(fs: &dyn Fs, dir: &Path) -> io::Result<bool> {
    Ok(fs.exists(&dir.join(writer::RESERVE_NAME))?
        || !fs.read_dir(&datadir::topics_dir(dir))?.is_empty())
}

/// The last commit of the last checkpoint.
pub(crate) fn read_position(meta: &dyn MetaStore) -> io::Result<u64> {
    let Some(value) = meta.get(meta::CHECKPOINT, POSITION_KEY)? else {
        return Ok(0);
    };
    let bytes = value.try_into().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the checkpoint's position is not 8 bytes",
        )
    })?;
    Ok(u64::from_le_bytes(bytes))
}

impl Inner {
    /// Tells which offsets are gone with commits that cannot be read, as far as later ones tell.
    fn tell_lost(&self, damage: &JournalDamage) {
        for ((topic, index), end) in &damage.ends {
            let Some(partition) = self.partition(topic, *index) else {
                tracing::error!(%topic, partition = index, until = end, "records of a topic that is lost are lost");
                continue;
            };
            let name = self.catalog.get(topic).map(|t| t.name.clone());
            let from = partition.log_end_offset();
            let topic = name.as_deref().unwrap_or_default();
            tracing::error!(
                topic,
                partition = index,
                from,
                until = end,
                "records are lost"
            );
        }
    }

    fn load_catalog(&self) -> Result<(), String> {
        let rows = self
            .meta
            .scan(meta::TOPICS, b"")
            .map_err(|e| format!("the topics cannot be read: {e}"))?;
        let mut topics = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            let id = TopicId::from_slice(&key).map_err(|e| format!("a topic's key: {e}"))?;
            let row: TopicRow =
                postcard::from_bytes(&value).map_err(|e| format!("row of topic {id}: {e}"))?;
            topics.push(row.topic(id));
        }
        self.catalog.fill(topics);
        Ok(())
    }

    /// Does a commit of the journal again. `false`: its bytes were never synced and are not there, so it ends the journal. What records before
    /// `first_unsettled` name in segments was synced.
    fn replay(
        &self,
        seq: u64,
        mut ops: Vec<JournalOp>,
        plan: &ReplayPlan,
        first_unsettled: u64,
    ) -> io::Result<bool> {
        ops.retain(
            |op| !matches!(op, JournalOp::Append(place, _) if plan.is_deleted(&place.topic)),
        );
        let (mut is_whole, mut is_unsettled) = (true, false);
        for op in &ops {
            let JournalOp::Append(
                place,
                Body::Segment {
                    synced, headers, ..
                },
            ) = op
            else {
                continue;
            };
            let is_there = match synced {
                WhenSynced::Before => true,
                WhenSynced::Meanwhile if seq < first_unsettled => true,
                WhenSynced::Meanwhile | WhenSynced::Later => plan.goes(place),
            };
            if is_there {
                continue;
            }
            is_unsettled |= *synced == WhenSynced::Meanwhile;
            if let Some(partition) = self.partition_for_replay(place)?
                && !partition.take_bytes(place, headers)?
            {
                if *synced == WhenSynced::Later {
                    return Ok(false);
                }
                is_whole = false;
            }
        }
        if is_unsettled {
            let counter = if is_whole {
                &self.core.kept_unsettled
            } else {
                &self.core.left_out
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if !is_whole {
            tracing::warn!(
                commit = seq,
                "a large append is not whole in its segment: left out. A crash leaves that of what was not acknowledged"
            );
            return Ok(true);
        }
        for op in ops {
            match op {
                JournalOp::Append(place, body) => {
                    if let Some(partition) = self.partition_for_replay(&place)? {
                        partition.replay(seq, &place, body)?;
                    }
                }
                JournalOp::Meta { tree, key, value } => {
                    self.overlay
                        .lock()
                        .put(tree, key.clone(), seq, value.clone(), seq - 1);
                    match tree {
                        meta::TOPICS => self.replay_topic(&key, value.as_deref())?,
                        meta::LOG_STARTS => self.replay_log_start(&key, value.as_deref()),
                        _ => {}
                    }
                }
            }
        }
        Ok(true)
    }

    /// `None`: the topic is deleted, which a catalogue that is ahead of the journal may know already.
    fn partition_for_replay(&self, place: &Place) -> io::Result<Option<Arc<Partition>>> {
        let key = (place.topic, place.partition);
        if let Some(partition) = self.partitions.read().get(&key) {
            return Ok(Some(partition.clone()));
        }
        let names = self.catalog.lock();
        let loaded = self
            .load_partition(&names, &place.topic, place.partition)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        if let Some(partition) = &loaded {
            self.partitions.write().insert(key, partition.clone());
        }
        Ok(loaded)
    }

    fn replay_topic(&self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
        let id = TopicId::from_slice(key).map_err(|e| invalid(format!("a topic's key: {e}")))?;
        let mut names = self.catalog.lock();
        match value {
            Some(value) => {
                let row: TopicRow = postcard::from_bytes(value)
                    .map_err(|e| invalid(format!("row of topic {id}: {e}")))?;
                let (topic, label) = row.topic(id);
                self.catalog.put(&mut names, Arc::new(topic), label);
            }
            None => {
                if let Some(topic) = self.catalog.remove(&mut names, &id) {
                    let mut partitions = self.partitions.write();
                    for index in 0..topic.partitions {
                        self.dead_rows.lock().push(partition_key(&id, index));
                        if let Some(partition) = partitions.remove(&(id, index)) {
                            partition.mark_deleted(true);
                            partition.clear();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A partition that is loaded later reads its start from the tree.
    fn replay_log_start(&self, key: &[u8], value: Option<&[u8]>) {
        let Some((topic, index)) = parse_partition_key(key) else {
            return;
        };
        let partition = self.partitions.read().get(&(topic, index)).cloned();
        let start = value
            .and_then(|v| v.try_into().ok())
            .map(i64::from_be_bytes);
        if let (Some(partition), Some(start)) = (partition, start) {
            partition.replay_start(start);
        }
    }
}
