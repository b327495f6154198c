//! What the store is told: durability, bounds, and each topic's log settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_codec::batch::TimestampType;

/// What an acknowledgement of acks=all survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Process crash and power cut: synced before it is acknowledged or seen by a consumer.
    Disk,
    /// Process crash: written to the operating system before it is acknowledged.
    Os,
}

/// `cleanup.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// A topic's effective log settings, in Kafka's names and units.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LogConfig {
    pub segment_bytes: u64,
    /// Milliseconds after which a non-empty active segment is rolled.
    pub segment_ms: u64,
    /// `None`: without limit (-1).
    pub retention_ms: Option<u64>,
    pub retention_bytes: Option<u64>,
    pub cleanup_policy: CleanupPolicy,
    /// The largest batch, as it is appended.
    pub max_message_bytes: usize,
    pub timestamp_type: TimestampType,
    pub index_interval_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            retention_bytes: None,
            cleanup_policy: CleanupPolicy {
                delete: true,
                compact: false,
            },
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            index_interval_bytes: 4096,
        }
    }
}

/// Turns a topic's own settings (as stored) into its effective log settings. Given by the broker, which knows the defaults.
pub type ConfigResolver = Arc<dyn Fn(&BTreeMap<String, String>) -> LogConfig + Send + Sync>;

/// What [`crate::Store::open`] is told.
#[derive(Clone)]
pub struct StoreOptions {
    /// See [`Durability`].
    pub durability: Durability,
    /// Bound on recent batches that are kept in memory for readers, and on small appends not yet written to their segment.
    pub cache_bytes: usize,
    /// Bound on open segment files.
    pub max_open_files: usize,
    /// A checkpoint is due after this many journal bytes ...
    pub checkpoint_bytes: u64,
    /// ... or after this time, if anything was committed.
    pub checkpoint_interval: Duration,
    /// See [`ConfigResolver`].
    pub log_config: ConfigResolver,
    /// Makes the per-partition state that sees every batch (producer windows).
    pub partition_state: Arc<dyn crate::PartitionStateFactory>,
    /// The cluster id of a data directory that is made; one that is there keeps its own. `None`: a random one.
    /// One line without control characters.
    pub cluster_id: Option<String>,
}
