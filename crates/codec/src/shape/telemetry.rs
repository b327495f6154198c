//! Requests of client telemetry (KIP-714).

use super::{BOOL, INT8, INT32, Kind, Shape, UUID, field};

pub(super) const GET_TELEMETRY_SUBSCRIPTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[field("client_instance_id", UUID)],
};

pub(super) const PUSH_TELEMETRY: Shape = Shape {
    flexible_since: 0,
    fields: &[
        field("client_instance_id", UUID),
        field("subscription_id", INT32),
        field("terminating", BOOL),
        field("compression_type", INT8),
        field("metrics", Kind::Bytes),
    ],
};
