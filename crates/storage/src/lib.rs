//! The durable log: one journal with group commit, segments in Kafka's format, sled for what describes them.
//!
//! See docs/STORAGE_FORMAT.md for the files, docs/ARCHITECTURE.md for the invariants.
//! This crate knows nothing of groups, dead letters, requests or sockets.

mod block_on;
mod catalog;
pub mod check;
mod checkpoint;
pub(crate) mod compaction;
pub mod config;
mod core;
#[cfg(test)]
mod damage;
mod datadir;
pub mod decoders;
pub mod error;
pub mod format;
pub mod fs;
mod garbage;
mod index;
mod journal;
mod large;
mod loading;
pub mod meta;
mod order;
pub mod partition;
pub mod partition_state;
mod progress;
#[cfg(test)]
mod properties;
mod queue;
mod recovery;
mod replay_plan;
mod reset;
mod retention;
mod shared_map;
#[cfg(test)]
mod simulation;
pub mod snapshot;
pub mod stepped;
pub mod store;
pub mod topic;
mod topics;
#[cfg(test)]
mod unsettled;
mod watchers;
mod writer;

pub use check::{CheckReport, Problem};
pub use compaction::CompactionStats;
pub use config::{
    CleanupPolicy, CompactionConfig, CompactionOptions, Durability, LogConfig, StoreOptions,
};
pub use error::{AppendError, OpenError, ReadError, StoreError};
pub use partition::{
    AppendContext, Appended, ClosedSegment, ClosedSegments, FileSlice, NewSegment, Partition,
    ReadSlice, Replaced, SegmentId, SegmentReader, SegmentWriter, TimestampOffset,
};
pub use partition_state::{
    AbortedTransaction, ActiveProducer, Check, PartitionState, PartitionStateFactory, SettledAbort,
};
pub use reset::{ResetTopics, Wiped};
pub use store::{Commit, MetaOp, Op, Store, StoreStats, Tree};
pub use topic::{NewTopic, Topic, TopicId, Topics};
pub use watchers::{DataWatcher, Watchers};
