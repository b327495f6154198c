//! Consumer groups, offsets, producers, transactions.

use super::super::definition::{Definition, Kind::*, broker};

pub(super) const ROWS: &[Definition] = &[
    broker(
        "group.initial.rebalance.delay.ms",
        Int,
        "75",
        "Milliseconds without a new member after which the first rebalance of an empty group begins, counted from when the member first asked for its coordinator where that is known. Kafka's default is 3000.",
    ),
    broker(
        "group.min.session.timeout.ms",
        Int,
        "6000",
        "The shortest session time-out a member may ask for.",
    )
    .at_least(0),
    broker(
        "group.max.session.timeout.ms",
        Int,
        "1800000",
        "The longest session time-out a member may ask for.",
    )
    .at_least(0),
    broker(
        "group.max.size",
        Int,
        "2147483647",
        "Members of a group at most.",
    )
    .at_least(1),
    broker(
        "offset.metadata.max.bytes",
        Int,
        "4096",
        "Bytes of metadata with a committed offset.",
    )
    .high()
    .at_least(0),
    broker(
        "offsets.retention.minutes",
        Int,
        "10080",
        "Minutes that offsets are kept after their group became empty.",
    )
    .high()
    .at_least(1),
    broker(
        "offsets.retention.check.interval.ms",
        Long,
        "600000",
        "Milliseconds between looks for expired offsets.",
    )
    .high()
    .at_least(1),
    broker(
        "producer.id.expiration.ms",
        Int,
        "86400000",
        "Milliseconds after which a silent idempotent producer is forgotten.",
    )
    .low()
    .at_least(1)
    .cluster_wide(),
    broker(
        "producer.id.expiration.check.interval.ms",
        Int,
        "600000",
        "Milliseconds between looks for such producers.",
    )
    .low()
    .at_least(1)
    .no_effect(),
    broker(
        "group.coordinator.rebalance.protocols",
        List,
        "classic",
        "The group protocols that are served. Ottla serves the classic one.",
    )
    .no_effect(),
    broker("group.coordinator.threads", Int, "4", "Threads for groups.")
        .high()
        .at_least(1)
        .no_effect(),
    broker(
        "group.coordinator.append.linger.ms",
        Int,
        "5",
        "How long a group gathers writes.",
    )
    .no_effect(),
    broker(
        "group.coordinator.new.enable",
        Bool,
        "true",
        "Whether the newer coordinator is used.",
    )
    .no_effect(),
    broker(
        "group.consumer.session.timeout.ms",
        Int,
        "45000",
        "Session time-out of the newer group protocol.",
    )
    .at_least(1)
    .no_effect(),
    broker(
        "group.consumer.heartbeat.interval.ms",
        Int,
        "5000",
        "Heartbeats of the newer group protocol.",
    )
    .at_least(1)
    .no_effect(),
    broker(
        "group.consumer.max.size",
        Int,
        "2147483647",
        "Members of a group of the newer protocol.",
    )
    .at_least(1)
    .no_effect(),
    broker(
        "group.consumer.migration.policy",
        String,
        "bidirectional",
        "Whether groups move between the protocols.",
    )
    .no_effect(),
    broker(
        "offsets.topic.num.partitions",
        Int,
        "50",
        "Partitions of the offsets topic. Ottla keeps offsets in its journal.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "offsets.topic.replication.factor",
        Short,
        "3",
        "Replication factor of the offsets topic.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "offsets.topic.segment.bytes",
        Int,
        "104857600",
        "Segment size of the offsets topic.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "offsets.topic.compression.codec",
        Int,
        "0",
        "Compression of the offsets topic.",
    )
    .high()
    .no_effect(),
    broker(
        "offsets.load.buffer.size",
        Int,
        "5242880",
        "Buffer for loading offsets.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "offsets.commit.timeout.ms",
        Int,
        "5000",
        "Milliseconds a commit may take.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "offsets.commit.required.acks",
        Short,
        "-1",
        "Acknowledgements of a commit; Ottla's are durable.",
    )
    .high()
    .no_effect(),
    broker(
        "transaction.state.log.num.partitions",
        Int,
        "50",
        "Partitions of the transaction log.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "transaction.state.log.replication.factor",
        Short,
        "3",
        "Replication factor of the transaction log.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "transaction.state.log.min.isr",
        Int,
        "2",
        "In-sync replicas of the transaction log.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "transaction.state.log.segment.bytes",
        Int,
        "104857600",
        "Segment size of the transaction log.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "transaction.state.log.load.buffer.size",
        Int,
        "5242880",
        "Buffer for loading transactions.",
    )
    .high()
    .at_least(1)
    .no_effect(),
    broker(
        "transaction.max.timeout.ms",
        Int,
        "900000",
        "The longest time-out of a transaction that a producer may ask for, in milliseconds.",
    )
    .high()
    .at_least(1),
    broker(
        "transactional.id.expiration.ms",
        Int,
        "604800000",
        "Milliseconds after which a transactional id that nothing happened to is forgotten.",
    )
    .high()
    .at_least(1),
    broker(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Int,
        "10000",
        "Milliseconds between looks for timed-out transactions.",
    )
    .low()
    .at_least(1)
    .no_effect(),
    broker(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        Int,
        "3600000",
        "Milliseconds between looks for expired transactional ids.",
    )
    .low()
    .at_least(1),
    broker(
        "transaction.partition.verification.enable",
        Bool,
        "true",
        "Whether the coordinator is asked before a partition takes the first batch of a transaction that it was to be added to.",
    )
    .low()
    .cluster_wide(),
    broker(
        "share.coordinator.state.topic.replication.factor",
        Short,
        "3",
        "Replication factor of the share groups' state topic.",
    )
    .at_least(1)
    .no_effect(),
    broker(
        "share.coordinator.state.topic.min.isr",
        Short,
        "2",
        "In-sync replicas of that topic.",
    )
    .at_least(1)
    .no_effect(),
    broker(
        "share.coordinator.state.topic.num.partitions",
        Int,
        "50",
        "Partitions of that topic.",
    )
    .at_least(1)
    .no_effect(),
];
