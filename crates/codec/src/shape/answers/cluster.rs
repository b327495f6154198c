//! Answers about the cluster and its topics.

use super::super::{BOOL, Field, INT8, INT16, INT32, INT64, Kind, Shape, UUID, field};

const METADATA_RESPONSE_BROKER: &[Field] = &[
    field("node_id", INT32),
    field("host", Kind::String),
    field("port", INT32),
    field("rack", Kind::String).since(1).nullable(1),
];
const METADATA_RESPONSE_PARTITION: &[Field] = &[
    field("error_code", INT16),
    field("partition_index", INT32),
    field("leader_id", INT32),
    field("leader_epoch", INT32).since(7),
    field("replica_nodes", Kind::Array(&INT32)),
    field("isr_nodes", Kind::Array(&INT32)),
    field("offline_replicas", Kind::Array(&INT32)).since(5),
];
const METADATA_RESPONSE_TOPIC: &[Field] = &[
    field("error_code", INT16),
    field("name", Kind::String).nullable(12),
    field("topic_id", UUID).since(10),
    field("is_internal", BOOL).since(1),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(METADATA_RESPONSE_PARTITION)),
    ),
    field("topic_authorized_operations", INT32).since(8),
];
pub(super) const METADATA: Shape = Shape {
    flexible_since: 9,
    fields: &[
        field("throttle_time_ms", INT32).since(3),
        field(
            "brokers",
            Kind::Array(&Kind::Struct(METADATA_RESPONSE_BROKER)),
        ),
        field("cluster_id", Kind::String).since(2).nullable(2),
        field("controller_id", INT32).since(1),
        field(
            "topics",
            Kind::Array(&Kind::Struct(METADATA_RESPONSE_TOPIC)),
        ),
        field("cluster_authorized_operations", INT32)
            .since(8)
            .until(10),
        field("error_code", INT16).since(13),
    ],
};

const API_VERSIONS_API_VERSION: &[Field] = &[
    field("api_key", INT16),
    field("min_version", INT16),
    field("max_version", INT16),
];
const API_VERSIONS_SUPPORTED_FEATURE_KEY: &[Field] = &[
    field("name", Kind::String).since(3),
    field("min_version", INT16).since(3),
    field("max_version", INT16).since(3),
];
const API_VERSIONS_FINALIZED_FEATURE_KEY: &[Field] = &[
    field("name", Kind::String).since(3),
    field("max_version_level", INT16).since(3),
    field("min_version_level", INT16).since(3),
];
pub(super) const API_VERSIONS: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("error_code", INT16),
        field(
            "api_keys",
            Kind::Array(&Kind::Struct(API_VERSIONS_API_VERSION)),
        ),
        field("throttle_time_ms", INT32).since(1),
        field(
            "supported_features",
            Kind::Array(&Kind::Struct(API_VERSIONS_SUPPORTED_FEATURE_KEY)),
        )
        .since(3)
        .tagged(0),
        field("finalized_features_epoch", INT64).since(3).tagged(1),
        field(
            "finalized_features",
            Kind::Array(&Kind::Struct(API_VERSIONS_FINALIZED_FEATURE_KEY)),
        )
        .since(3)
        .tagged(2),
        field("zk_migration_ready", BOOL).since(3).tagged(3),
    ],
};

const DESCRIBE_CLUSTER_BROKER: &[Field] = &[
    field("broker_id", INT32),
    field("host", Kind::String),
    field("port", INT32),
    field("rack", Kind::String).nullable(0),
    field("is_fenced", BOOL).since(2),
];
pub(super) const DESCRIBE_CLUSTER: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("error_message", Kind::String).nullable(0),
        field("endpoint_type", INT8).since(1),
        field("cluster_id", Kind::String),
        field("controller_id", INT32),
        field(
            "brokers",
            Kind::Array(&Kind::Struct(DESCRIBE_CLUSTER_BROKER)),
        ),
        field("cluster_authorized_operations", INT32),
    ],
};

const DESCRIBE_TOPIC_PARTITIONS_RESPONSE_PARTITION: &[Field] = &[
    field("error_code", INT16),
    field("partition_index", INT32),
    field("leader_id", INT32),
    field("leader_epoch", INT32),
    field("replica_nodes", Kind::Array(&INT32)),
    field("isr_nodes", Kind::Array(&INT32)),
    field("eligible_leader_replicas", Kind::Array(&INT32)).nullable(0),
    field("last_known_elr", Kind::Array(&INT32)).nullable(0),
    field("offline_replicas", Kind::Array(&INT32)),
];
const DESCRIBE_TOPIC_PARTITIONS_RESPONSE_TOPIC: &[Field] = &[
    field("error_code", INT16),
    field("name", Kind::String).nullable(0),
    field("topic_id", UUID),
    field("is_internal", BOOL),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DESCRIBE_TOPIC_PARTITIONS_RESPONSE_PARTITION)),
    ),
    field("topic_authorized_operations", INT32),
];
const DESCRIBE_TOPIC_PARTITIONS_CURSOR: &[Field] = &[
    field("topic_name", Kind::String),
    field("partition_index", INT32),
];
pub(super) const DESCRIBE_TOPIC_PARTITIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "topics",
            Kind::Array(&Kind::Struct(DESCRIBE_TOPIC_PARTITIONS_RESPONSE_TOPIC)),
        ),
        field(
            "next_cursor",
            Kind::Struct(DESCRIBE_TOPIC_PARTITIONS_CURSOR),
        )
        .nullable(0),
    ],
};
