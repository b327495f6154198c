//! The topics: the catalogue in memory, its rows, and the names of directories.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::topic::{Topic, TopicId, Topics};

/// A topic's row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TopicRow {
    pub name: String,
    /// The directories' name before the partition number: the topic's name, unless an earlier topic's files still have it.
    pub label: String,
    pub partitions: i32,
    pub configs: BTreeMap<String, String>,
    pub created_ms: i64,
}

impl TopicRow {
    pub fn of(topic: &Topic, label: &str) -> TopicRow {
        TopicRow {
            name: topic.name.to_string(),
            label: label.to_owned(),
            partitions: topic.partitions,
            configs: topic.configs.clone(),
            created_ms: topic.created_ms,
        }
    }

    pub fn topic(self, id: TopicId) -> (Topic, Arc<str>) {
        let topic = Topic {
            id,
            name: Arc::from(self.name),
            partitions: self.partitions,
            configs: self.configs,
            created_ms: self.created_ms,
        };
        (topic, Arc::from(self.label))
    }
}

#[derive(Default)]
pub(crate) struct Catalog {
    topics: ArcSwap<Topics>,
    names: Mutex<Names>,
}

/// Held while the catalogue changes.
#[derive(Default)]
pub(crate) struct Names {
    pub labels: HashMap<TopicId, Arc<str>>,
    /// Labels of deleted topics whose files may still be there.
    pub retired: HashSet<Arc<str>>,
}

impl Catalog {
    pub fn topics(&self) -> Topics {
        (**self.topics.load()).clone()
    }

    pub fn get(&self, id: &TopicId) -> Option<Arc<Topic>> {
        self.topics.load().by_id.get(id).cloned()
    }

    /// For a change: one at a time.
    pub fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }

    /// All topics at once, at start.
    pub fn fill(&self, all: impl IntoIterator<Item = (Topic, Arc<str>)>) {
        let mut names = self.lock();
        let mut topics = Topics::default();
        for (topic, label) in all {
            names.labels.insert(topic.id, label);
            let topic = Arc::new(topic);
            topics.by_name.insert(topic.name.clone(), topic.clone());
            topics.by_id.insert(topic.id, topic);
        }
        self.topics.store(Arc::new(topics));
    }

    /// Replaces all topics. Returns those that were there before, with their labels, which may not be used as long as their files are there.
    pub fn replace(
        &self,
        names: &mut Names,
        all: Vec<(Arc<Topic>, Arc<str>)>,
    ) -> Vec<(Arc<Topic>, Arc<str>)> {
        let before = self.topics();
        let mut labels = std::mem::take(&mut names.labels);
        let gone: Vec<(Arc<Topic>, Arc<str>)> = before
            .by_id
            .values()
            .filter_map(|t| Some((t.clone(), labels.remove(&t.id)?)))
            .collect();
        names
            .retired
            .extend(gone.iter().map(|(_, label)| label.clone()));
        let mut topics = Topics::default();
        for (topic, label) in all {
            names.labels.insert(topic.id, label);
            topics.by_name.insert(topic.name.clone(), topic.clone());
            topics.by_id.insert(topic.id, topic);
        }
        self.topics.store(Arc::new(topics));
        gone
    }

    /// Adds a topic or replaces it.
    pub fn put(&self, names: &mut Names, topic: Arc<Topic>, label: Arc<str>) {
        names.labels.insert(topic.id, label);
        let mut topics = self.topics();
        topics.by_name.insert(topic.name.clone(), topic.clone());
        topics.by_id.insert(topic.id, topic);
        self.topics.store(Arc::new(topics));
    }

    /// Removes a topic.
    pub fn remove(&self, names: &mut Names, id: &TopicId) -> Option<Arc<Topic>> {
        let mut topics = self.topics();
        let topic = topics.by_id.remove(id)?;
        // The name may belong to a newer topic by now.
        if topics.by_name.get(&topic.name).is_some_and(|t| t.id == *id) {
            topics.by_name.remove(&topic.name);
        }
        names.labels.remove(id);
        self.topics.store(Arc::new(topics));
        Some(topic)
    }
}

/// Whether a name is one of Kafka's: it then cannot leave the data directory, nor collide with the names that Ottla makes.
pub(crate) fn is_legal_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 249
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The directory of a partition, below `topics/`.
pub(crate) fn partition_dir(topics: &std::path::Path, label: &str, index: i32) -> PathBuf {
    topics.join(format!("{label}-{index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\0b",
            "a~b",
            "é",
            &"x".repeat(250),
        ] {
            assert!(!is_legal_name(bad), "{bad:?}");
        }
        for good in ["orders", "a.b_c-9", "__consumer_offsets"] {
            assert!(is_legal_name(good), "{good:?}");
        }
    }
}
