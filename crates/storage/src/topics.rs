//! Changes of the catalogue of topics.

use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::{TopicRow, is_legal_name, partition_dir};
use crate::error::StoreError;
use crate::garbage::Garbage;
use crate::meta;
use crate::partition::row::partition_key;
use crate::queue::Kind;
use crate::store::{Change, Commit, Inner};
use crate::topic::{NewTopic, Topic, TopicId};

impl Inner {
    pub(crate) fn create_topic(
        &self,
        new: NewTopic,
    ) -> Result<Option<(Arc<Topic>, Commit)>, StoreError> {
        if !is_legal_name(&new.name) {
            return Err(StoreError::Failed(format!(
                "{:?} is not a topic name",
                new.name
            )));
        }
        let mut names = self.catalog.lock();
        let topics = self.catalog.topics();
        if topics.by_name(&new.name).is_some() || topics.by_id(&new.id).is_some() {
            return Ok(None);
        }
        let topic = Arc::new(Topic {
            id: new.id,
            name: Arc::from(new.name),
            partitions: new.partitions,
            configs: new.configs,
            created_ms: new.created_ms,
        });
        let mut label = topic.name.clone();
        if names.retired.contains(&label) || self.has_files(&label, topic.partitions)? {
            // Files of an earlier topic of this name; `~` is in no topic's name.
            label = Arc::from(format!("~{}", topic.id.simple()));
        }
        let commit = self.commit_changes(vec![topic_change(&topic, &label)?], Kind::Normal)?;
        self.catalog.put(&mut names, topic.clone(), label);
        Ok(Some((topic, Commit(commit))))
    }

    fn has_files(&self, label: &str, partitions: i32) -> Result<bool, StoreError> {
        let dir = self.topics_dir();
        for index in 0..partitions {
            let there = self
                .core
                .fs
                .exists(&partition_dir(&dir, label, index))
                .map_err(|e| StoreError::Failed(format!("looking for files: {e}")))?;
            if there {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Replaces a topic by what `change` makes of it. `Ok(None)` if there is none, or nothing to change.
    pub(crate) fn change_topic(
        &self,
        id: &TopicId,
        change: impl FnOnce(&Topic) -> Option<Topic>,
    ) -> Result<Option<Commit>, StoreError> {
        let mut names = self.catalog.lock();
        let (Some(old), Some(label)) = (self.catalog.get(id), names.labels.get(id).cloned()) else {
            return Ok(None);
        };
        let Some(new) = change(&old) else {
            return Ok(None);
        };
        let commit = self.commit_changes(vec![topic_change(&new, &label)?], Kind::Normal)?;
        self.catalog.put(&mut names, Arc::new(new), label);
        Ok(Some(Commit(commit)))
    }

    pub(crate) fn delete_topic(&self, id: &TopicId) -> Result<Option<Commit>, StoreError> {
        let mut names = self.catalog.lock();
        let (Some(topic), Some(label)) = (self.catalog.get(id), names.labels.get(id).cloned())
        else {
            return Ok(None);
        };
        // Nobody loads a partition of it while the names are locked.
        let loaded: Vec<_> = (0..topic.partitions)
            .filter_map(|i| self.partitions.read().get(&(*id, i)).cloned())
            .collect();
        for partition in &loaded {
            // Under its lock: no append comes after the deletion in the journal.
            let _log = partition.lock();
            partition.mark_deleted(true);
        }
        let change = Change {
            tree: meta::TOPICS,
            key: Bytes::copy_from_slice(id.as_bytes()),
            value: None,
        };
        let seq = match self.commit_changes(vec![change], Kind::FreesSpace) {
            Ok(seq) => seq,
            Err(e) => {
                for partition in &loaded {
                    partition.mark_deleted(false);
                }
                return Err(e);
            }
        };
        self.catalog.remove(&mut names, id);
        names.retired.insert(label.clone());
        drop(names);
        for partition in &loaded {
            partition.wake_watchers();
        }
        self.garbage.lock().push(Garbage::Topic {
            seq,
            topic,
            label,
            loaded,
        });
        self.core.background.ask(|w| w.garbage = true);
        Ok(Some(Commit(seq)))
    }

    /// Takes back the changes of commit `from` and later, and what the catalogue made of them.
    pub(crate) fn roll_back_meta(&self, from: u64) {
        // The catalogue's lock comes before the overlay's, here as in every change.
        let mut names = self.catalog.lock();
        let touched = self.overlay.lock().rollback(from);
        for (tree, key) in touched {
            if tree == meta::LOG_STARTS {
                self.restore_log_start(&key);
            }
            let Ok(id) = TopicId::from_slice(&key) else {
                continue;
            };
            if tree != meta::TOPICS {
                continue;
            }
            match self.get(meta::TOPICS, &key) {
                Ok(Some(row)) => match postcard::from_bytes::<TopicRow>(&row) {
                    Ok(row) => {
                        let (topic, label) = row.topic(id);
                        names.retired.remove(&label);
                        self.catalog.put(&mut names, Arc::new(topic), label);
                        let partitions = self.partitions.read();
                        for (_, p) in partitions.iter().filter(|((t, _), _)| *t == id) {
                            p.mark_deleted(false);
                        }
                    }
                    Err(e) => tracing::error!(topic = %id, error = %e, "a topic's row is damaged"),
                },
                Ok(None) => {
                    self.catalog.remove(&mut names, &id);
                    // Nobody may go on writing to a topic that was not made after all.
                    self.partitions.write().retain(|(topic, _), p| {
                        if *topic == id {
                            p.mark_deleted(true);
                            p.clear();
                            p.wake_watchers();
                        }
                        *topic != id
                    });
                }
                Err(e) => tracing::error!(topic = %id, error = %e, "a topic's row cannot be read"),
            }
        }
    }
}

impl Inner {
    /// A move of a log's start was not kept.
    fn restore_log_start(&self, key: &[u8]) {
        let start = match self.get(meta::LOG_STARTS, key) {
            Ok(value) => value
                .and_then(|v| v[..].try_into().ok())
                .map_or(0, i64::from_be_bytes),
            Err(e) => {
                tracing::error!(error = %e, "a log start cannot be read");
                return;
            }
        };
        let partitions = self.partitions.read();
        let found = partitions
            .values()
            .find(|p| partition_key(p.topic(), p.index()) == key);
        if let Some(partition) = found {
            let mut log = partition.lock();
            partition.set_log_start(&mut log, start);
            log.start_seq = 0;
            drop(log);
            partition.wake_watchers();
        }
    }
}

pub(crate) fn topic_change(topic: &Topic, label: &str) -> Result<Change, StoreError> {
    let row = postcard::to_stdvec(&TopicRow::of(topic, label))
        .map_err(|e| StoreError::Failed(format!("encoding a topic: {e}")))?;
    Ok(Change {
        tree: meta::TOPICS,
        key: Bytes::copy_from_slice(topic.id.as_bytes()),
        value: Some(Bytes::from(row)),
    })
}
