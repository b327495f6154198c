use std::path::Path;

use ottla_codec::batch::TimestampType;
use ottla_storage::Durability;

use super::*;

fn settings(values: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::new(&BrokerConfig {
        data_dir: Path::new("/data").to_owned(),
        values: values
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
    })
}

#[test]
fn what_is_not_given_has_its_default() {
    let effective = settings(&[]).expect("defaults are valid").current();
    assert_eq!(effective.node_id, 1);
    assert_eq!(effective.num_partitions, 1);
    assert_eq!(effective.message_max_bytes, 1_048_588);
    assert_eq!(effective.group_initial_rebalance_delay_ms, 75);
    assert_eq!(effective.queued_max_request_bytes, 256 << 20);
    assert_eq!(effective.durability, Durability::Disk);
    assert!(effective.auto_create_topics_enable && effective.auto_lower_replication_factor);
}

#[test]
fn names_that_are_not_known_never_stop_the_start() {
    let given = [
        ("no.such.setting", "1"),
        ("zookeeper.connect", "zk:2181"),
        ("listener.name.x.ssl.keystore.type", "PEM"),
        ("num.io.threads", "many"),
    ];
    assert!(settings(&given).is_ok());
}

#[test]
fn a_bad_value_is_named_with_the_reason() {
    for (given, expected) in [
        (
            vec![("num.partitions", "0")],
            "num.partitions=0: Value must be at least 1",
        ),
        (
            vec![("auto.create.topics.enable", "yes")],
            "auto.create.topics.enable=yes: Expected value to be either true or false",
        ),
        (
            vec![("broker.id", "2"), ("node.id", "1")],
            "broker.id=2: node.id is 1",
        ),
        (
            vec![("log.dirs", "/a,/b")],
            "log.dirs=/a,/b: there is one data directory",
        ),
        (
            vec![("log.retention.ms", "0")],
            "log.retention.ms=0: must be at least 1",
        ),
        (
            vec![("ottla.durability", "tape")],
            "ottla.durability=tape: String must be one of: disk, os",
        ),
        (
            vec![
                ("group.min.session.timeout.ms", "10"),
                ("group.max.session.timeout.ms", "9"),
            ],
            "must not be above",
        ),
    ] {
        let error = settings(&given).err().expect("must be refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_older_name_gives_the_node_its_id_and_both_are_shown() {
    let settings = settings(&[("broker.id", "7")]).expect("is valid");
    assert_eq!(settings.current().node_id, 7);
    assert_eq!(settings.layers().value("node.id"), Some("7"));
}

#[test]
fn flushing_every_message_or_saying_nothing_means_durable_and_anything_above_does_not() {
    for (given, expected) in [
        (vec![], Durability::Disk),
        (vec![("log.flush.interval.messages", "1")], Durability::Disk),
        (
            vec![("log.flush.interval.messages", "9223372036854775807")],
            Durability::Os,
        ),
        (
            vec![
                ("log.flush.interval.messages", "10000"),
                ("ottla.durability", "disk"),
            ],
            Durability::Disk,
        ),
        (vec![("ottla.durability", "os")], Durability::Os),
    ] {
        assert_eq!(
            settings(&given).expect("is valid").current().durability,
            expected,
            "{given:?}"
        );
    }
}

#[test]
fn a_topics_own_settings_go_before_the_brokers_defaults() {
    let settings = settings(&[
        ("log.retention.hours", "2"),
        ("log.segment.bytes", "4096"),
        ("message.max.bytes", "10"),
    ])
    .expect("is valid");
    let config = settings.topic_config(&Values::from(
        [
            ("segment.bytes", "100"),
            ("cleanup.policy", "compact,delete"),
            ("message.timestamp.type", "LogAppendTime"),
            ("retention.bytes", "9"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned())),
    ));
    assert_eq!(config.log.retention_ms, Some(7_200_000));
    assert_eq!(config.log.segment_bytes, 100);
    assert_eq!(config.log.max_message_bytes, 10);
    assert_eq!(config.log.retention_bytes, Some(9));
    assert!(config.log.cleanup_policy.compact && config.log.cleanup_policy.delete);
    assert_eq!(config.log.timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(config.timestamp_after_max_ms, 3_600_000);
}

#[test]
fn without_settings_a_topic_has_kafkas_defaults() {
    let config = settings(&[])
        .expect("is valid")
        .topic_config(&Values::new());
    assert_eq!(config.log, ottla_storage::LogConfig::default());
}

#[test]
fn compaction_goes_by_a_topics_own_settings_and_the_brokers() {
    let settings = settings(&[
        ("log.cleaner.delete.retention.ms", "7"),
        ("log.cleaner.min.compaction.lag.ms", "8"),
        ("log.cleaner.max.compaction.lag.ms", "9"),
        ("log.cleaner.min.cleanable.ratio", "0.25"),
        ("log.cleaner.enable", "false"),
        ("log.cleaner.backoff.ms", "250"),
        ("log.cleaner.dedupe.buffer.size", "2000000"),
        ("log.cleaner.io.max.bytes.per.second", "1e6"),
    ])
    .expect("is valid");
    let log = settings.topic_config(&Values::new()).log;
    assert_eq!(log.delete_retention_ms, 7);
    assert_eq!(log.min_compaction_lag_ms, 8);
    assert_eq!(log.max_compaction_lag_ms, 9);
    assert_eq!(log.min_cleanable_dirty_ratio, 0.25);
    let own = [
        ("min.cleanable.dirty.ratio", "0.5"),
        ("delete.retention.ms", "0"),
    ];
    let own = Values::from(own.map(|(n, v)| (n.to_owned(), v.to_owned())));
    let log = settings.topic_config(&own).log;
    assert_eq!(log.min_cleanable_dirty_ratio, 0.5);
    assert_eq!(log.delete_retention_ms, 0);
    let compaction = settings.current().compaction;
    assert!(!compaction.enabled);
    assert_eq!(compaction.backoff.as_millis(), 250);
    assert_eq!(compaction.map_bytes, 2_000_000);
    assert_eq!(compaction.bytes_per_second, 1e6);
}

#[test]
fn too_little_memory_for_compaction_is_refused_as_in_kafka() {
    assert!(settings(&[("log.cleaner.dedupe.buffer.size", "1048576")]).is_err());
    assert!(settings(&[("log.cleaner.dedupe.buffer.size", "1048577")]).is_ok());
}

#[test]
fn a_stored_value_that_cannot_be_read_gives_way_to_the_default() {
    let own = Values::from([("retention.ms".to_owned(), "soon".to_owned())]);
    let config = settings(&[]).expect("is valid").topic_config(&own);
    assert_eq!(config.log.retention_ms, Some(604_800_000));
}
