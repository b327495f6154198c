//! Requests about transactions.

use super::newer::NewerField;
use super::{BOOL, Field, INT8, INT16, INT32, INT64, Kind, Shape, field};

const ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field("partitions", Kind::Array(&INT32)),
];
const ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TRANSACTION: &[Field] = &[
    field("transactional_id", Kind::String).since(4),
    field("producer_id", INT64).since(4),
    field("producer_epoch", INT16).since(4),
    field("verify_only", BOOL).since(4),
    field(
        "topics",
        Kind::Array(&Kind::Struct(
            ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC,
        )),
    )
    .since(4),
];
pub(super) const ADD_PARTITIONS_TO_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field(
            "transactions",
            Kind::Array(&Kind::Struct(
                ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TRANSACTION,
            )),
        )
        .since(4),
        field("v3_and_below_transactional_id", Kind::String).until(3),
        field("v3_and_below_producer_id", INT64).until(3),
        field("v3_and_below_producer_epoch", INT16).until(3),
        field(
            "v3_and_below_topics",
            Kind::Array(&Kind::Struct(
                ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC,
            )),
        )
        .until(3),
    ],
};
pub(super) const ADD_OFFSETS_TO_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("transactional_id", Kind::String),
        field("producer_id", INT64),
        field("producer_epoch", INT16),
        field("group_id", Kind::String),
    ],
};
pub(super) const END_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("transactional_id", Kind::String),
        field("producer_id", INT64),
        field("producer_epoch", INT16),
        field("committed", BOOL),
    ],
};
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field("partition_indexes", Kind::Array(&INT32)),
];
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER: &[Field] = &[
    field("producer_id", INT64),
    field("producer_epoch", INT16),
    field("transaction_result", BOOL),
    field(
        "topics",
        Kind::Array(&Kind::Struct(WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC)),
    ),
    field("coordinator_epoch", INT32),
    field("transaction_version", INT8)
        .since(2)
        .newer(NewerField::TransactionVersion),
];
pub(super) const WRITE_TXN_MARKERS: Shape = Shape {
    flexible_since: 1,
    fields: &[field(
        "markers",
        Kind::Array(&Kind::Struct(WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER)),
    )],
};
const TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_PARTITION: &[Field] = &[
    field("partition_index", INT32),
    field("committed_offset", INT64),
    field("committed_leader_epoch", INT32).since(2),
    field("committed_metadata", Kind::String).nullable(0),
];
const TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_TOPIC: &[Field] = &[
    field("name", Kind::String),
    field(
        "partitions",
        Kind::Array(&Kind::Struct(
            TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_PARTITION,
        )),
    ),
];
pub(super) const TXN_OFFSET_COMMIT: Shape = Shape {
    flexible_since: 3,
    fields: &[
        field("transactional_id", Kind::String),
        field("group_id", Kind::String),
        field("producer_id", INT64),
        field("producer_epoch", INT16),
        field("generation_id", INT32).since(3),
        field("member_id", Kind::String).since(3),
        field("group_instance_id", Kind::String)
            .since(3)
            .nullable(3),
        field(
            "topics",
            Kind::Array(&Kind::Struct(
                TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_TOPIC,
            )),
        ),
    ],
};
const DESCRIBE_PRODUCERS_TOPIC_REQUEST: &[Field] = &[
    field("name", Kind::String),
    field("partition_indexes", Kind::Array(&INT32)),
];
pub(super) const DESCRIBE_PRODUCERS: Shape = Shape {
    flexible_since: 0,
    fields: &[field(
        "topics",
        Kind::Array(&Kind::Struct(DESCRIBE_PRODUCERS_TOPIC_REQUEST)),
    )],
};
pub(super) const DESCRIBE_TRANSACTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[field("transactional_ids", Kind::Array(&Kind::String))],
};
pub(super) const LIST_TRANSACTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("state_filters", Kind::Array(&Kind::String)),
        field("producer_id_filters", Kind::Array(&INT64)),
        field("duration_filter", INT64).since(1),
        field("transactional_id_pattern", Kind::String)
            .since(2)
            .nullable(2),
    ],
};
