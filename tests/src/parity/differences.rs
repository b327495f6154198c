//! The differences from Apache Kafka that are meant. Each has a reason; docs/COMPATIBILITY.md repeats them.

use super::both::Finding;

/// Where Ottla answers differently on purpose.
#[derive(Debug)]
pub struct Accepted {
    /// The API, `*` for all.
    pub api: &'static str,
    /// The scenario and step (`scenario: step`), with `*` for any text.
    pub step: &'static str,
    /// The field, with `*` for any text.
    pub path: &'static str,
    /// What differs and why, as the documentation says it.
    pub reason: &'static str,
}

/// The table.
pub const ACCEPTED: &[Accepted] = &[
    Accepted {
        api: "DescribeProducers",
        step: "transactions::descriptions: when it has ended",
        path: "*.coordinator_epoch",
        reason: "The epoch of the coordinator that wrote a producer's last marker is not kept: it is -1; Kafka's is 0 on one node.",
    },
    Accepted {
        api: "Produce",
        step: "zombies::troubles: again",
        path: "*.log_append_time_ms",
        reason: "A duplicate of a CreateTime batch is answered with append time -1, as its original was; Kafka answers a time.",
    },
    Accepted {
        api: "DescribeProducers",
        step: "transactions::descriptions*",
        path: "*.last_timestamp",
        reason: "A producer's last timestamp is the time of its last append; Kafka's is the largest timestamp in its last batch.",
    },
    Accepted {
        api: "ApiVersions",
        step: "cluster::versions*",
        path: "api_keys*",
        reason: "ApiVersions lists the APIs, versions and features that Ottla implements, and no others.",
    },
    Accepted {
        api: "ApiVersions",
        step: "cluster::versions*",
        path: "*features*",
        reason: "ApiVersions lists the APIs, versions and features that Ottla implements, and no others.",
    },
    Accepted {
        api: "DescribeQuorum",
        step: "replicas::quorum: of the cluster",
        path: "topics[].partitions[]*",
        reason: "The log of the quorum is that of the store's commits: its end is their number, and the broker is always caught up.",
    },
    Accepted {
        api: "DescribeQuorum",
        step: "replicas::quorum: of the cluster",
        path: "nodes[].listeners*",
        reason: "The node of the quorum is shown at the listener that the client came through: there is none for controllers alone.",
    },
    Accepted {
        api: "ElectLeaders",
        step: "replicas::elections: of everything",
        path: "replica_election_results*",
        reason: "An election of all leaders names no topics; Kafka names those, without partitions, that needed none.",
    },
    Accepted {
        api: "Produce",
        step: "*",
        path: "*.error_message",
        reason: "A refused batch comes with a message in every case; Kafka sends null for most errors.",
    },
    Accepted {
        api: "Produce",
        step: "produce::bad_batches: magic 3",
        path: "*.error_code",
        reason: "A batch of an unknown magic is INVALID_RECORD, not CORRUPT_MESSAGE: it is not damaged.",
    },
    Accepted {
        api: "Produce",
        step: "produce::bad_batches: unknown codec",
        path: "*.error_code",
        reason: "An unknown codec is UNSUPPORTED_COMPRESSION_TYPE; Kafka says UNKNOWN_SERVER_ERROR.",
    },
    Accepted {
        api: "Produce",
        step: "produce::bad_batches: garbage compressed",
        path: "*.error_code",
        reason: "A compressed body that cannot be read is INVALID_RECORD; Kafka says UNKNOWN_SERVER_ERROR.",
    },
    Accepted {
        api: "Produce",
        step: "compression::lz4_frames: unreadable*",
        path: "*.error_code",
        reason: "A compressed body that cannot be read is INVALID_RECORD; Kafka says UNKNOWN_SERVER_ERROR.",
    },
    Accepted {
        api: "*",
        step: "produce::bad_batches: bytes after the batch",
        path: "*",
        reason: "Bytes after the last whole batch are refused (INVALID_RECORD); Kafka drops them without a word.",
    },
    Accepted {
        api: "*",
        step: "produce::bad_batches: *sequence*",
        path: "*.base_offset",
        reason: "Bytes after the last whole batch are refused (INVALID_RECORD); Kafka drops them without a word.",
    },
    Accepted {
        api: "Fetch",
        step: "produce::bad_batches: read back",
        path: "*",
        reason: "Bytes after the last whole batch are refused (INVALID_RECORD); Kafka drops them without a word.",
    },
    Accepted {
        api: "Produce",
        step: "produce::bad_batches: batch cut short",
        path: "*.error_code",
        reason: "A batch that is cut short is CORRUPT_MESSAGE; Kafka finds no batch in it and says INVALID_RECORD.",
    },
    Accepted {
        api: "*",
        step: "produce::timestamps: LogAppendTime from a client",
        path: "*",
        reason: "A batch that claims LogAppendTime is INVALID_TIMESTAMP; Kafka takes it when it is not compressed.",
    },
    Accepted {
        api: "*",
        step: "produce::timestamps: descending times",
        path: "*.base_offset",
        reason: "A batch that claims LogAppendTime is INVALID_TIMESTAMP; Kafka takes it when it is not compressed.",
    },
    Accepted {
        api: "Fetch",
        step: "produce::timestamps: read back",
        path: "*",
        reason: "A batch that claims LogAppendTime is INVALID_TIMESTAMP; Kafka takes it when it is not compressed.",
    },
    Accepted {
        api: "Produce",
        step: "producers::sequences: *duplicate*",
        path: "*.log_append_time_ms",
        reason: "A duplicate of a CreateTime batch is answered with append time -1, as its original was; Kafka answers a time.",
    },
    Accepted {
        api: "Fetch",
        step: "fetch::offsets_and_limits: limit*",
        path: "*.records[]",
        reason: "A fetch answers whole batches; Kafka may cut the last one short, and clients throw that part away.",
    },
    Accepted {
        api: "ListOffsets",
        step: "list_offsets::bad_partitions: a partition twice",
        path: "*",
        reason: "A partition that is asked for twice is refused twice; Kafka merges the two.",
    },
    Accepted {
        api: "ListOffsets",
        step: "records::times_after_deletion: *the largest time",
        path: "*",
        reason: "The largest timestamp (-3) is one of a record that is left; Kafka goes on to answer one that DeleteRecords took, until its segment is gone.",
    },
    Accepted {
        api: "DescribeTopicPartitions",
        step: "metadata::described_partitions*",
        path: "*authorized_operations",
        reason: "A topic that does not exist has no authorised operations.",
    },
    Accepted {
        api: "*",
        step: "*",
        path: "*<file.delete.delay.ms>*",
        reason: "`file.delete.delay.ms` is 0 and has no effect: the space of deleted segments is given back as soon as their deletion is durable.",
    },
    Accepted {
        api: "*",
        step: "*",
        path: "*<min.insync.replicas>*",
        reason: "`min.insync.replicas` is a default; Kafka sets it on the cluster when it formats its directory.",
    },
    Accepted {
        api: "DescribeConfigs",
        step: "configs::broker_configs: all of the broker's",
        path: "*",
        reason: "The broker's settings are those of Ottla: docs/SETTINGS.md lists them.",
    },
    Accepted {
        api: "*",
        step: "*",
        path: "*<dlq.*>*",
        reason: "The settings that begin with `dlq.` are those of dead letters, which Kafka does not have.",
    },
    Accepted {
        api: "DescribeConfigs",
        step: "configs::broker_configs: a group",
        path: "*.synonyms*",
        reason: "Kafka's settings of groups are kept and shown and have no effect: they belong to protocols that are not supported yet. Most have no broker setting for their default.",
    },
    Accepted {
        api: "IncrementalAlterConfigs",
        step: "loggers::refused_levels: an unknown operation",
        path: "*",
        reason: "An unknown operation is INVALID_REQUEST; Kafka says UNKNOWN_SERVER_ERROR.",
    },
    Accepted {
        api: "CreatePartitions",
        step: "topics::partitions: unknown topic",
        path: "*.error_message",
        reason: "An unknown topic comes with a message; Kafka sends null.",
    },
    Accepted {
        api: "IncrementalAlterConfigs",
        step: "*: unknown operation",
        path: "*.error_code",
        reason: "An unknown operation is INVALID_REQUEST; Kafka says UNKNOWN_SERVER_ERROR.",
    },
    Accepted {
        api: "IncrementalAlterConfigs",
        step: "*: unknown operation",
        path: "*.error_message",
        reason: "An unknown operation is INVALID_REQUEST; Kafka says UNKNOWN_SERVER_ERROR.",
    },
    Accepted {
        api: "IncrementalAlterConfigs",
        step: "*: unknown broker config",
        path: "*.error_code",
        reason: "An unknown broker setting is refused with INVALID_REQUEST; Kafka keeps it for plug-ins that might read it.",
    },
    Accepted {
        api: "IncrementalAlterConfigs",
        step: "*: unknown broker config",
        path: "*.error_message",
        reason: "An unknown broker setting is refused with INVALID_REQUEST; Kafka keeps it for plug-ins that might read it.",
    },
];

