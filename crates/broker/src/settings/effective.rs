//! The settings as types: of the broker, and of a topic's log.

use std::time::Duration;

use ottla_codec::batch::TimestampType;
use ottla_storage::{CleanupPolicy, CompactionConfig, Durability, LogConfig};

use super::definition::list;
use super::dynamic::ADVERTISED_LISTENERS;
use super::layers::{Layers, Values};
use super::table;

/// The bound on requests in flight over all connections when `queued.max.request.bytes` is -1.
const QUEUED_REQUEST_BYTES: usize = 256 << 20;

/// The effective broker settings in types. A new one is made when a dynamic setting changes.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Effective {
    pub node_id: i32,
    pub rack: Option<String>,
    /// `advertised.listeners` as it was set while the broker ran.
    pub advertised_listeners: Option<String>,
    /// Bytes of metrics in one push of a client.
    pub telemetry_max_bytes: i32,
    pub durability: Durability,
    pub num_partitions: i32,
    pub default_replication_factor: i32,
    /// Lower a replication factor above the number of brokers instead of refusing it.
    pub auto_lower_replication_factor: bool,
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
    pub compaction: CompactionConfig,
    /// The longest that a transaction may be open.
    pub transaction_max_timeout_ms: i32,
    /// Whether a partition that an older client has not added to its transaction refuses its batches.
    pub transaction_partition_verification_enable: bool,
    /// After how long a transactional id that nothing happened to is forgotten.
    pub transactional_id_expiration_ms: i64,
    /// How often expired transactional ids are looked for.
    pub transactional_id_check_interval_ms: u64,
    pub max_request_partition_size_limit: i32,
    /// Bytes of recent batches in memory.
    pub cache_bytes: usize,
    pub max_open_files: usize,
    pub checkpoint_bytes: u64,
    pub checkpoint_interval: Duration,
    /// See [`ottla_storage::StoreOptions::cut_damaged_journal`].
    pub cut_damaged_journal: bool,
    /// What dead letters follow where neither topic nor group say otherwise.
    pub dead_letters: ottla_dlq::settings::Settings,
    pub dead_letter_topic_suffix: String,
    /// `http.allowed.hosts`.
    pub http_allowed_hosts: Vec<String>,
}

