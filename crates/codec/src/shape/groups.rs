//! Requests about groups and their offsets.

use super::newer::NewerField;
use super::{BOOL, Field, INT8, INT32, INT64, Kind, Shape, UUID, field};

const OFFSET_COMMIT_REQUEST_PARTITION: &[Field] = &[
    field("partition_index", INT32),
    field("committed_offset", INT64),
    field("committed_leader_epoch", INT32).since(6),
    field("commit_timestamp", INT64).since(1).until(1),
    field("committed_metadata", Kind::String).nullable(0),
];
const OFFSET_COMMIT_REQUEST_TOPIC: &[Field] = &[
    field("name", Kind::String).until(9),
    field("topic_id", UUID).since(10).newer(NewerField::TopicId),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_COMMIT_REQUEST_PARTITION)),
    ),
];
pub(super) const OFFSET_COMMIT: Shape = Shape {
    flexible_since: 8,
    fields: &[
        field("group_id", Kind::String),
        field("generation_id_or_member_epoch", INT32).since(1),
        field("member_id", Kind::String).since(1),
        field("group_instance_id", Kind::String)
            .since(7)
            .nullable(7),
        field("retention_time_ms", INT64).since(2).until(4),
        field(
            "topics",
            Kind::Array(&Kind::Struct(OFFSET_COMMIT_REQUEST_TOPIC)),
        ),
    ],
};

const OFFSET_FETCH_REQUEST_TOPIC: &[Field] = &[
    field("name", Kind::String).until(7),
    field("partition_indexes", Kind::Array(&INT32)).until(7),
];
const OFFSET_FETCH_REQUEST_TOPICS: &[Field] = &[
    field("name", Kind::String).since(8).until(9),
    field("topic_id", UUID).since(10).newer(NewerField::TopicId),
    field("partition_indexes", Kind::Array(&INT32)).since(8),
];
const OFFSET_FETCH_REQUEST_GROUP: &[Field] = &[
    field("group_id", Kind::String).since(8),
    field("member_id", Kind::String).since(9).nullable(9),
    field("member_epoch", INT32).since(9),
    field(
        "topics",
        Kind::Array(&Kind::Struct(OFFSET_FETCH_REQUEST_TOPICS)),
    )
    .since(8)
    .nullable(8),
];
pub(super) const OFFSET_FETCH: Shape = Shape {
    flexible_since: 6,
    fields: &[
        field("group_id", Kind::String).until(7),
        field(
            "topics",
            Kind::Array(&Kind::Struct(OFFSET_FETCH_REQUEST_TOPIC)),
        )
        .until(7)
        .nullable(2),
        field(
            "groups",
            Kind::Array(&Kind::Struct(OFFSET_FETCH_REQUEST_GROUP)),
        )
        .since(8),
        field("require_stable", BOOL).since(7),
    ],
};

pub(super) const FIND_COORDINATOR: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("key", Kind::String).until(3),
        field("key_type", INT8).since(1),
        field("coordinator_keys", Kind::Array(&Kind::String)).since(4),
    ],
};

const JOIN_GROUP_REQUEST_PROTOCOL: &[Field] =
    &[field("name", Kind::String), field("metadata", Kind::Bytes)];
pub(super) const JOIN_GROUP: Shape = Shape {
    flexible_since: 6,
    fields: &[
        field("group_id", Kind::String),
        field("session_timeout_ms", INT32),
        field("rebalance_timeout_ms", INT32).since(1),
        field("member_id", Kind::String),
        field("group_instance_id", Kind::String)
            .since(5)
            .nullable(5),
        field("protocol_type", Kind::String),
        field(
            "protocols",
            Kind::Array(&Kind::Struct(JOIN_GROUP_REQUEST_PROTOCOL)),
        ),
        field("reason", Kind::String).since(8).nullable(8),
    ],
};

pub(super) const HEARTBEAT: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("group_id", Kind::String),
        field("generation_id", INT32),
        field("member_id", Kind::String),
        field("group_instance_id", Kind::String)
            .since(3)
            .nullable(3),
    ],
};

const MEMBER_IDENTITY: &[Field] = &[
    field("member_id", Kind::String).since(3),
    field("group_instance_id", Kind::String)
        .since(3)
        .nullable(3),
    field("reason", Kind::String).since(5).nullable(5),
];
pub(super) const LEAVE_GROUP: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("group_id", Kind::String),
        field("member_id", Kind::String).until(2),
        field("members", Kind::Array(&Kind::Struct(MEMBER_IDENTITY))).since(3),
    ],
};

const SYNC_GROUP_REQUEST_ASSIGNMENT: &[Field] = &[
    field("member_id", Kind::String),
    field("assignment", Kind::Bytes),
];
pub(super) const SYNC_GROUP: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("group_id", Kind::String),
        field("generation_id", INT32),
        field("member_id", Kind::String),
        field("group_instance_id", Kind::String)
            .since(3)
            .nullable(3),
        field("protocol_type", Kind::String).since(5).nullable(5),
        field("protocol_name", Kind::String).since(5).nullable(5),
        field(
            "assignments",
            Kind::Array(&Kind::Struct(SYNC_GROUP_REQUEST_ASSIGNMENT)),
        ),
    ],
};

pub(super) const DESCRIBE_GROUPS: Shape = Shape {
    flexible_since: 5,
    fields: &[
        field("groups", Kind::Array(&Kind::String)),
        field("include_authorized_operations", BOOL).since(3),
    ],
};

pub(super) const LIST_GROUPS: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("states_filter", Kind::Array(&Kind::String)).since(4),
        field("types_filter", Kind::Array(&Kind::String)).since(5),
    ],
};

pub(super) const DELETE_GROUPS: Shape = Shape {
    flexible_since: 2,
    fields: &[field("groups_names", Kind::Array(&Kind::String))],
};

const OFFSET_DELETE_REQUEST_PARTITION: &[Field] = &[field("partition_index", INT32)];
const OFFSET_DELETE_REQUEST_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_DELETE_REQUEST_PARTITION)),
    ),
];
pub(super) const OFFSET_DELETE: Shape = Shape {
    flexible_since: i16::MAX,
    fields: &[
        field("group_id", Kind::String),
        field(
            "topics",
            Kind::Array(&Kind::Struct(OFFSET_DELETE_REQUEST_TOPIC)),
        ),
    ],
};
