//! The store: the catalogue, the journal's front, and the small trees of the coordinators.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::StoreOptions;
use crate::error::{OpenError, StoreError};
use crate::fs::Fs;
use crate::partition::Partition;
use crate::topic::{NewTopic, Topic, TopicId, Topics};

/// The trees that others keep their state in. The store does not look into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Tree {
    Groups,
    Offsets,
    Producers,
    /// Dynamic broker, group and logger settings.
    Configs,
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

/// A place in the journal: the commit of this sequence number and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit(pub u64);

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    _private: Arc<()>,
}

impl Store {
    /// Opens or creates a data directory, locks it, and recovers what the journal has.
    pub fn open(_fs: Arc<dyn Fs>, _dir: &Path, _options: StoreOptions) -> Result<Store, OpenError> {
        todo!()
    }
    /// The cluster's id (22 characters of base64url, as Kafka's), made when the directory was created.
    pub fn cluster_id(&self) -> &str {
        todo!()
    }
    /// The catalogue as it is now.
    pub fn topics(&self) -> Topics {
        todo!()
    }
    /// A partition of a topic, loaded if need be. `None` if there is none (any more).
    pub fn partition(&self, _topic: &TopicId, _index: i32) -> Option<Arc<Partition>> {
        todo!()
    }
    /// Creates a topic, usable when this returns. `Ok(None)` if the name is taken.
    pub fn create_topic(&self, _new: NewTopic) -> Result<Option<(Arc<Topic>, Commit)>, StoreError> {
        todo!()
    }
    /// Deletes a topic and, when that is durable, its files. `Ok(None)` if there is none.
    pub fn delete_topic(&self, _id: &TopicId) -> Result<Option<Commit>, StoreError> {
        todo!()
    }
    /// Grows a topic to `total` partitions. `Ok(None)` if the topic is gone or has as many already.
    pub fn create_partitions(
        &self,
        _id: &TopicId,
        _total: i32,
    ) -> Result<Option<Commit>, StoreError> {
        todo!()
    }
    /// Replaces a topic's own settings. `Ok(None)` if the topic is gone.
    pub fn set_topic_configs(
        &self,
        _id: &TopicId,
        _configs: BTreeMap<String, String>,
    ) -> Result<Option<Commit>, StoreError> {
        todo!()
    }
    /// Resolves every loaded partition's settings anew, after a broker default changed.
    pub fn refresh_log_configs(&self) {
        todo!()
    }
    /// Commits `ops` together. Returns at once.
    pub fn commit(&self, _ops: Vec<MetaOp>) -> Result<Commit, StoreError> {
        todo!()
    }
    /// Commits appends and changes together, whole or not at all. Offsets of the appends in the order of the ops.
    pub fn commit_all(
        &self,
        _ops: Vec<Op>,
    ) -> Result<(Vec<crate::Appended>, Commit), crate::AppendError> {
        todo!()
    }
    /// Waits until `commit` is kept as [`crate::Durability`] promises.
    pub fn durable(
        &self,
        _commit: Commit,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        async { todo!() }
    }
    /// Waits until `commit` is written to the operating system (acks=1).
    pub fn written(
        &self,
        _commit: Commit,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        async { todo!() }
    }
    /// A value, with everything committed so far.
    pub fn get(&self, _tree: Tree, _key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        todo!()
    }
    /// All pairs whose key starts with `prefix`, in order, with everything committed so far.
    pub fn scan(&self, _tree: Tree, _prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        todo!()
    }
    /// Applies retention to every partition. Called by the broker's timer. Returns how many segments went.
    pub fn run_retention(&self, _now_ms: i64) -> Result<usize, StoreError> {
        todo!()
    }
    /// `None` while writes are taken; otherwise why not (disk full, failed sync), for `/healthz` and logs.
    pub fn write_trouble(&self) -> Option<StoreError> {
        todo!()
    }
    /// Takes no more commits, finishes those under way, checkpoints, unlocks. Blocking.
    pub fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
}
