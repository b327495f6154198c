//! What the consumers of a group tell each other through the coordinator, inside of JoinGroup and SyncGroup.

use super::{Field, INT32, Kind, Shape, field};

const TOPIC_PARTITION: &[Field] = &[
    field("topic", Kind::String),
    field("partitions", Kind::Array(&INT32)),
];

pub(super) const SUBSCRIPTION: Shape = Shape {
    flexible_since: i16::MAX,
    fields: &[
        field("topics", Kind::Array(&Kind::String)),
        field("user_data", Kind::Bytes).nullable(0),
        field(
            "owned_partitions",
            Kind::Array(&Kind::Struct(TOPIC_PARTITION)),
        )
        .since(1),
        field("generation_id", INT32).since(2),
        field("rack_id", Kind::String).since(3).nullable(3),
    ],
};

pub(super) const ASSIGNMENT: Shape = Shape {
    flexible_since: i16::MAX,
    fields: &[
        field(
            "assigned_partitions",
            Kind::Array(&Kind::Struct(TOPIC_PARTITION)),
        ),
        field("user_data", Kind::Bytes).nullable(0),
    ],
};
