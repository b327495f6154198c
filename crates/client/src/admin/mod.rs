//! Administration: topics, configs, groups and their offsets, transactions, as methods of [`Client`](crate::Client).
//!
//! Calls on several things answer for each of them; a failure of one is not a failure of the call.

mod configs;
mod group_offsets;
mod groups;
mod records;
mod topic_partitions;
mod topics;
mod transactions;

pub use configs::{
    ConfigChange, ConfigEntry, ConfigResource, ConfigResourceType, ConfigSource, ConfigSynonym,
};
pub use group_offsets::{CommittedOffset, CommittedOffsets};
pub(crate) use group_offsets::{check_commit, commit_request, fetch_committed};
pub(crate) use groups::group_id;
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use topic_partitions::{PARTITIONS_PER_PAGE, PartitionDescription, TopicDescription};
pub use topics::{CreatedTopic, NewTopic};
pub use transactions::{
    ActiveProducer, ListedTransaction, TransactionDescription, TransactionFilter, TransactionMarker,
};

use std::time::Duration;

/// How long the broker may take to carry an administrative request out.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);

fn admin_timeout_ms() -> i32 {
    i32::try_from(ADMIN_TIMEOUT.as_millis()).expect("the constant is half a minute")
}
