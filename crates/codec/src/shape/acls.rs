//! Requests about access control lists.

use super::{Field, INT8, Kind, Shape, field};

pub(super) const DESCRIBE_ACLS: Shape = Shape {
    flexible_since: 2,
    fields: &[
        field("resource_type_filter", INT8),
        field("resource_name_filter", Kind::String).nullable(0),
        field("pattern_type_filter", INT8).since(1),
        field("principal_filter", Kind::String).nullable(0),
        field("host_filter", Kind::String).nullable(0),
        field("operation", INT8),
        field("permission_type", INT8),
    ],
};

const ACL_CREATION: &[Field] = &[
    field("resource_type", INT8),
    field("resource_name", Kind::String),
    field("resource_pattern_type", INT8).since(1),
    field("principal", Kind::String),
    field("host", Kind::String),
    field("operation", INT8),
    field("permission_type", INT8),
];
pub(super) const CREATE_ACLS: Shape = Shape {
    flexible_since: 2,
    fields: &[field("creations", Kind::Array(&Kind::Struct(ACL_CREATION)))],
};

const DELETE_ACLS_FILTER: &[Field] = &[
    field("resource_type_filter", INT8),
    field("resource_name_filter", Kind::String).nullable(0),
    field("pattern_type_filter", INT8).since(1),
    field("principal_filter", Kind::String).nullable(0),
    field("host_filter", Kind::String).nullable(0),
    field("operation", INT8),
    field("permission_type", INT8),
];
pub(super) const DELETE_ACLS: Shape = Shape {
    flexible_since: 2,
    fields: &[field(
        "filters",
        Kind::Array(&Kind::Struct(DELETE_ACLS_FILTER)),
    )],
};
