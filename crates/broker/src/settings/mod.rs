//! Settings: one table of definitions (name, type, range, default, documentation, where it may be set), from which come
//! parsing, DescribeConfigs, dynamic changes and docs/SETTINGS.md.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {reason}")]
#[allow(missing_docs)]
pub struct SettingsError {
    pub name: String,
    pub value: String,
    pub reason: String,
}

/// What a broker is started with: where the data is, and every setting given by file, environment, flags, as `name -> value`
/// in Kafka's names. Parsed and checked by [`Settings::new`].
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Static settings, later sources having replaced earlier ones.
    pub values: BTreeMap<String, String>,
}

/// The effective broker settings in types. A new one is made when a dynamic setting changes.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Effective {
    pub node_id: i32,
    pub num_partitions: i32,
    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,
    pub message_max_bytes: i32,
    pub socket_request_max_bytes: usize,
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    pub connections_max_idle_ms: u64,
    /// Bytes of requests in flight on one connection before the broker stops reading from it.
    pub connection_in_flight_max_bytes: usize,
    /// The same over all connections (`queued.max.request.bytes`; Kafka's -1 becomes Ottla's default).
    pub queued_max_request_bytes: usize,
    pub fetch_max_bytes: i32,
    pub max_incremental_fetch_session_cache_slots: usize,
    pub offset_metadata_max_bytes: i32,
    pub offsets_retention_minutes: i32,
    pub offsets_retention_check_interval_ms: u64,
    pub group_min_session_timeout_ms: i32,
    pub group_max_session_timeout_ms: i32,
    pub group_initial_rebalance_delay_ms: i32,
    pub group_max_size: i32,
    pub log_retention_check_interval_ms: u64,
    pub producer_id_expiration_ms: i32,
    pub max_request_partition_size_limit: i32,
}

/// The settings, static and dynamic. Reading is lock-free.
pub struct Settings {
    current: ArcSwap<Effective>,
}

impl Settings {
    /// Parses and checks what is given; what is not given has its default.
    pub fn new(_config: &BrokerConfig) -> Result<Settings, SettingsError> {
        todo!()
    }
    /// The settings as they are now.
    pub fn current(&self) -> Arc<Effective> {
        self.current.load_full()
    }
}
