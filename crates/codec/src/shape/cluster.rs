//! Requests about the cluster and its topics.

use super::{BOOL, Field, INT8, INT32, Kind, Shape, UUID, field};

const METADATA_REQUEST_TOPIC: &[Field] = &[
    field("topic_id", UUID).since(10),
    field("name", Kind::String).nullable(10),
];
pub(super) const METADATA: Shape = Shape {
    flexible_since: 9,
    fields: &[
        field("topics", Kind::Array(&Kind::Struct(METADATA_REQUEST_TOPIC))).nullable(1),
        field("allow_auto_topic_creation", BOOL).since(4),
        field("include_cluster_authorized_operations", BOOL)
            .since(8)
            .until(10),
        field("include_topic_authorized_operations", BOOL).since(8),
    ],
};

pub(super) const API_VERSIONS: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("client_software_name", Kind::String).since(3),
        field("client_software_version", Kind::String).since(3),
    ],
};

pub(super) const DESCRIBE_CLUSTER: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("include_cluster_authorized_operations", BOOL),
        field("endpoint_type", INT8).since(1),
        field("include_fenced_brokers", BOOL).since(2),
    ],
};

const TOPIC_REQUEST: &[Field] = &[field("name", Kind::String)];
const CURSOR: &[Field] = &[
    field("topic_name", Kind::String),
    field("partition_index", INT32),
];
pub(super) const DESCRIBE_TOPIC_PARTITIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("topics", Kind::Array(&Kind::Struct(TOPIC_REQUEST))),
        field("response_partition_limit", INT32),
        field("cursor", Kind::Struct(CURSOR)).nullable(0),
    ],
};
