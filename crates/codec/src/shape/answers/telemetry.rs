//! Answers about client telemetry (KIP-714).

use super::super::{BOOL, INT8, INT16, INT32, Kind, Shape, UUID, field};

pub(super) const GET_TELEMETRY_SUBSCRIPTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("client_instance_id", UUID),
        field("subscription_id", INT32),
        field("accepted_compression_types", Kind::Array(&INT8)),
        field("push_interval_ms", INT32),
        field("telemetry_max_bytes", INT32),
        field("delta_temporality", BOOL),
        field("requested_metrics", Kind::Array(&Kind::String)),
    ],
};

pub(super) const PUSH_TELEMETRY: Shape = Shape {
    flexible_since: 0,
    fields: &[field("throttle_time_ms", INT32), field("error_code", INT16)],
};
