//! Names without a row: parts of Kafka, of its older versions and of its vendors' distributions that Ottla does not have. Files
//! written for Kafka may hold them; nothing shows them.

/// Whole families: settings of one listener, of security, of tiered storage, of another vendor.
const FAMILIES: &[&str] = &[
    "confluent.",
    "delegation.token.",
    "group.share.",
    "group.streams.",
    "internal.",
    "listener.name.",
    "password.encoder.",
    "remote.",
    "sasl.",
    "share.coordinator.",
    "ssl.",
    "unstable.",
    "zookeeper.",
];

/// Single names, in order.
const NAMES: &[&str] = &[
    "add.partitions.to.txn.retry.backoff.max.ms",
    "add.partitions.to.txn.retry.backoff.ms",
    "alter.log.dirs.replication.quota.window.num",
    "alter.log.dirs.replication.quota.window.size.seconds",
    "config.providers",
    "control.plane.listener.name",
    "controller.performance.always.log.threshold.ms",
    "controller.performance.sample.period.ms",
    "controller.quorum.auto.join.enable",
    "controller.quorum.fetch.max.bytes",
    "controller.quorum.fetch.snapshot.max.bytes",
    "controller.quota.window.num",
    "controller.quota.window.size.seconds",
    "cordoned.log.dirs",
    "eligible.leader.replicas.enable",
    "enable.zookeeper.migration",
    "follower.fetch.last.tiered.offset.enable",
    "group.consumer.assignment.interval.ms",
    "group.consumer.assignors",
    "group.consumer.max.assignment.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.min.assignment.interval.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "group.consumer.regex.refresh.interval.ms",
    "group.coordinator.background.threads",
    "group.coordinator.cached.buffer.max.bytes",
    "kafka.metrics.polling.interval.secs",
    "kafka.metrics.reporters",
    "metadata.log.max.snapshot.interval.ms",
    "quota.consumer.default",
    "quota.producer.default",
    "replication.quota.window.num",
    "replication.quota.window.size.seconds",
    "security.providers",
    "server.max.startup.time.ms",
    "share.fetch.purgatory.purge.interval.requests",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "transaction.two.phase.commit.enable",
    "unclean.leader.election.interval.ms",
];

/// Whether a name is known although there is no setting of this name.
pub(crate) fn is_accepted(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table::broker_setting;

    #[test]
    fn what_is_accepted_without_a_row_is_in_order_and_has_none() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
        for name in NAMES {
            assert!(broker_setting(name).is_none(), "{name} has a row");
            assert!(is_accepted(name));
            let in_a_family = FAMILIES.iter().any(|family| name.starts_with(family));
            assert!(!in_a_family, "{name} is in a family");
        }
        for (name, accepted) in [
            ("listener.name.out.ssl.keystore.type", true),
            ("confluent.license.topic", true),
            ("num.partitons", false),
            ("ssl", false),
        ] {
            assert_eq!(is_accepted(name), accepted, "{name}");
        }
    }
}
