//! The catalogue of topics.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use uuid::Uuid;

use crate::shared_map::SharedMap;

/// A topic's identity; its name is a label.
pub type TopicId = Uuid;

/// A topic as it stands in the catalogue. Immutable: a change makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The identity.
    pub id: TopicId,
    /// The name; checked by the broker, refused here if it could leave the data directory.
    pub name: Arc<str>,
    /// How many partitions.
    pub partitions: i32,
    /// The topic's own settings, as they were set.
    pub configs: BTreeMap<String, String>,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
}

/// What is needed to create a topic.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct NewTopic {
    pub id: TopicId,
    pub name: String,
    pub partitions: i32,
    pub configs: BTreeMap<String, String>,
    pub created_ms: i64,
}

/// A snapshot of the catalogue; cheap to clone, never changes.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    pub(crate) by_name: SharedMap<Arc<str>, Arc<Topic>>,
    pub(crate) by_id: SharedMap<TopicId, Arc<Topic>>,
}

impl Topics {
    /// By name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }
    /// By id.
    pub fn by_id(&self, id: &TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(id)
    }
    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.len() == 0
    }
}
