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
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct LogConfig {
    pub segment_bytes: u64,
    /// Milliseconds after which a non-empty active segment is rolled.
    pub segment_ms: u64,
    /// `None`: without limit (-1).
    pub retention_ms: Option<u64>,
    pub retention_bytes: Option<u64>,
    pub cleanup_policy: CleanupPolicy,
    /// A partition is compacted when more than this share of its bytes, 0 to 1, was not yet.
    pub min_cleanable_dirty_ratio: f64,
    /// Milliseconds for which records are kept as they came.
    pub min_compaction_lag_ms: u64,
    /// Milliseconds after which records are compacted whatever the share is. `u64::MAX`: never for that.
    pub max_compaction_lag_ms: u64,
    /// Milliseconds for which a tombstone, or the marker of a transaction that has no records left, stays after the pass that first
    /// met it.
    pub delete_retention_ms: u64,
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
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: u64::MAX,
            delete_retention_ms: 24 * 3600 * 1000,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            index_interval_bytes: 4096,
        }
    }
}

impl LogConfig {
    /// Milliseconds after which a non-empty active segment is rolled: in a compacted topic before its records are overdue.
    /// As `LogConfig.maxSegmentMs` of Kafka.
    pub(crate) fn max_segment_ms(&self) -> u64 {
        match self.cleanup_policy.compact {
            true => self.segment_ms.min(self.max_compaction_lag_ms),
            false => self.segment_ms,
        }
    }
}

/// What the thread that compacts goes by, for all topics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionConfig {
    /// `false`: no pass is begun.
    pub enabled: bool,
    /// Bound on the memory of a pass's offset map, in bytes.
    pub map_bytes: usize,
    /// Bound on what is read and written, in bytes a second. Infinite: none.
    pub bytes_per_second: f64,
    /// The longest pause between two rounds of passes; how long after a full disk a pass is tried again.
    pub backoff: Duration,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        CompactionConfig {
            enabled: true,
            map_bytes: 128 << 20,
            bytes_per_second: f64::INFINITY,
            backoff: Duration::from_secs(15),
        }
    }
}

/// What compaction asks of its surroundings.
#[derive(Clone)]
pub struct CompactionOptions {
    /// The settings as they are now. After a change call [`crate::Store::refresh_log_configs`].
    pub config: Arc<dyn Fn() -> CompactionConfig + Send + Sync>,
    /// Milliseconds since the Unix epoch.
    pub now_ms: fn() -> i64,
}

impl CompactionOptions {
    /// The default settings, and this clock.
    pub fn new(now_ms: fn() -> i64) -> CompactionOptions {
        CompactionOptions {
            config: Arc::new(CompactionConfig::default),
            now_ms,
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
    /// See [`CompactionOptions`].
    pub compaction: CompactionOptions,
    /// The cluster id of a data directory that is made; one that is there keeps its own. `None`: a random one.
    /// One line without control characters.
    pub cluster_id: Option<String>,
    /// Whether a damaged journal is cut where it cannot be read. `false`: the store is not opened then.
    pub cut_damaged_journal: bool,
}
