//! Subscriptions to what clients measure (KIP-714).

use super::super::definition::{Definition, Kind::*, Scope, broker};

const fn subscription(
    name: &'static str,
    kind: super::super::definition::Kind,
    default: &'static str,
    doc: &'static str,
) -> Definition {
    let mut definition = broker(name, kind, default, doc);
    definition.scope = Scope::ClientMetrics;
    definition
}

pub(super) const ROWS: &[Definition] = &[
    subscription(
        "metrics",
        List,
        "",
        "What clients are to push: prefixes of metrics' names, or `*` for all.",
    ),
    subscription(
        "interval.ms",
        Int,
        "300000",
        "Milliseconds between the pushes of one client.",
    )
    .between(100, 3_600_000),
    subscription(
        "match",
        List,
        "",
        "Which clients, as `client_id=expression`; also client_instance_id, client_software_name, client_software_version, client_source_address, client_source_port. Empty: all.",
    ),
];
