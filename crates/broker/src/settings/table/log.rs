//! The log: where it is, and the defaults of the topic settings.

use super::super::definition::{Definition, Kind::*, Synonym, Unit, broker, unset};

const RETENTION: &[Synonym] = &[
    Synonym {
        name: "log.retention.ms",
        unit: Unit::Same,
    },
    Synonym {
        name: "log.retention.minutes",
        unit: Unit::Minutes,
    },
    Synonym {
        name: "log.retention.hours",
        unit: Unit::Hours,
    },
];
const ROLL: &[Synonym] = &[
    Synonym {
        name: "log.roll.ms",
        unit: Unit::Same,
    },
    Synonym {
        name: "log.roll.hours",
        unit: Unit::Hours,
    },
];
const JITTER: &[Synonym] = &[
    Synonym {
        name: "log.roll.jitter.ms",
        unit: Unit::Same,
    },
    Synonym {
        name: "log.roll.jitter.hours",
        unit: Unit::Hours,
    },
];
const FLUSH: &[Synonym] = &[
    Synonym {
        name: "log.flush.interval.ms",
        unit: Unit::Same,
    },
    Synonym {
        name: "log.flush.scheduler.interval.ms",
        unit: Unit::Same,
    },
];

pub(super) const ROWS: &[Definition] = &[
    unset("log.dirs", List, "The data directory. Ottla has one; a list of several is refused.").high(),
    broker("log.dir", String, "/tmp/kafka-logs", "The data directory, if `log.dirs` is unset.").high(),
    broker("message.max.bytes", Int, "1048588", "Default of `max.message.bytes`.").high().at_least(0).cluster_wide(),
    broker("log.cleanup.policy", List, "delete", "Default of `cleanup.policy`.").one_of(&["compact", "delete"]).cluster_wide(),
    broker("log.segment.bytes", Int, "1073741824", "Default of `segment.bytes`.").high().at_least(14).cluster_wide(),
    unset("log.roll.ms", Long, "Default of `segment.ms`.").high().cluster_wide().family(ROLL),
    broker("log.roll.hours", Int, "168", "Default of `segment.ms`, in hours.").high().at_least(1).family(ROLL),
    unset("log.roll.jitter.ms", Long, "Default of `segment.jitter.ms`.").high().cluster_wide().family(JITTER).no_effect(),
    broker("log.roll.jitter.hours", Int, "0", "Default of `segment.jitter.ms`, in hours.").high().at_least(0).family(JITTER).no_effect(),
    unset("log.retention.ms", Long, "Default of `retention.ms`.").high().cluster_wide().family(RETENTION),
    unset("log.retention.minutes", Int, "Default of `retention.ms`, in minutes.").high().family(RETENTION),
    broker("log.retention.hours", Int, "168", "Default of `retention.ms`, in hours.").high().family(RETENTION),
    broker("log.retention.bytes", Long, "-1", "Default of `retention.bytes`.").high().cluster_wide(),
    broker("log.retention.check.interval.ms", Long, "300000", "Milliseconds between looks for segments to drop.").at_least(1),
    broker("log.segment.delete.delay.ms", Long, "0", "Default of `file.delete.delay.ms`.").high().at_least(0).cluster_wide().no_effect(),
    broker("log.index.interval.bytes", Int, "4096", "Default of `index.interval.bytes`.").at_least(0).cluster_wide(),
    broker("log.index.size.max.bytes", Int, "10485760", "Default of `segment.index.bytes`.").at_least(4).cluster_wide().no_effect(),
    broker("log.message.timestamp.type", String, "CreateTime", "Default of `message.timestamp.type`.").one_of(&["CreateTime", "LogAppendTime"]).cluster_wide(),
    broker("log.message.timestamp.before.max.ms", Long, "9223372036854775807", "Default of `message.timestamp.before.max.ms`.").at_least(0).cluster_wide(),
    broker("log.message.timestamp.after.max.ms", Long, "3600000", "Default of `message.timestamp.after.max.ms`.").at_least(0).cluster_wide(),
    broker("log.flush.interval.messages", Long, "9223372036854775807",
        "Set above 1, records are acknowledged once they are written, without a sync, as in Kafka; set to 1 or unset, they are synced first. `ottla.durability` goes before it. Read at start; the topic setting has no effect.").high().at_least(1),
    unset("log.flush.interval.ms", Long, "Default of `flush.ms`.").high().cluster_wide().family(FLUSH).no_effect(),
    broker("log.flush.scheduler.interval.ms", Long, "9223372036854775807", "Milliseconds between looks for logs to flush.").high().family(FLUSH).no_effect(),
    broker("log.flush.offset.checkpoint.interval.ms", Int, "60000", "Milliseconds between checkpoints of recovery points.").high().at_least(0).no_effect(),
    broker("log.flush.start.offset.checkpoint.interval.ms", Int, "60000", "Milliseconds between checkpoints of log starts.").high().at_least(0).no_effect(),
    broker("log.preallocate", Bool, "false", "Default of `preallocate`.").cluster_wide().no_effect(),
    broker("log.initial.task.delay.ms", Long, "30000", "Milliseconds before background tasks start.").low().at_least(0).no_effect(),
    broker("log.dir.failure.timeout.ms", Long, "30000", "Milliseconds before a broker with a failed directory stops.").low().at_least(1).no_effect(),
    broker("log.local.retention.bytes", Long, "-2", "Default of `local.retention.bytes`.").at_least(-2).cluster_wide().no_effect(),
    broker("log.local.retention.ms", Long, "-2", "Default of `local.retention.ms`.").at_least(-2).cluster_wide().no_effect(),
    broker("log.cleaner.enable", Bool, "true", "Whether logs are compacted."),
    broker("log.cleaner.threads", Int, "1", "Threads that compact. Ottla has one.").at_least(0).cluster_wide().no_effect(),
    broker("log.cleaner.backoff.ms", Long, "15000", "The longest pause between rounds of compaction, in milliseconds. Ottla waits ten times as long as the last round took, if that is shorter, and does not look for work while nothing happens. After a full disk a pass is tried again when this has passed.").at_least(0).cluster_wide(),
    broker("log.cleaner.dedupe.buffer.size", Long, "134217728", "The most memory that one pass of compaction takes to remember keys, in bytes. It grows as keys come and is given back after the pass.").at_least((1 << 20) + 1).cluster_wide(),
    broker("log.cleaner.io.buffer.size", Int, "524288", "Buffers for compaction. Ottla's are as large as the batches are.").at_least(0).cluster_wide().no_effect(),
    broker("log.cleaner.io.buffer.load.factor", Double, "0.9", "How full the memory for compaction may get. Ottla's map has a load factor of its own.").cluster_wide().no_effect(),
    broker("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", "Bytes a second that compaction may read and write together.").cluster_wide(),
    broker("log.cleaner.delete.retention.ms", Long, "86400000", "Default of `delete.retention.ms`.").at_least(0).cluster_wide(),
    broker("log.cleaner.min.cleanable.ratio", Double, "0.5", "Default of `min.cleanable.dirty.ratio`.").between_real(0.0, 1.0).cluster_wide(),
    broker("log.cleaner.min.compaction.lag.ms", Long, "0", "Default of `min.compaction.lag.ms`.").at_least(0).cluster_wide(),
    broker("log.cleaner.max.compaction.lag.ms", Long, "9223372036854775807", "Default of `max.compaction.lag.ms`.").at_least(1).cluster_wide(),
    broker("remote.log.storage.system.enable", Bool, "false", "Whether tiered storage is there.").no_effect(),
    unset("log.message.format.version", String, "The record format of old clients; records are always in format 2.").no_effect(),
    unset("log.message.downconversion.enable", Bool, "Whether records are converted for old clients; they never are.").low().no_effect(),
    unset("log.message.timestamp.difference.max.ms", Long, "Replaced by `log.message.timestamp.before.max.ms` and `log.message.timestamp.after.max.ms`.").no_effect(),
];
