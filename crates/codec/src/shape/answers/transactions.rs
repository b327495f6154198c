//! Answers about transactions.

use crate::shape::{Field, INT16, INT32, INT64, Kind, Shape, field};

const ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_PARTITION_RESULT: &[Field] = &[
    field("partition_index", INT32),
    field("partition_error_code", INT16),
];
const ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC_RESULT: &[Field] = &[
    field("name", Kind::String),
    field(
        "results_by_partition",
        Kind::Array(&Kind::Struct(
            ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_PARTITION_RESULT,
        )),
    ),
];
const ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_RESULT: &[Field] = &[
    field("transactional_id", Kind::String).since(4),
    field(
        "topic_results",
        Kind::Array(&Kind::Struct(
            ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC_RESULT,
        )),
    )
    .since(4),
];
pub(super) const ADD_PARTITIONS_TO_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16).since(4),
        field(
            "results_by_transaction",
            Kind::Array(&Kind::Struct(
                ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_RESULT,
            )),
        )
        .since(4),
        field(
            "results_by_topic_v3_and_below",
            Kind::Array(&Kind::Struct(
                ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC_RESULT,
            )),
        )
        .until(3),
    ],
};
pub(super) const ADD_OFFSETS_TO_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[field("throttle_time_ms", INT32), field("error_code", INT16)],
};
pub(super) const END_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("producer_id", INT64).since(5),
        field("producer_epoch", INT16).since(5),
    ],
};
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_PARTITION_RESULT: &[Field] =
    &[field("partition_index", INT32), field("error_code", INT16)];
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC_RESULT: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(
            WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_PARTITION_RESULT,
        )),
    ),
];
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_RESULT: &[Field] = &[
    field("producer_id", INT64),
    field(
        "topics",
        Kind::Array(&Kind::Struct(
            WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC_RESULT,
        )),
    ),
];
pub(super) const WRITE_TXN_MARKERS: Shape = Shape {
    flexible_since: 1,
    fields: &[field(
        "markers",
        Kind::Array(&Kind::Struct(WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_RESULT)),
    )],
};
const TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_RESPONSE_PARTITION: &[Field] =
    &[field("partition_index", INT32), field("error_code", INT16)];
const TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_RESPONSE_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(
            TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_RESPONSE_PARTITION,
        )),
    ),
];
pub(super) const TXN_OFFSET_COMMIT: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "topics",
            Kind::Array(&Kind::Struct(
                TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_RESPONSE_TOPIC,
            )),
        ),
    ],
};
const DESCRIBE_PRODUCERS_PRODUCER_STATE: &[Field] = &[
    field("producer_id", INT64),
    field("producer_epoch", INT32),
    field("last_sequence", INT32),
    field("last_timestamp", INT64),
    field("coordinator_epoch", INT32),
    field("current_txn_start_offset", INT64),
];
const DESCRIBE_PRODUCERS_PARTITION_RESPONSE: &[Field] = &[
    field("partition_index", INT32),
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
    field(
        "active_producers",
        Kind::Array(&Kind::Struct(DESCRIBE_PRODUCERS_PRODUCER_STATE)),
    ),
];
const DESCRIBE_PRODUCERS_TOPIC_RESPONSE: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(DESCRIBE_PRODUCERS_PARTITION_RESPONSE)),
    ),
];
pub(super) const DESCRIBE_PRODUCERS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "topics",
            Kind::Array(&Kind::Struct(DESCRIBE_PRODUCERS_TOPIC_RESPONSE)),
        ),
    ],
};
const DESCRIBE_TRANSACTIONS_TOPIC_DATA: &[Field] = &[
    field("topic", Kind::String),
    field("partitions", Kind::Array(&INT32)),
];
const DESCRIBE_TRANSACTIONS_TRANSACTION_STATE: &[Field] = &[
    field("error_code", INT16),
    field("transactional_id", Kind::String),
    field("transaction_state", Kind::String),
    field("transaction_timeout_ms", INT32),
    field("transaction_start_time_ms", INT64),
    field("producer_id", INT64),
    field("producer_epoch", INT16),
    field(
        "topics",
        Kind::Array(&Kind::Struct(DESCRIBE_TRANSACTIONS_TOPIC_DATA)),
    ),
];
pub(super) const DESCRIBE_TRANSACTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "transaction_states",
            Kind::Array(&Kind::Struct(DESCRIBE_TRANSACTIONS_TRANSACTION_STATE)),
        ),
    ],
};
const LIST_TRANSACTIONS_TRANSACTION_STATE: &[Field] = &[
    field("transactional_id", Kind::String),
    field("producer_id", INT64),
    field("transaction_state", Kind::String),
];
pub(super) const LIST_TRANSACTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("unknown_state_filters", Kind::Array(&Kind::String)),
        field(
            "transaction_states",
            Kind::Array(&Kind::Struct(LIST_TRANSACTIONS_TRANSACTION_STATE)),
        ),
    ],
};
