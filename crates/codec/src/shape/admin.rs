//! Requests that administer topics and configs.

use super::{BOOL, Field, INT8, INT16, INT32, Kind, Shape, UUID, field};

const CREATABLE_REPLICA_ASSIGNMENT: &[Field] = &[
    field("partition_index", INT32),
    field("broker_ids", Kind::Array(&INT32)),
];
const CREATABLE_TOPIC_CONFIG: &[Field] = &[
    field("name", Kind::String),
    field("value", Kind::String).nullable(0),
];
const CREATABLE_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field("num_partitions", INT32),
    field("replication_factor", INT16),
    field(
        "assignments",
        Kind::Array(&Kind::Struct(CREATABLE_REPLICA_ASSIGNMENT)),
    ),
    field(
        "configs",
        Kind::Array(&Kind::Struct(CREATABLE_TOPIC_CONFIG)),
    ),
];
pub(super) const CREATE_TOPICS: Shape = Shape {
    flexible_since: 5,
    fields: &[
        field("topics", Kind::Array(&Kind::Struct(CREATABLE_TOPIC))),
        field("timeout_ms", INT32),
        field("validate_only", BOOL).since(1),
    ],
};

const DELETE_TOPIC_STATE: &[Field] = &[
    field("name", Kind::String).since(6).nullable(6),
    field("topic_id", UUID).since(6),
];
pub(super) const DELETE_TOPICS: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("topics", Kind::Array(&Kind::Struct(DELETE_TOPIC_STATE))).since(6),
        field("topic_names", Kind::Array(&Kind::String)).until(5),
        field("timeout_ms", INT32),
    ],
};

const DESCRIBE_CONFIGS_RESOURCE: &[Field] = &[
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field("configuration_keys", Kind::Array(&Kind::String)).nullable(0),
];
pub(super) const DESCRIBE_CONFIGS: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field(
            "resources",
            Kind::Array(&Kind::Struct(DESCRIBE_CONFIGS_RESOURCE)),
        ),
        field("include_synonyms", BOOL).since(1),
        field("include_documentation", BOOL).since(3),
    ],
};

const ALTERABLE_CONFIG: &[Field] = &[
    field("name", Kind::String),
    field("value", Kind::String).nullable(0),
];
const ALTER_CONFIGS_RESOURCE: &[Field] = &[
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field("configs", Kind::Array(&Kind::Struct(ALTERABLE_CONFIG))),
];
pub(super) const ALTER_CONFIGS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field(
            "resources",
            Kind::Array(&Kind::Struct(ALTER_CONFIGS_RESOURCE)),
        ),
        field("validate_only", BOOL),
    ],
};

const DESCRIBABLE_LOG_DIR_TOPIC: &[Field] = &[
    field("topic", Kind::String),
    field("partitions", Kind::Array(&INT32)),
];
pub(super) const DESCRIBE_LOG_DIRS: Shape = Shape {
    flexible_since: 2,
    fields: &[field(
        "topics",
        Kind::Array(&Kind::Struct(DESCRIBABLE_LOG_DIR_TOPIC)),
    )
    .nullable(0)],
};

const CREATE_PARTITIONS_ASSIGNMENT: &[Field] = &[field("broker_ids", Kind::Array(&INT32))];
const CREATE_PARTITIONS_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field("count", INT32),
    field(
        "assignments",
        Kind::Array(&Kind::Struct(CREATE_PARTITIONS_ASSIGNMENT)),
    )
    .nullable(0),
];
pub(super) const CREATE_PARTITIONS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field(
            "topics",
            Kind::Array(&Kind::Struct(CREATE_PARTITIONS_TOPIC)),
        ),
        field("timeout_ms", INT32),
        field("validate_only", BOOL),
    ],
};

const INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG: &[Field] = &[
    field("name", Kind::String),
    field("config_operation", INT8),
    field("value", Kind::String).nullable(0),
];
const INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: &[Field] = &[
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field(
        "configs",
        Kind::Array(&Kind::Struct(INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG)),
    ),
];
pub(super) const INCREMENTAL_ALTER_CONFIGS: Shape = Shape {
    flexible_since: 1,
    fields: &[
        field(
            "resources",
            Kind::Array(&Kind::Struct(
                INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE,
            )),
        ),
        field("validate_only", BOOL),
    ],
};

pub(super) const LIST_CONFIG_RESOURCES: Shape = Shape {
    flexible_since: 0,
    fields: &[field("resource_types", Kind::Array(&INT8)).since(1)],
};