/// What is compared by nature only up to a name, as the documentation says it.
pub const NOT_COMPARED: &[&str] = &[
    "Random ids: topics, members, producers, fetch sessions, the cluster. The same id in two places must still be the same.",
    "Hosts, ports, the log directory's path and the room on its device, append times.",
    "The wording of error messages and of configs' documentation; whether there is one is compared.",
    "The order of entries in lists of structures.",
];

impl Accepted {
    /// Whether this row explains `finding`.
    pub fn explains(&self, finding: &Finding) -> bool {
        let step = format!("{}: {}", finding.scenario, finding.step);
        matches(self.api, &finding.api)
            && matches(self.step, &step)
            && matches(self.path, &finding.path)
    }
}

/// Whether `text` has the shape of `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*.port", "brokers[].port", true),
            ("x", "x", true),
            ("x", "xy", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_documentation_lists_every_accepted_difference() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMPATIBILITY.md");
        let page = std::fs::read_to_string(page).expect("docs/COMPATIBILITY.md can be read");
        let section = page
            .split("## Differences from Apache Kafka")
            .nth(1)
            .expect("the section is there");
        let said = ACCEPTED.iter().map(|row| row.reason);
        for reason in said.chain(NOT_COMPARED.iter().copied()) {
            assert!(section.contains(reason), "not in the page: {reason}");
        }
    }
}
