//! Answers about the log: produce, fetch, offsets, producer ids.

use super::super::{Field, INT16, INT32, INT64, Kind, Shape, UUID, field};

const PRODUCE_BATCH_INDEX_AND_ERROR_MESSAGE: &[Field] = &[
    field("batch_index", INT32).since(8),
    field("batch_index_error_message", Kind::String)
        .since(8)
        .nullable(8),
];
const PRODUCE_LEADER_ID_AND_EPOCH: &[Field] = &[
    field("leader_id", INT32).since(10),
    field("leader_epoch", INT32).since(10),
];
const PRODUCE_PARTITION_RESPONSE: &[Field] = &[
    field("index", INT32),
    field("error_code", INT16),
    field("base_offset", INT64),
    field("log_append_time_ms", INT64).since(2),
    field("log_start_offset", INT64).since(5),
    field(
        "record_errors",
        Kind::Array(&Kind::Struct(PRODUCE_BATCH_INDEX_AND_ERROR_MESSAGE)),
    )
    .since(8),
    field("error_message", Kind::String).since(8).nullable(8),
    field("current_leader", Kind::Struct(PRODUCE_LEADER_ID_AND_EPOCH))
        .since(10)
        .tagged(0),
];
const PRODUCE_TOPIC_RESPONSE: &[Field] = &[
    field("name", Kind::String).until(12),
    field("topic_id", UUID).since(13),
    field(
        "partition_responses",
        Kind::Array(&Kind::Struct(PRODUCE_PARTITION_RESPONSE)),
    ),
];
const PRODUCE_NODE_ENDPOINT: &[Field] = &[
    field("node_id", INT32).since(10),
    field("host", Kind::String).since(10),
    field("port", INT32).since(10),
    field("rack", Kind::String).since(10).nullable(10),
];
pub(super) const PRODUCE: Shape = Shape {
    flexible_since: 9,
    fields: &[
        field(
            "responses",
            Kind::Array(&Kind::Struct(PRODUCE_TOPIC_RESPONSE)),
        ),
        field("throttle_time_ms", INT32).since(1),
        field(
            "node_endpoints",
            Kind::Array(&Kind::Struct(PRODUCE_NODE_ENDPOINT)),
        )
        .since(10)
        .tagged(0),
    ],
};

const FETCH_EPOCH_END_OFFSET: &[Field] = &[
    field("epoch", INT32).since(12),
    field("end_offset", INT64).since(12),
];
const FETCH_LEADER_ID_AND_EPOCH: &[Field] = &[
    field("leader_id", INT32).since(12),
    field("leader_epoch", INT32).since(12),
];
const FETCH_SNAPSHOT_ID: &[Field] = &[field("end_offset", INT64), field("epoch", INT32)];
const FETCH_ABORTED_TRANSACTION: &[Field] = &[
    field("producer_id", INT64).since(4),
    field("first_offset", INT64).since(4),
];
const FETCH_PARTITION_DATA: &[Field] = &[
    field("partition_index", INT32),
    field("error_code", INT16),
    field("high_watermark", INT64),
    field("last_stable_offset", INT64).since(4),
    field("log_start_offset", INT64).since(5),
    field("diverging_epoch", Kind::Struct(FETCH_EPOCH_END_OFFSET))
        .since(12)
        .tagged(0),
    field("current_leader", Kind::Struct(FETCH_LEADER_ID_AND_EPOCH))
        .since(12)
        .tagged(1),
    field("snapshot_id", Kind::Struct(FETCH_SNAPSHOT_ID))
        .since(12)
        .tagged(2),
    field(
        "aborted_transactions",
        Kind::Array(&Kind::Struct(FETCH_ABORTED_TRANSACTION)),
    )
    .since(4)
    .nullable(4),
    field("preferred_read_replica", INT32).since(11),
    field("records", Kind::Bytes).nullable(0),
];
const FETCH_ABLE_TOPIC_RESPONSE: &[Field] = &[
    field("topic", Kind::String).until(12),
    field("topic_id", UUID).since(13),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(FETCH_PARTITION_DATA)),
    ),
];
const FETCH_NODE_ENDPOINT: &[Field] = &[
    field("node_id", INT32).since(16),
    field("host", Kind::String).since(16),
    field("port", INT32).since(16),
    field("rack", Kind::String).since(16).nullable(16),
];
pub(super) const FETCH: Shape = Shape {
    flexible_since: 12,
    fields: &[
        field("throttle_time_ms", INT32).since(1),
        field("error_code", INT16).since(7),
        field("session_id", INT32).since(7),
        field(
            "responses",
            Kind::Array(&Kind::Struct(FETCH_ABLE_TOPIC_RESPONSE)),
        ),
        field(
            "node_endpoints",
            Kind::Array(&Kind::Struct(FETCH_NODE_ENDPOINT)),
        )
        .since(16)
        .tagged(0),
    ],
};

const LIST_OFFSETS_PARTITION_RESPONSE: &[Field] = &[
    field("partition_index", INT32),
    field("error_code", INT16),
    field("old_style_offsets", Kind::Array(&INT64)).until(0),
    field("timestamp", INT64).since(1),
    field("offset", INT64).since(1),
    field("leader_epoch", INT32).since(4),
];
const LIST_OFFSETS_TOPIC_RESPONSE: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(LIST_OFFSETS_PARTITION_RESPONSE)),
    ),
];
pub(super) const LIST_OFFSETS: Shape = Shape {
    flexible_since: 6,
    fields: &[
        field("throttle_time_ms", INT32).since(2),
        field(
            "topics",
            Kind::Array(&Kind::Struct(LIST_OFFSETS_TOPIC_RESPONSE)),
        ),
    ],
};

const DELETE_RECORDS_PARTITION_RESULT: &[Field] = &[
    field("partition_index", INT32),
    field("low_watermark", INT64),
    field("error_code", INT16),
];
const DELETE_RECORDS_TOPIC_RESULT: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DELETE_RECORDS_PARTITION_RESULT)),
    ),
];
pub(super) const DELETE_RECORDS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "topics",
            Kind::Array(&Kind::Struct(DELETE_RECORDS_TOPIC_RESULT)),
        ),
    ],
};

pub(super) const INIT_PRODUCER_ID: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("producer_id", INT64),
        field("producer_epoch", INT16),
        field("ongoing_txn_producer_id", INT64).since(6),
        field("ongoing_txn_producer_epoch", INT16).since(6),
    ],
};

const OFFSET_FOR_LEADER_EPOCH_EPOCH_END_OFFSET: &[Field] = &[
    field("error_code", INT16),
    field("partition", INT32),
    field("leader_epoch", INT32).since(1),
    field("end_offset", INT64),
];
const OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_TOPIC_RESULT: &[Field] = &[
    field("topic", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(OFFSET_FOR_LEADER_EPOCH_EPOCH_END_OFFSET)),
    ),
];
pub(super) const OFFSET_FOR_LEADER_EPOCH: Shape = Shape {
    flexible_since: 4,
    fields: &[
        field("throttle_time_ms", INT32).since(2),
        field(
            "topics",
            Kind::Array(&Kind::Struct(
                OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_TOPIC_RESULT,
            )),
        ),
    ],
};
