//! Ottla's own settings.

use super::super::definition::{Definition, Kind::*, broker, unset};

pub(super) const ROWS: &[Definition] = &[
    unset("ottla.durability", String,
        "What an acknowledged record survives: `disk` a power cut (synced before it is acknowledged), `os` a crash of the process. Unset: `disk`, or `os` if `log.flush.interval.messages` is set above 1.")
        .high().one_of(&["disk", "os"]),
    broker("ottla.auto.lower.replication.factor", Bool, "true",
        "Whether a replication factor above the number of brokers is lowered to it with a warning. `false` refuses it as Kafka does."),
    broker("ottla.connection.in.flight.max.bytes", Long, "16777216",
        "Bytes of requests and answers under way on one connection before the broker stops reading from it.").at_least(65_536),
    broker("ottla.cache.bytes", Long, "16777216",
        "Bytes of recent record batches kept in memory for consumers.").at_least(0),
    broker("ottla.open.files.max", Int, "1024",
        "Segment files open at a time; the least recently used is closed.").at_least(8),
    broker("ottla.checkpoint.bytes", Long, "67108864",
        "Journal bytes after which a checkpoint is made.").at_least(1_048_576),
    broker("ottla.checkpoint.interval.ms", Long, "60000",
        "Milliseconds after which a checkpoint is made if anything was committed.").at_least(100),
    broker("ottla.journal.cut.damaged", Bool, "false",
        "What a start does with a journal that is damaged: `false` refuses to begin, `true` cuts it where it cannot be read, and names the records that are lost by that."),
    broker("http.port", String, "9644",
        "The port of HTTP (health, metrics, dead letters), on the host of the first listener; 0 takes a free one, as does a broker all of whose listeners do. `off`: no HTTP, on the listeners of Kafka's protocol neither. If the default is taken the broker starts without."),
    broker("http.allowed.hosts", List, "",
        "Names of this host that requests of HTTP may be for, beside addresses, names without a dot, local zones and advertised names. Others are refused: a web page whose name resolves to this host could ask in a browser's name."),
];
