//! Answers to requests that administer topics and configs.

use super::super::newer::NewerField;
use super::super::{BOOL, Field, INT8, INT16, INT32, INT64, Kind, Shape, UUID, field};

const CREATE_TOPICS_CREATABLE_TOPIC_CONFIGS: &[Field] = &[
    field("name", Kind::String).since(5),
    field("value", Kind::String).since(5).nullable(5),
    field("read_only", BOOL).since(5),
    field("config_source", INT8).since(5),
    field("is_sensitive", BOOL).since(5),
];
const CREATE_TOPICS_CREATABLE_TOPIC_RESULT: &[Field] = &[
    field("name", Kind::String),
    field("topic_id", UUID).since(7),
    field("error_code", INT16),
    field("error_message", Kind::String).since(1).nullable(0),
    field("topic_config_error_code", INT16).since(5).tagged(0),
    field("num_partitions", INT32).since(5),
    field("replication_factor", INT16).since(5),
    field(
        "configs",
        Kind::Array(&Kind::Struct(CREATE_TOPICS_CREATABLE_TOPIC_CONFIGS)),
    )
    .since(5)
    .nullable(5),
];
pub(super) const CREATE_TOPICS: Shape = Shape {
    flexible_since: 5,
    fields: &[
        field("throttle_time_ms", INT32).since(2),
        field(
            "topics",
            Kind::Array(&Kind::Struct(CREATE_TOPICS_CREATABLE_TOPIC_RESULT)),
        ),
    ],
};

const DELETE_TOPICS_DELETABLE_TOPIC_RESULT: &[Field] = &[
    field("name", Kind::String).nullable(6),
    field("topic_id", UUID).since(6),
    field("error_code", INT16),
    field("error_message", Kind::String).since(5).nullable(5),
];
pub(super) const DELETE_TOPICS: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field(
            "responses",
            Kind::Array(&Kind::Struct(DELETE_TOPICS_DELETABLE_TOPIC_RESULT)),
        ),
    ],
};

const DESCRIBE_CONFIGS_SYNONYM: &[Field] = &[
    field("name", Kind::String).since(1),
    field("value", Kind::String).since(1).nullable(0),
    field("source", INT8).since(1),
];
const DESCRIBE_CONFIGS_RESOURCE_RESULT: &[Field] = &[
    field("name", Kind::String),
    field("value", Kind::String).nullable(0),
    field("read_only", BOOL),
    field("is_default", BOOL).until(0),
    field("config_source", INT8).since(1),
    field("is_sensitive", BOOL),
    field(
        "synonyms",
        Kind::Array(&Kind::Struct(DESCRIBE_CONFIGS_SYNONYM)),
    )
    .since(1),
    field("config_type", INT8).since(3),
    field("documentation", Kind::String).since(3).nullable(0),
];
const DESCRIBE_CONFIGS_RESULT: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field(
        "configs",
        Kind::Array(&Kind::Struct(DESCRIBE_CONFIGS_RESOURCE_RESULT)),
    ),
];
pub(super) const DESCRIBE_CONFIGS: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "results",
            Kind::Array(&Kind::Struct(DESCRIBE_CONFIGS_RESULT)),
        ),
    ],
};

const ALTER_CONFIGS_RESOURCE_RESPONSE: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
    field("resource_type", INT8),
    field("resource_name", Kind::String),
];
pub(super) const ALTER_CONFIGS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "responses",
            Kind::Array(&Kind::Struct(ALTER_CONFIGS_RESOURCE_RESPONSE)),
        ),
    ],
};

const DESCRIBE_LOG_DIRS_PARTITION: &[Field] = &[
    field("partition_index", INT32),
    field("partition_size", INT64),
    field("offset_lag", INT64),
    field("is_future_key", BOOL),
];
const DESCRIBE_LOG_DIRS_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DESCRIBE_LOG_DIRS_PARTITION)),
    ),
];
const DESCRIBE_LOG_DIRS_RESULT: &[Field] = &[
    field("error_code", INT16),
    field("log_dir", Kind::String),
    field(
        "topics",
        Kind::Array(&Kind::Struct(DESCRIBE_LOG_DIRS_TOPIC)),
    ),
    field("total_bytes", INT64).since(4),
    field("usable_bytes", INT64).since(4),
    field("is_cordoned", BOOL)
        .since(5)
        .newer(NewerField::IsCordoned),
];
pub(super) const DESCRIBE_LOG_DIRS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16).since(3),
        field(
            "results",
            Kind::Array(&Kind::Struct(DESCRIBE_LOG_DIRS_RESULT)),
        ),
    ],
};

const CREATE_PARTITIONS_TOPIC_RESULT: &[Field] = &[
    field("name", Kind::String),
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
];
pub(super) const CREATE_PARTITIONS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "results",
            Kind::Array(&Kind::Struct(CREATE_PARTITIONS_TOPIC_RESULT)),
        ),
    ],
};

const INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE_RESPONSE: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
    field("resource_type", INT8),
    field("resource_name", Kind::String),
];
pub(super) const INCREMENTAL_ALTER_CONFIGS: Shape = Shape {
    flexible_since: 1,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "responses",
            Kind::Array(&Kind::Struct(
                INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE_RESPONSE,
            )),
        ),
    ],
};

const LIST_CONFIG_RESOURCES_CONFIG_RESOURCE: &[Field] = &[
    field("resource_name", Kind::String),
    field("resource_type", INT8).since(1),
];
pub(super) const LIST_CONFIG_RESOURCES: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field(
            "config_resources",
            Kind::Array(&Kind::Struct(LIST_CONFIG_RESOURCES_CONFIG_RESOURCE)),
        ),
    ],
};
