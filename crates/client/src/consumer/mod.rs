//! Consuming: offsets by time, partitions from an offset on, and membership of a group.

mod aborted;
mod assignor;
mod fetcher;
mod group;
mod membership;
mod offsets;
pub(crate) mod protocol;

pub use fetcher::{ConsumedRecord, ConsumerOptions, Isolation, OffsetReset, PartitionConsumer};
pub use group::{GroupConsumer, GroupOptions};
pub use offsets::OffsetSpec;
