//! Answers about access control lists.

use super::super::{Field, INT8, INT16, INT32, Kind, Shape, field};

const ACL_DESCRIPTION: &[Field] = &[
    field("principal", Kind::String),
    field("host", Kind::String),
    field("operation", INT8),
    field("permission_type", INT8),
];
const DESCRIBE_ACLS_RESOURCE: &[Field] = &[
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field("pattern_type", INT8).since(1),
    field("acls", Kind::Array(&Kind::Struct(ACL_DESCRIPTION))),
];
pub(super) const DESCRIBE_ACLS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field("error_code", INT16),
        field("error_message", Kind::String).nullable(0),
        field(
            "resources",
            Kind::Array(&Kind::Struct(DESCRIBE_ACLS_RESOURCE)),
        ),
    ],
};

const ACL_CREATION_RESULT: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
];
pub(super) const CREATE_ACLS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field("results", Kind::Array(&Kind::Struct(ACL_CREATION_RESULT))),
    ],
};

const DELETE_ACLS_MATCHING_ACL: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field("pattern_type", INT8).since(1),
    field("principal", Kind::String),
    field("host", Kind::String),
    field("operation", INT8),
    field("permission_type", INT8),
];
const DELETE_ACLS_FILTER_RESULT: &[Field] = &[
    field("error_code", INT16),
    field("error_message", Kind::String).nullable(0),
    field(
        "matching_acls",
        Kind::Array(&Kind::Struct(DELETE_ACLS_MATCHING_ACL)),
    ),
];
pub(super) const DELETE_ACLS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("throttle_time_ms", INT32),
        field(
            "filter_results",
            Kind::Array(&Kind::Struct(DELETE_ACLS_FILTER_RESULT)),
        ),
    ],
};
