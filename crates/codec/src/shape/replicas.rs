//! Requests about where partitions are led and kept, and about the quorum.

use super::{BOOL, Field, INT8, INT16, INT32, Kind, Shape, field};

const ELECT_LEADERS_TOPIC_PARTITIONS: &[Field] = &[
    field("topic", Kind::String),
    field("partitions", Kind::Array(&INT32)),
];
pub(super) const ELECT_LEADERS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("election_type", INT8).since(1),
        field(
            "topic_partitions",
            Kind::Array(&Kind::Struct(ELECT_LEADERS_TOPIC_PARTITIONS)),
        )
        .nullable(0),
        field("timeout_ms", INT32),
    ],
};

const ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_PARTITION: &[Field] = &[
    field("partition_index", INT32),
    field("replicas", Kind::Array(&INT32)).nullable(0),
];
const ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(
            ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_PARTITION,
        )),
    ),
];
pub(super) const ALTER_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("timeout_ms", INT32),
        field("allow_replication_factor_change", BOOL).since(1),
        field(
            "topics",
            Kind::Array(&Kind::Struct(
                ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_TOPIC,
            )),
        ),
    ],
};

const LIST_PARTITION_REASSIGNMENTS_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field("partition_indexes", Kind::Array(&INT32)),
];
pub(super) const LIST_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("timeout_ms", INT32),
        field(
            "topics",
            Kind::Array(&Kind::Struct(LIST_PARTITION_REASSIGNMENTS_TOPIC)),
        )
        .nullable(0),
    ],
};

const ALTER_REPLICA_LOG_DIRS_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field("partitions", Kind::Array(&INT32)),
];
const ALTER_REPLICA_LOG_DIRS_DIR: &[Field] = &[
    field("path", Kind::String),
    field(
        "topics",
        Kind::Array(&Kind::Struct(ALTER_REPLICA_LOG_DIRS_TOPIC)),
    ),
];
pub(super) const ALTER_REPLICA_LOG_DIRS: Shape = Shape {
    flexible_since: 2,
    fields: &[field(
        "dirs",
        Kind::Array(&Kind::Struct(ALTER_REPLICA_LOG_DIRS_DIR)),
    )],
};

const DESCRIBE_QUORUM_PARTITION_DATA: &[Field] = &[field("partition_index", INT32)];
const DESCRIBE_QUORUM_TOPIC_DATA: &[Field] = &[
    field("topic_name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_PARTITION_DATA)),
    ),
];
pub(super) const DESCRIBE_QUORUM: Shape = Shape {
    flexible_since: 0,
    fields: &[field(
        "topics",
        Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_TOPIC_DATA)),
    )],
};

const UPDATE_FEATURES_FEATURE_UPDATE_KEY: &[Field] = &[
    field("feature", Kind::String),
    field("max_version_level", INT16),
    field("allow_downgrade", BOOL).until(0),
    field("upgrade_type", INT8).since(1),
];
pub(super) const UPDATE_FEATURES: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("timeout_ms", INT32),
        field(
            "feature_updates",
            Kind::Array(&Kind::Struct(UPDATE_FEATURES_FEATURE_UPDATE_KEY)),
        ),
        field("validate_only", BOOL).since(1),
    ],
};

pub(super) const UNREGISTER_BROKER: Shape = Shape {
    flexible_since: 0,
    fields: &[field("broker_id", INT32)],
};
