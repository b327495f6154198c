//! Settings of topics: all that Kafka 4.3 lists.

use super::super::definition::{Definition, Kind::*, Synonym, Unit, topic};

const fn same(name: &'static str) -> Synonym {
    Synonym {
        name,
        unit: Unit::Same,
    }
}
const fn minutes(name: &'static str) -> Synonym {
    Synonym {
        name,
        unit: Unit::Minutes,
    }
}
const fn hours(name: &'static str) -> Synonym {
    Synonym {
        name,
        unit: Unit::Hours,
    }
}

pub(super) const ROWS: &[Definition] = &[
    topic("cleanup.policy", List, "delete", &[same("log.cleanup.policy")],
        "What happens to old data: `delete` drops segments past the retention limits, `compact` keeps at least the last value of each key, `compact,delete` does both.")
        .one_of(&["compact", "delete"]),
    topic("compression.gzip.level", Int, "-1", &[same("compression.gzip.level")],
        "Level for recompression to gzip. Batches are kept as the producer compressed them.").between(-1, 9).no_effect(),
    topic("compression.lz4.level", Int, "9", &[same("compression.lz4.level")],
        "Level for recompression to lz4. Batches are kept as the producer compressed them.").between(1, 17).no_effect(),
    topic("compression.type", String, "producer", &[same("compression.type")],
        "The compression of stored batches. Ottla keeps batches as the producer compressed them, as `producer` says.")
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]).no_effect(),
    topic("compression.zstd.level", Int, "3", &[same("compression.zstd.level")],
        "Level for recompression to zstd. Batches are kept as the producer compressed them.").between(-131_072, 22).no_effect(),
    topic("delete.retention.ms", Long, "86400000", &[same("log.cleaner.delete.retention.ms")],
        "How long a tombstone stays in a compacted topic after compaction first met it, in milliseconds.").at_least(0),
    topic("file.delete.delay.ms", Long, "0", &[same("log.segment.delete.delay.ms")],
        "How long Kafka keeps the files of a removed segment, in milliseconds. Ottla gives the space back as soon as the removal is durable.").at_least(0).no_effect(),
    topic("flush.messages", Long, "9223372036854775807", &[same("log.flush.interval.messages")],
        "Records between two forced flushes. Durability is a setting of the broker: see `ottla.durability`.").at_least(1).no_effect(),
    topic("flush.ms", Long, "9223372036854775807", &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")],
        "Milliseconds between two forced flushes. Durability is a setting of the broker: see `ottla.durability`.").at_least(0).no_effect(),
    topic("follower.replication.throttled.replicas", List, "", &[],
        "Replicas whose replication is throttled on the follower's side.").no_effect(),
    topic("index.interval.bytes", Int, "4096", &[same("log.index.interval.bytes")],
        "Bytes of a segment between two entries of its offset index.").at_least(0),
    topic("leader.replication.throttled.replicas", List, "", &[],
        "Replicas whose replication is throttled on the leader's side.").no_effect(),
    topic("local.retention.bytes", Long, "-2", &[same("log.local.retention.bytes")],
        "Bytes kept locally of a tiered partition.").at_least(-2).no_effect(),
    topic("local.retention.ms", Long, "-2", &[same("log.local.retention.ms")],
        "Milliseconds that segments of a tiered partition stay local.").at_least(-2).no_effect(),
    topic("max.compaction.lag.ms", Long, "9223372036854775807", &[same("log.cleaner.max.compaction.lag.ms")],
        "The time after which a record is due for compaction whatever `min.cleanable.dirty.ratio` says, in milliseconds. The active segment is closed for it, also when nothing is appended any more.").at_least(1),
    topic("max.message.bytes", Int, "1048588", &[same("message.max.bytes")],
        "The largest record batch that is taken, in bytes, after compression.").at_least(0),
    topic("message.timestamp.after.max.ms", Long, "3600000", &[same("log.message.timestamp.after.max.ms")],
        "How far a record's CreateTime may lie in the future, in milliseconds; later ones are refused with INVALID_TIMESTAMP.").at_least(0),
    topic("message.timestamp.before.max.ms", Long, "9223372036854775807", &[same("log.message.timestamp.before.max.ms")],
        "How far a record's CreateTime may lie in the past, in milliseconds; earlier ones are refused with INVALID_TIMESTAMP.").at_least(0),
    topic("message.timestamp.type", String, "CreateTime", &[same("log.message.timestamp.type")],
        "Whose time a record carries: the producer's (`CreateTime`) or the broker's (`LogAppendTime`).")
        .one_of(&["CreateTime", "LogAppendTime"]),
    topic("min.cleanable.dirty.ratio", Double, "0.5", &[same("log.cleaner.min.cleanable.ratio")],
        "The share of data that was not compacted yet, of all in closed segments, above which a partition is compacted.").between_real(0.0, 1.0),
    topic("min.compaction.lag.ms", Long, "0", &[same("log.cleaner.min.compaction.lag.ms")],
        "The shortest time a record stays uncompacted, in milliseconds.").at_least(0),
    topic("min.insync.replicas", Int, "1", &[same("min.insync.replicas")],
        "Replicas that must have a record before acks=all is answered. With one broker there is one.").at_least(1).no_effect(),
    topic("preallocate", Bool, "false", &[same("log.preallocate")],
        "Whether segment files are allocated in full when they are made.").no_effect(),
    topic("remote.log.copy.disable", Bool, "false", &[],
        "Whether a tiered topic stops copying segments to remote storage.").no_effect(),
    topic("remote.log.delete.on.disable", Bool, "false", &[],
        "Whether remote segments are deleted when tiering is switched off.").no_effect(),
    topic("remote.storage.enable", Bool, "false", &[],
        "Whether the topic is tiered. Ottla has no tiered storage, and refuses `true` as Kafka does where it is off."),
    topic("retention.bytes", Long, "-1", &[same("log.retention.bytes")],
        "Bytes that a partition keeps before its oldest segments go; -1 for no limit.").at_least(-1),
    topic("retention.ms", Long, "604800000", &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")],
        "Milliseconds that records are kept; -1 for ever.").at_least(-1),
    topic("segment.bytes", Int, "1073741824", &[same("log.segment.bytes")],
        "The size at which a new segment is begun, in bytes.").at_least(14),
    topic("segment.index.bytes", Int, "10485760", &[same("log.index.size.max.bytes")],
        "The largest offset index of a segment. Ottla's indexes grow as needed.").at_least(4).no_effect(),
    topic("segment.jitter.ms", Long, "0", &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
        "A random part taken off `segment.ms`, so that segments do not roll all at once.").at_least(0).no_effect(),
    topic("segment.ms", Long, "604800000", &[same("log.roll.ms"), hours("log.roll.hours")],
        "Milliseconds after which a segment that is not empty is closed, full or not.").at_least(1),
    topic("unclean.leader.election.enable", Bool, "false", &[same("unclean.leader.election.enable")],
        "Whether a replica that lags may become leader. With one broker there is none.").no_effect(),
];
