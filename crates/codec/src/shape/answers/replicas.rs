//! Answers to requests about where partitions are led and kept, and about the quorum.

use super::super::{BOOL, Field, INT16, INT32, INT64, Kind, Shape, UUID, field};

const ELECT_LEADERS_PARTITION_RESULT: &[Field] = &[
    field("partition_id", INT32),
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
];
const ELECT_LEADERS_REPLICA_ELECTION_RESULT: &[Field] = &[
    field("topic", Kind::String),
    field(
        "partition_result",
        Kind::Array(&Kind::Struct(ELECT_LEADERS_PARTITION_RESULT)),
    ),
];
pub(super) const ELECT_LEADERS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16).since(1),
        field(
            "replica_election_results",
            Kind::Array(&Kind::Struct(ELECT_LEADERS_REPLICA_ELECTION_RESULT)),
        ),
    ],
};

const ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_PARTITION_RESPONSE: &[Field] = &[
    field("partition_index", INT32),
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
];
const ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_TOPIC_RESPONSE: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(
            ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_PARTITION_RESPONSE,
        )),
    ),
];
pub(super) const ALTER_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("allow_replication_factor_change", BOOL).since(1),
        field("error_code", INT16),
        field("error_message", Kind::String).nullable(0),
        field(
            "responses",
            Kind::Array(&Kind::Struct(
                ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_TOPIC_RESPONSE,
            )),
        ),
    ],
};

const LIST_PARTITION_REASSIGNMENTS_ONGOING_PARTITION_REASSIGNMENT: &[Field] = &[
    field("partition_index", INT32),
    field("replicas", Kind::Array(&INT32)),
    field("adding_replicas", Kind::Array(&INT32)),
    field("removing_replicas", Kind::Array(&INT32)),
];
const LIST_PARTITION_REASSIGNMENTS_ONGOING_TOPIC_REASSIGNMENT: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(
            LIST_PARTITION_REASSIGNMENTS_ONGOING_PARTITION_REASSIGNMENT,
        )),
    ),
];
pub(super) const LIST_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("error_message", Kind::String).nullable(0),
        field(
            "topics",
            Kind::Array(&Kind::Struct(
                LIST_PARTITION_REASSIGNMENTS_ONGOING_TOPIC_REASSIGNMENT,
            )),
        ),
    ],
};

const ALTER_REPLICA_LOG_DIRS_PARTITION_RESULT: &[Field] =
    &[field("partition_index", INT32), field("error_code", INT16)];
const ALTER_REPLICA_LOG_DIRS_TOPIC_RESULT: &[Field] = &[
    field("topic_name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(ALTER_REPLICA_LOG_DIRS_PARTITION_RESULT)),
    ),
];
pub(super) const ALTER_REPLICA_LOG_DIRS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "results",
            Kind::Array(&Kind::Struct(ALTER_REPLICA_LOG_DIRS_TOPIC_RESULT)),
        ),
    ],
};

const DESCRIBE_QUORUM_REPLICA_STATE: &[Field] = &[
    field("replica_id", INT32),
    field("replica_directory_id", UUID).since(2),
    field("log_end_offset", INT64),
    field("last_fetch_timestamp", INT64).since(1),
    field("last_caught_up_timestamp", INT64).since(1),
];
const DESCRIBE_QUORUM_PARTITION_DATA: &[Field] = &[
    field("partition_index", INT32),
    field("error_code", INT16),
    field("error_message", Kind::String).since(2).nullable(2),
    field("leader_id", INT32),
    field("leader_epoch", INT32),
    field("high_watermark", INT64),
    field(
        "current_voters",
        Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_REPLICA_STATE)),
    ),
    field(
        "observers",
        Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_REPLICA_STATE)),
    ),
];
const DESCRIBE_QUORUM_TOPIC_DATA: &[Field] = &[
    field("topic_name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_PARTITION_DATA)),
    ),
];
const DESCRIBE_QUORUM_LISTENER: &[Field] = &[
    field("name", Kind::String).since(2),
    field("host", Kind::String).since(2),
    field("port", INT16).since(2),
];
const DESCRIBE_QUORUM_NODE: &[Field] = &[
    field("node_id", INT32).since(2),
    field(
        "listeners",
        Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_LISTENER)),
    )
    .since(2),
];
pub(super) const DESCRIBE_QUORUM: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("error_code", INT16),
        field("error_message", Kind::String).since(2).nullable(2),
        field(
            "topics",
            Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_TOPIC_DATA)),
        ),
        field("nodes", Kind::Array(&Kind::Struct(DESCRIBE_QUORUM_NODE))).since(2),
    ],
};

const UPDATE_FEATURES_UPDATABLE_FEATURE_RESULT: &[Field] = &[
    field("feature", Kind::String),
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
];
pub(super) const UPDATE_FEATURES: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("error_message", Kind::String).nullable(0),
        field(
            "results",
            Kind::Array(&Kind::Struct(UPDATE_FEATURES_UPDATABLE_FEATURE_RESULT)),
        )
        .until(1),
    ],
};

pub(super) const UNREGISTER_BROKER: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("error_message", Kind::String).nullable(0),
    ],
};
