//! Answers about groups and their offsets.

use super::super::{BOOL, Field, INT16, INT32, INT64, Kind, Shape, UUID, field};

const OFFSET_COMMIT_RESPONSE_PARTITION: &[Field] =
    &[field("partition_index", INT32), field("error_code", INT16)];
const OFFSET_COMMIT_RESPONSE_TOPIC: &[Field] = &[
    field("name", Kind::String).until(9),
    field("topic_id", UUID).since(10),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_COMMIT_RESPONSE_PARTITION)),
    ),
];
pub(super) const OFFSET_COMMIT: Shape = Shape {
    flexible_since: 8,
    fields: &[
        field("throttle_time_ms", INT32).since(3),
        field(
            "topics",
            Kind::Array(&Kind::Struct(OFFSET_COMMIT_RESPONSE_TOPIC)),
        ),
    ],
};

const OFFSET_FETCH_PARTITION: &[Field] = &[
    field("partition_index", INT32).until(7),
    field("committed_offset", INT64).until(7),
    field("committed_leader_epoch", INT32).since(5).until(7),
    field("metadata", Kind::String).until(7).nullable(0),
    field("error_code", INT16).until(7),
];
const OFFSET_FETCH_TOPIC: &[Field] = &[
    field("name", Kind::String).until(7),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_FETCH_PARTITION)),
    )
    .until(7),
];
const OFFSET_FETCH_PARTITIONS: &[Field] = &[
    field("partition_index", INT32).since(8),
    field("committed_offset", INT64).since(8),
    field("committed_leader_epoch", INT32).since(8),
    field("metadata", Kind::String).since(8).nullable(8),
    field("error_code", INT16).since(8),
];
const OFFSET_FETCH_TOPICS: &[Field] = &[
    field("name", Kind::String).since(8).until(9),
    field("topic_id", UUID).since(10),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_FETCH_PARTITIONS)),
    )
    .since(8),
];
const OFFSET_FETCH_GROUP: &[Field] = &[
    field("group_id", Kind::String).since(8),
    field("topics", Kind::Array(&Kind::Struct(OFFSET_FETCH_TOPICS))).since(8),
    field("error_code", INT16).since(8),
];
pub(super) const OFFSET_FETCH: Shape = Shape {
    flexible_since: 6,
    fields: &[
        field("throttle_time_ms", INT32).since(3),
        field("topics", Kind::Array(&Kind::Struct(OFFSET_FETCH_TOPIC))).until(7),
        field("error_code", INT16).since(2).until(7),
        field("groups", Kind::Array(&Kind::Struct(OFFSET_FETCH_GROUP))).since(8),
    ],
};

const FIND_COORDINATOR_COORDINATOR: &[Field] = &[
    field("key", Kind::String).since(4),
    field("node_id", INT32).since(4),
    field("host", Kind::String).since(4),
    field("port", INT32).since(4),
    field("error_code", INT16).since(4),
    field("error_message", Kind::String).since(4).nullable(4),
];
pub(super) const FIND_COORDINATOR: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field("error_code", INT16).until(3),
        field("error_message", Kind::String)
            .since(1)
            .until(3)
            .nullable(1),
        field("node_id", INT32).until(3),
        field("host", Kind::String).until(3),
        field("port", INT32).until(3),
        field(
            "coordinators",
            Kind::Array(&Kind::Struct(FIND_COORDINATOR_COORDINATOR)),
        )
        .since(4),
    ],
};

const JOIN_GROUP_RESPONSE_MEMBER: &[Field] = &[
    field("member_id", Kind::String),
    field("group_instance_id", Kind::String)
        .since(5)
        .nullable(5),
    field("metadata", Kind::Bytes),
];
pub(super) const JOIN_GROUP: Shape = Shape {
    flexible_since: 6,
    fields: &[
        field("throttle_time_ms", INT32).since(2),
        field("error_code", INT16),
        field("generation_id", INT32),
        field("protocol_type", Kind::String).since(7).nullable(7),
        field("protocol_name", Kind::String).nullable(7),
        field("leader", Kind::String),
        field("skip_assignment", BOOL).since(9),
        field("member_id", Kind::String),
        field(
            "members",
            Kind::Array(&Kind::Struct(JOIN_GROUP_RESPONSE_MEMBER)),
        ),
    ],
};

pub(super) const HEARTBEAT: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field("error_code", INT16),
    ],
};

const LEAVE_GROUP_MEMBER_RESPONSE: &[Field] = &[
    field("member_id", Kind::String).since(3),
    field("group_instance_id", Kind::String)
        .since(3)
        .nullable(3),
    field("error_code", INT16).since(3),
];
pub(super) const LEAVE_GROUP: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field("error_code", INT16),
        field(
            "members",
            Kind::Array(&Kind::Struct(LEAVE_GROUP_MEMBER_RESPONSE)),
        )
        .since(3),
    ],
};

pub(super) const SYNC_GROUP: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field("error_code", INT16),
        field("protocol_type", Kind::String).since(5).nullable(5),
        field("protocol_name", Kind::String).since(5).nullable(5),
        field("assignment", Kind::Bytes),
    ],
};

const DESCRIBE_GROUPS_DESCRIBED_GROUP_MEMBER: &[Field] = &[
    field("member_id", Kind::String),
    field("group_instance_id", Kind::String)
        .since(4)
        .nullable(4),
    field("client_id", Kind::String),
    field("client_host", Kind::String),
    field("member_metadata", Kind::Bytes),
    field("member_assignment", Kind::Bytes),
];
const DESCRIBE_GROUPS_DESCRIBED_GROUP: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).since(6).nullable(6),
    field("group_id", Kind::String),
    field("group_state", Kind::String),
    field("protocol_type", Kind::String),
    field("protocol_data", Kind::String),
    field(
        "members",
        Kind::Array(&Kind::Struct(DESCRIBE_GROUPS_DESCRIBED_GROUP_MEMBER)),
    ),
    field("authorized_operations", INT32).since(3),
];
pub(super) const DESCRIBE_GROUPS: Shape = Shape {
    flexible_since: 5,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field(
            "groups",
            Kind::Array(&Kind::Struct(DESCRIBE_GROUPS_DESCRIBED_GROUP)),
        ),
    ],
};

const LIST_GROUPS_LISTED_GROUP: &[Field] = &[
    field("group_id", Kind::String),
    field("protocol_type", Kind::String),
    field("group_state", Kind::String).since(4),
    field("group_type", Kind::String).since(5),
];
pub(super) const LIST_GROUPS: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field("error_code", INT16),
        field(
            "groups",
            Kind::Array(&Kind::Struct(LIST_GROUPS_LISTED_GROUP)),
        ),
    ],
};

const DELETE_GROUPS_DELETABLE_GROUP_RESULT: &[Field] =
    &[field("group_id", Kind::String), field("error_code", INT16)];
pub(super) const DELETE_GROUPS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "results",
            Kind::Array(&Kind::Struct(DELETE_GROUPS_DELETABLE_GROUP_RESULT)),
        ),
    ],
};

const OFFSET_DELETE_RESPONSE_PARTITION: &[Field] =
    &[field("partition_index", INT32), field("error_code", INT16)];
const OFFSET_DELETE_RESPONSE_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_DELETE_RESPONSE_PARTITION)),
    ),
];
pub(super) const OFFSET_DELETE: Shape = Shape {
    flexible_since: i16::MAX,
    fields: &[
        field("error_code", INT16),
        field("throttle_time_ms", INT32),
        field(
            "topics",
            Kind::Array(&Kind::Struct(OFFSET_DELETE_RESPONSE_TOPIC)),
        ),
    ],
};
