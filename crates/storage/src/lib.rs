//! The durable log: one journal with group commit, segments in Kafka's format, sled for what describes them.
//!
//! See docs/STORAGE_FORMAT.md for the files, docs/ARCHITECTURE.md for the invariants.
//! This crate knows nothing of groups, dead letters, requests or sockets.

pub mod config;
pub mod error;
pub mod fs;
pub mod partition;
pub mod partition_state;
pub mod store;
pub mod topic;

pub use config::{CleanupPolicy, Durability, LogConfig, StoreOptions};
pub use error::{AppendError, OpenError, ReadError, StoreError};
pub use partition::{
    AppendContext, Appended, DataWatcher, FileSlice, Partition, ReadSlice, TimestampOffset,
};
pub use partition_state::{Check, PartitionState, PartitionStateFactory};
pub use store::{Commit, MetaOp, Op, Store, Tree};
pub use topic::{NewTopic, Topic, TopicId, Topics};
