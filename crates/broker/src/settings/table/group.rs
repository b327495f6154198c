//! Settings of groups that Kafka 4.3 lists: all belong to protocols of groups that Ottla does not speak.

use super::super::definition::{Definition, Kind, Kind::*, Scope, Synonym, Unit, Update, broker};

/// A group setting without effect; `default_of` is empty, or the broker setting that gives its default.
const fn group(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    default_of: &'static [Synonym],
    doc: &'static str,
) -> Definition {
    Definition {
        scope: Scope::Group,
        update: Update::ClusterWide,
        synonyms: default_of,
        ..broker(name, kind, default, doc).no_effect()
    }
}

const fn same(name: &'static str) -> Synonym {
    Synonym {
        name,
        unit: Unit::Same,
    }
}

pub(super) const ROWS: &[Definition] = &[
    group("consumer.assignment.interval.ms", Int, "1000", &[],
        "Milliseconds between two assignments of a group of the newer protocol.").at_least(0),
    group("consumer.heartbeat.interval.ms", Int, "5000", &[same("group.consumer.heartbeat.interval.ms")],
        "Heartbeats of members of the newer group protocol.").at_least(1),
    group("consumer.session.timeout.ms", Int, "45000", &[same("group.consumer.session.timeout.ms")],
        "Session time-out of members of the newer group protocol. Members of the classic protocol, which Ottla speaks, bring their own.").at_least(1),
    group("share.assignment.interval.ms", Int, "1000", &[],
        "Milliseconds between two assignments of a share group.").at_least(0),
    group("share.auto.offset.reset", String, "latest", &[],
        "Where a share group begins."),
    group("share.delivery.count.limit", Int, "5", &[],
        "Deliveries of a record of a share group.").at_least(2),
    group("share.heartbeat.interval.ms", Int, "5000", &[],
        "Heartbeats of members of a share group.").at_least(1),
    group("share.isolation.level", String, "read_uncommitted", &[],
        "Whether a share group sees records of open transactions.").one_of(&["read_committed", "read_uncommitted"]),
    group("share.partition.max.record.locks", Int, "2000", &[],
        "Records of a partition that a share group holds at a time.").at_least(100),
    group("share.record.lock.duration.ms", Int, "30000", &[],
        "Milliseconds that a member of a share group holds a record.").at_least(1000),
    group("share.renew.acknowledge.enable", Bool, "true", &[],
        "Whether a member of a share group may hold a record for longer."),
    group("share.session.timeout.ms", Int, "45000", &[],
        "Session time-out of members of a share group.").at_least(1),
    group("streams.assignment.interval.ms", Int, "1000", &[],
        "Milliseconds between two assignments of a group of the Streams protocol.").at_least(0),
    group("streams.heartbeat.interval.ms", Int, "5000", &[],
        "Heartbeats of members of the Streams group protocol.").at_least(1),
    group("streams.initial.rebalance.delay.ms", Int, "3000", &[],
        "Milliseconds that an empty group of the Streams protocol waits for members.").at_least(0),
    group("streams.num.standby.replicas", Int, "0", &[],
        "Standby tasks of a group of the Streams protocol.").at_least(0),
    group("streams.session.timeout.ms", Int, "45000", &[],
        "Session time-out of members of the Streams group protocol.").at_least(1),
];
