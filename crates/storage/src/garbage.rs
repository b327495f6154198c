//! Files that nobody needs: of deleted topics and of segments below the log start. Removed once the deletion is durable.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::catalog::partition_dir;
use crate::checkpoint::CheckpointError;
use crate::partition::Partition;
use crate::partition::row::partition_key;
use crate::progress::Stage;
use crate::store::Inner;
use crate::topic::Topic;

/// What is to be removed after commit `seq`.
pub(crate) enum Garbage {
    Topic {
        seq: u64,
        topic: Arc<Topic>,
        label: Arc<str>,
        loaded: Vec<Arc<Partition>>,
    },
    Segments {
        seq: u64,
        partition: Arc<Partition>,
        /// The log start that was moved.
        start: i64,
    },
}

impl Garbage {
    fn seq(&self) -> u64 {
        match self {
            Garbage::Topic { seq, .. } | Garbage::Segments { seq, .. } => *seq,
        }
    }
}

/// Directories on their way out end so; no topic's name has a `~`.
const REMOVED: &str = "~deleted";

impl Inner {
    /// Removes what waits.
    pub(crate) fn collect_garbage(&self) {
        self.remove_replaced();
        let garbage = std::mem::take(&mut *self.garbage.lock());
        if garbage.is_empty() {
            return;
        }
        if !self.core.synced() {
            // A power cut must not bring back a topic, or a start, whose files are gone.
            let last = garbage.iter().map(Garbage::seq).max().unwrap_or_default();
            let synced = self
                .wait_durable(last)
                .map_err(CheckpointError::from)
                .and_then(|()| Ok(self.sync_commits()?));
            if let Err(e) = synced {
                self.note_trouble("syncing the journal before files are removed", Err(e));
                return;
            }
        }
        let mut removed = Vec::new();
        for item in garbage {
            let seq = item.seq();
            let kept = self.wait_durable(seq).is_ok()
                && matches!(
                    self.core.queue.progress.outcome(Stage::Durable, seq),
                    Some(Ok(()))
                );
            if !kept {
                // Not kept: what it was about is in use again, or the store has stopped.
                continue;
            }
            let result = match &item {
                Garbage::Topic {
                    topic,
                    label,
                    loaded,
                    ..
                } => self
                    .remove_topic(topic, label, loaded)
                    .map(|()| removed.push(label.clone())),
                Garbage::Segments {
                    partition, start, ..
                } => self.remove_segments(partition, *start),
            };
            if let Err(e) = result {
                tracing::warn!(error = %e, "files of deleted data cannot be removed; tried again at the next start");
            }
        }
        self.release_labels(&removed);
    }

    /// Lets topics use the names of directories again. A power cut must not bring the old files back below them: a snapshot may share
    /// these, and a recovery would write the new topic's records into them.
    fn release_labels(&self, labels: &[Arc<str>]) {
        if labels.is_empty() {
            return;
        }
        if let Err(e) = self.core.fs.sync_dir(&self.topics_dir()) {
            // They stay taken, and new topics use other ones.
            tracing::warn!(error = %e, "the removal of topics' directories is not durable");
            return;
        }
        let mut names = self.catalog.lock();
        for label in labels {
            names.retired.remove(label);
        }
    }

    fn remove_topic(
        &self,
        topic: &Topic,
        label: &Arc<str>,
        loaded: &[Arc<Partition>],
    ) -> io::Result<()> {
        // No checkpoint is writing its files meanwhile.
        let checkpointing = self.checkpointing.lock();
        for partition in loaded {
            partition.clear();
            self.partitions
                .write()
                .remove(&(topic.id, partition.index()));
        }
        self.dead_rows
            .lock()
            .extend((0..topic.partitions).map(|i| partition_key(&topic.id, i)));
        let dir = self.topics_dir();
        for index in 0..topic.partitions {
            remove_dir(self, &partition_dir(&dir, label, index))?;
        }
        drop(checkpointing);
        self.core.background.mark_dirty();
        Ok(())
    }

    fn remove_segments(&self, partition: &Partition, start: i64) -> io::Result<()> {
        let _checkpointing = self.checkpointing.lock();
        for segment in partition.drop_segments(start) {
            partition.remove_files(segment)?;
        }
        Ok(())
    }

    /// Removes directories that a crash left behind.
    pub(crate) fn remove_leftovers(&self) {
        if let Err(e) = crate::snapshot::remove_leftovers(&*self.core.fs, &self.core.dir) {
            tracing::warn!(error = %e, "what is left of a snapshot cannot be removed");
        }
        let dir = self.topics_dir();
        let Ok(entries) = self.core.fs.read_dir(&dir) else {
            return;
        };
        let known: HashMap<Arc<str>, i32> = {
            let names = self.catalog.lock();
            let topics = self.catalog.topics();
            let live = names
                .labels
                .iter()
                .filter_map(|(id, label)| topics.by_id(id).map(|t| (label.clone(), t.partitions)));
            let retired = names.retired.iter().map(|label| (label.clone(), i32::MAX));
            live.chain(retired).collect()
        };
        for entry in entries.into_iter().filter(|e| e.is_dir) {
            let known = || {
                let (label, index) = entry.name.rsplit_once('-')?;
                let partitions = known.get(label)?;
                (index.parse::<i32>().ok()? < *partitions).then_some(())
            };
            if known().is_some() {
                continue;
            }
            if let Err(e) = self.remove_leftover(&dir.join(&entry.name), &entry.name) {
                tracing::warn!(directory = entry.name, error = %e, "a deleted topic's files cannot be removed");
            }
        }
    }

    fn remove_leftover(&self, path: &std::path::Path, name: &str) -> io::Result<()> {
        if name.ends_with(REMOVED) {
            return self.core.fs.remove_dir_all(path);
        }
        // A topic created meanwhile has taken another label if this directory was there, and is in the catalogue if it made it.
        let names = self.catalog.lock();
        let in_use = self.catalog.topics().iter().any(|t| {
            let label = names.labels.get(&t.id);
            label.is_some_and(|l| {
                name.strip_prefix(&**l)
                    .and_then(|rest| rest.strip_prefix('-'))
                    .and_then(|i| i.parse::<i32>().ok())
                    .is_some_and(|i| i < t.partitions)
            })
        });
        let label = name.rsplit_once('-').map_or(name, |(label, _)| label);
        // One of a topic deleted just now is removed when that is durable.
        if in_use || names.retired.contains(label) {
            return Ok(());
        }
        let away = path.with_file_name(format!("{name}{REMOVED}"));
        self.core.fs.rename(path, &away)?;
        // Before another topic uses the name, as above.
        self.core.fs.sync_dir(&self.topics_dir())?;
        drop(names);
        self.core.fs.remove_dir_all(&away)
    }
}

fn remove_dir(inner: &Inner, path: &std::path::Path) -> io::Result<()> {
    if !inner.core.fs.exists(path)? {
        return Ok(());
    }
    inner.core.fs.remove_dir_all(path)
}