impl Effective {
    pub(super) fn new(layers: &Layers) -> Effective {
        let queued: i64 = layers.get("queued.max.request.bytes");
        Effective {
            node_id: layers.get("node.id"),
            telemetry_max_bytes: layers.get("telemetry.max.bytes"),
            rack: layers.value("broker.rack").map(str::to_owned),
            advertised_listeners: layers.per_broker.get(ADVERTISED_LISTENERS).cloned(),
            durability: durability(layers),
            num_partitions: layers.get("num.partitions"),
            default_replication_factor: layers.get("default.replication.factor"),
            auto_lower_replication_factor: layers.get("ottla.auto.lower.replication.factor"),
            auto_create_topics_enable: layers.get("auto.create.topics.enable"),
            delete_topic_enable: layers.get("delete.topic.enable"),
            message_max_bytes: layers.get("message.max.bytes"),
            socket_request_max_bytes: layers.get("socket.request.max.bytes"),
            max_connections: layers.get("max.connections"),
            max_connections_per_ip: layers.get("max.connections.per.ip"),
            connections_max_idle_ms: milliseconds(layers.get("connections.max.idle.ms"))
                .unwrap_or(u64::MAX),
            connection_in_flight_max_bytes: layers.get("ottla.connection.in.flight.max.bytes"),
            queued_max_request_bytes: usize::try_from(queued)
                .ok()
                .filter(|bytes| *bytes > 0)
                .unwrap_or(QUEUED_REQUEST_BYTES),
            fetch_max_bytes: layers.get("fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: layers
                .get("max.incremental.fetch.session.cache.slots"),
            offset_metadata_max_bytes: layers.get("offset.metadata.max.bytes"),
            offsets_retention_minutes: layers.get("offsets.retention.minutes"),
            offsets_retention_check_interval_ms: layers.get("offsets.retention.check.interval.ms"),
            group_min_session_timeout_ms: layers.get("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: layers.get("group.max.session.timeout.ms"),
            group_initial_rebalance_delay_ms: layers.get("group.initial.rebalance.delay.ms"),
            group_max_size: layers.get("group.max.size"),
            log_retention_check_interval_ms: layers.get("log.retention.check.interval.ms"),
            producer_id_expiration_ms: layers.get("producer.id.expiration.ms"),
            compaction: compaction(layers),
            transaction_max_timeout_ms: layers.get("transaction.max.timeout.ms"),
            transaction_partition_verification_enable: layers
                .get("transaction.partition.verification.enable"),
            transactional_id_expiration_ms: layers.get("transactional.id.expiration.ms"),
            transactional_id_check_interval_ms: layers
                .get("transaction.remove.expired.transaction.cleanup.interval.ms"),
            max_request_partition_size_limit: layers.get("max.request.partition.size.limit"),
            cache_bytes: layers.get("ottla.cache.bytes"),
            max_open_files: layers.get("ottla.open.files.max"),
            checkpoint_bytes: layers.get("ottla.checkpoint.bytes"),
            checkpoint_interval: Duration::from_millis(layers.get("ottla.checkpoint.interval.ms")),
            cut_damaged_journal: layers.get("ottla.journal.cut.damaged"),
            dead_letters: super::dead_letters::defaults(layers),
            dead_letter_topic_suffix: layers
                .value("dlq.topic.suffix")
                .expect("has a default")
                .to_owned(),
            http_allowed_hosts: layers
                .value("http.allowed.hosts")
                .map(|hosts| list(hosts).map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }
}

/// Kafka's `log.flush.interval.messages` counts records between syncs, which Ottla does not do: 1 asks for durability,
/// anything above says that it is not wanted. Test frameworks set the largest number.
fn durability(layers: &Layers) -> Durability {
    match layers.value("ottla.durability") {
        Some("os") => Durability::Os,
        Some(_) => Durability::Disk,
        None => match layers.file.get("log.flush.interval.messages") {
            Some(messages) if messages.trim() != "1" => Durability::Os,
            _ => Durability::Disk,
        },
    }
}

fn compaction(layers: &Layers) -> CompactionConfig {
    let bytes: i64 = layers.get("log.cleaner.dedupe.buffer.size");
    CompactionConfig {
        enabled: layers.get("log.cleaner.enable"),
        map_bytes: usize::try_from(bytes).unwrap_or(0),
        bytes_per_second: layers.get("log.cleaner.io.max.bytes.per.second"),
        backoff: Duration::from_millis(layers.get("log.cleaner.backoff.ms")),
    }
}

/// What is in force for a topic: its own settings over the broker's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// What the log needs.
    pub log: LogConfig,
    /// A CreateTime older than this many milliseconds is refused.
    pub timestamp_before_max_ms: i64,
    /// A CreateTime further ahead than this many milliseconds is refused.
    pub timestamp_after_max_ms: i64,
}

impl TopicConfig {
    /// Resolves a topic's own settings. A stored value that cannot be read gives way to the default: settings are checked
    /// when they are set, and a topic must stay usable.
    pub(super) fn new(layers: &Layers, own: &Values) -> TopicConfig {
        let text = |name: &'static str| -> String {
            let definition =
                table::topic_setting(name).expect("settings read here are in the table");
            own.get(name)
                .filter(|value| definition.reason_against(value).is_none())
                .cloned()
                .or_else(|| layers.topic_default(definition))
                .expect("topic settings have defaults")
        };
        let number = |name: &'static str| -> i64 {
            text(name)
                .trim()
                .parse()
                .expect("values are checked before they are stored, defaults by a test")
        };
        let size = |name: &'static str| usize::try_from(number(name)).unwrap_or(0);
        let positive = |name: &'static str| u64::try_from(number(name)).unwrap_or(0);
        let policies = text("cleanup.policy");
        let log = LogConfig {
            segment_bytes: u64::try_from(number("segment.bytes")).unwrap_or(u64::MAX),
            segment_ms: milliseconds(number("segment.ms")).unwrap_or(u64::MAX),
            retention_ms: milliseconds(number("retention.ms")),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            cleanup_policy: CleanupPolicy {
                delete: list(&policies).any(|policy| policy == "delete"),
                compact: list(&policies).any(|policy| policy == "compact"),
            },
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio")
                .trim()
                .parse()
                .expect("values are checked before they are stored, defaults by a test"),
            min_compaction_lag_ms: positive("min.compaction.lag.ms"),
            max_compaction_lag_ms: match positive("max.compaction.lag.ms") {
                NEVER => u64::MAX,
                ms => ms,
            },
            delete_retention_ms: positive("delete.retention.ms"),
            max_message_bytes: size("max.message.bytes"),
            timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            index_interval_bytes: size("index.interval.bytes"),
        };
        TopicConfig {
            log,
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
        }
    }
}

/// The largest Long, Kafka's word for a lag that no record reaches.
const NEVER: u64 = i64::MAX as u64;

/// A negative time means without limit.
fn milliseconds(value: i64) -> Option<u64> {
    u64::try_from(value).ok()
}
