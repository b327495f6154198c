//! Requests about the log: produce, fetch, offsets, producer ids.

use super::{Field, INT8, INT16, INT32, INT64, Kind, Shape, UUID, field};

const PARTITION_PRODUCE_DATA: &[Field] = &[
    field("index", INT32),
    field("records", Kind::Bytes).nullable(0),
];
const TOPIC_PRODUCE_DATA: &[Field] = &[
    field("name", Kind::String).until(12),
    field("topic_id", UUID).since(13),
    field(
        "partition_data",
        Kind::Array(&Kind::Struct(PARTITION_PRODUCE_DATA)),
    ),
];
pub(super) const PRODUCE: Shape = Shape {
    flexible_since: 9,
    fields: &[
        field("transactional_id", Kind::String).since(3).nullable(3),
        field("acks", INT16),
        field("timeout_ms", INT32),
        field("topic_data", Kind::Array(&Kind::Struct(TOPIC_PRODUCE_DATA))),
    ],
};

const REPLICA_STATE: &[Field] = &[
    field("replica_id", INT32).since(15),
    field("replica_epoch", INT64).since(15),
];
const FETCH_PARTITION: &[Field] = &[
    field("partition", INT32),
    field("current_leader_epoch", INT32).since(9),
    field("fetch_offset", INT64),
    field("last_fetched_epoch", INT32).since(12),
    field("log_start_offset", INT64).since(5),
    field("partition_max_bytes", INT32),
    field("replica_directory_id", UUID).since(17).tagged(0),
    field("high_watermark", INT64).since(18).tagged(1),
];
const FETCH_TOPIC: &[Field] = &[
    field("topic", Kind::String).until(12),
    field("topic_id", UUID).since(13),
    field("partitions", Kind::Array(&Kind::Struct(FETCH_PARTITION))),
];
const FORGOTTEN_TOPIC: &[Field] = &[
    field("topic", Kind::String).since(7).until(12),
    field("topic_id", UUID).since(13),
    field("partitions", Kind::Array(&INT32)).since(7),
];
pub(super) const FETCH: Shape = Shape {
    flexible_since: 12,
    fields: &[
        field("cluster_id", Kind::String)
            .since(12)
            .nullable(12)
            .tagged(0),
        field("replica_id", INT32).until(14),
        field("replica_state", Kind::Struct(REPLICA_STATE))
            .since(15)
            .tagged(1),
        field("max_wait_ms", INT32),
        field("min_bytes", INT32),
        field("max_bytes", INT32).since(3),
        field("isolation_level", INT8).since(4),
        field("session_id", INT32).since(7),
        field("session_epoch", INT32).since(7),
        field("topics", Kind::Array(&Kind::Struct(FETCH_TOPIC))),
        field(
            "forgotten_topics_data",
            Kind::Array(&Kind::Struct(FORGOTTEN_TOPIC)),
        )
        .since(7),
        field("rack_id", Kind::String).since(11),
    ],
};

const LIST_OFFSETS_PARTITION: &[Field] = &[
    field("partition_index", INT32),
    field("current_leader_epoch", INT32).since(4),
    field("timestamp", INT64),
    field("max_num_offsets", INT32).until(0),
];
const LIST_OFFSETS_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(LIST_OFFSETS_PARTITION)),
    ),
];
pub(super) const LIST_OFFSETS: Shape = Shape {
    flexible_since: 6,
    fields: &[
        field("replica_id", INT32),
        field("isolation_level", INT8).since(2),
        field("topics", Kind::Array(&Kind::Struct(LIST_OFFSETS_TOPIC))),
        field("timeout_ms", INT32).since(10),
    ],
};

const DELETE_RECORDS_PARTITION: &[Field] =
    &[field("partition_index", INT32), field("offset", INT64)];
const DELETE_RECORDS_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DELETE_RECORDS_PARTITION)),
    ),
];
pub(super) const DELETE_RECORDS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("topics", Kind::Array(&Kind::Struct(DELETE_RECORDS_TOPIC))),
        field("timeout_ms", INT32),
    ],
};

const OFFSET_FOR_LEADER_PARTITION: &[Field] = &[
    field("partition", INT32),
    field("current_leader_epoch", INT32).since(2),
    field("leader_epoch", INT32),
];
const OFFSET_FOR_LEADER_TOPIC: &[Field] = &[
    field("topic", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_FOR_LEADER_PARTITION)),
    ),
];
pub(super) const OFFSET_FOR_LEADER_EPOCH: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("replica_id", INT32).since(3),
        field(
            "topics",
            Kind::Array(&Kind::Struct(OFFSET_FOR_LEADER_TOPIC)),
        ),
    ],
};

pub(super) const INIT_PRODUCER_ID: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("transactional_id", Kind::String).nullable(0),
        field("transaction_timeout_ms", INT32),
        field("producer_id", INT64).since(3),
        field("producer_epoch", INT16).since(3),
    ],
};
