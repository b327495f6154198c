//! Apache Kafka's own command line tools, each as its script would run it.

use std::process::Command;
use std::time::Duration;

use ottla_tests::harness::{Broker, Finished, Target, kafka_tool, kcat, repository, run, unique};

fn tool(broker: &Broker, name: &str, args: &[&str]) -> Finished {
    let server = broker.bootstrap();
    let mut all = vec!["--bootstrap-server", &server];
    all.extend(args);
    kafka_tool(name, &all, b"")
}

fn numbers(range: std::ops::Range<u32>) -> String {
    range.map(|i| format!("k{i}:v{i}\n")).collect()
}

fn produce(broker: &Broker, topic: &str, lines: &str) {
    kcat(
        &broker.bootstrap(),
        &["-P", "-t", topic, "-K", ":"],
        lines.as_bytes(),
    )
    .success();
}

#[test]
fn kafka_topics_creates_describes_alters_and_deletes() {
    let broker = Broker::start();
    let topic = unique("t");
    let create = [
        "--create",
        "--topic",
        &topic,
        "--partitions",
        "3",
        "--config",
        "retention.ms=1000",
    ];
    let said = tool(&broker, "topics", &create);
    assert!(
        said.success().contains(&format!("Created topic {topic}.")),
        "{said:?}"
    );
    let again = tool(&broker, "topics", &create).failure();
    assert!(again.contains("already exists"), "{again}");

    let described = tool(&broker, "topics", &["--describe", "--topic", &topic]);
    let described = described.success();
    assert!(described.contains("PartitionCount: 3"), "{described}");
    assert!(described.contains("ReplicationFactor: 1"), "{described}");
    assert!(described.contains("retention.ms=1000"), "{described}");
    assert_eq!(described.matches("Partition: ").count(), 3, "{described}");

    tool(
        &broker,
        "topics",
        &["--alter", "--topic", &topic, "--partitions", "5"],
    )
    .success();
    let described = tool(&broker, "topics", &["--describe", "--topic", &topic]);
    assert!(
        described.success().contains("PartitionCount: 5"),
        "{described:?}"
    );

    assert!(
        tool(&broker, "topics", &["--list"])
            .success()
            .lines()
            .any(|line| line == topic)
    );
    tool(&broker, "topics", &["--delete", "--topic", &topic]).success();
    let listed = tool(&broker, "topics", &["--list"]);
    assert!(!listed.success().contains(&topic), "{listed:?}");
    let missing = tool(&broker, "topics", &["--describe", "--topic", &topic]).failure();
    assert!(missing.contains("does not exist"), "{missing}");
}

#[test]
fn the_console_consumer_reads_what_the_console_producer_wrote() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("console");
    kafka_tool(
        "console-producer",
        &[
            "--bootstrap-server",
            &server,
            "--topic",
            &topic,
            "--command-property",
            "enable.idempotence=true",
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "key.separator=:",
            "--compression-codec",
            "lz4",
        ],
        numbers(0..100).as_bytes(),
    )
    .success();
    let read = tool(
        &broker,
        "console-consumer",
        &[
            "--topic",
            &topic,
            "--from-beginning",
            "--max-messages",
            "100",
            "--timeout-ms",
            "30000",
            "--formatter-property",
            "print.key=true",
            "--formatter-property",
            "key.separator=:",
        ],
    );
    assert_eq!(read.success(), numbers(0..100));
}

#[test]
fn kafka_configs_sets_reads_and_deletes() {
    let broker = Broker::start();
    let topic = unique("c");
    produce(&broker, &topic, "a:b\n");
    let entity = ["--entity-type", "topics", "--entity-name", &topic];
    let configs = |args: &[&str]| {
        let mut all = entity.to_vec();
        all.extend(args);
        tool(&broker, "configs", &all)
    };
    configs(&[
        "--alter",
        "--add-config",
        "retention.ms=1234,cleanup.policy=[delete,compact]",
    ])
    .success();
    let described = configs(&["--describe"]);
    assert!(
        described
            .success()
            .contains("retention.ms=1234 sensitive=false"),
        "{described:?}"
    );
    assert!(
        described
            .success()
            .contains("cleanup.policy=delete,compact"),
        "{described:?}"
    );
    configs(&["--alter", "--delete-config", "retention.ms"]).success();
    let described = configs(&["--describe", "--all"]);
    assert!(
        described.success().contains("retention.ms=604800000"),
        "{described:?}"
    );
    let refused = configs(&["--alter", "--add-config", "retention.ms=soon"]).failure();
    assert!(refused.contains("retention.ms"), "{refused}");
    let of_brokers = tool(
        &broker,
        "configs",
        &[
            "--entity-type",
            "brokers",
            "--entity-name",
            "1",
            "--describe",
            "--all",
        ],
    );
    assert!(of_brokers.success().contains("log.dirs="), "{of_brokers:?}");
}

#[test]
fn kafka_consumer_groups_lists_describes_resets_and_deletes() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("g");
    let group = unique("group");
    produce(&broker, &topic, &numbers(0..10));
    let args = [
        "-G",
        &group,
        "-q",
        "-c",
        "4",
        "-X",
        "auto.offset.reset=earliest",
        &topic,
    ];
    kcat(&server, &args, b"").success();

    let groups = |args: &[&str]| tool(&broker, "consumer-groups", args);
    assert!(groups(&["--list"]).success().contains(&group));
    let described = groups(&["--describe", "--group", &group]);
    let row = described
        .success()
        .lines()
        .find(|line| line.contains(&topic))
        .expect("a row of the topic")
        .to_owned();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        &row[..6],
        [group.as_str(), topic.as_str(), "0", "4", "10", "6"],
        "position, end, lag"
    );
    let state = groups(&["--describe", "--group", &group, "--state"]);
    assert!(state.success().contains("Empty"), "{state:?}");

    let reset = |how: &[&str]| {
        let mut all = vec![
            "--group",
            &group,
            "--topic",
            &topic,
            "--reset-offsets",
            "--execute",
        ];
        all.extend(how);
        let said = groups(&all);
        let row = said
            .success()
            .lines()
            .find(|line| line.contains(&topic))
            .expect("a row")
            .to_owned();
        row.split_whitespace()
            .last()
            .expect("a new offset")
            .to_owned()
    };
    assert_eq!(reset(&["--to-earliest"]), "0");
    assert_eq!(reset(&["--shift-by", "3"]), "3");
    assert_eq!(reset(&["--to-latest"]), "10");
    assert_eq!(reset(&["--to-datetime", "2020-01-01T00:00:00.000"]), "0");
    assert_eq!(reset(&["--to-offset", "7"]), "7");
    let args = ["-G", &group, "-q", "-c", "1", &topic];
    assert_eq!(kcat(&server, &args, b"").success(), "v7\n");

    groups(&["--delete-offsets", "--group", &group, "--topic", &topic]).success();
    groups(&["--delete", "--group", &group]).success();
    assert!(!groups(&["--list"]).success().contains(&group));
}

#[test]
fn kafka_get_offsets_and_kafka_delete_records_agree_on_the_log() {
    let broker = Broker::start();
    let topic = unique("o");
    produce(&broker, &topic, &numbers(0..20));
    let offset = |time: &str| {
        let said = tool(&broker, "get-offsets", &["--topic", &topic, "--time", time]);
        said.success().trim().to_owned()
    };
    assert_eq!(offset("-1"), format!("{topic}:0:20"));
    assert_eq!(offset("-2"), format!("{topic}:0:0"));
    assert_eq!(offset("1"), format!("{topic}:0:0"));
    let plan = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let json = format!(
        r#"{{"partitions": [{{"topic": "{topic}", "partition": 0, "offset": 12}}], "version": 1}}"#
    );
    std::fs::write(plan.path(), json).expect("the file can be written");
    let path = plan.path().to_str().expect("a path in UTF-8");
    let said = tool(&broker, "delete-records", &["--offset-json-file", path]);
    assert!(said.success().contains("low_watermark: 12"), "{said:?}");
    assert_eq!(offset("-2"), format!("{topic}:0:12"));
}

#[test]
fn kafka_log_dirs_and_kafka_broker_api_versions_describe_the_broker() {
    let broker = Broker::start();
    let topic = unique("d");
    produce(&broker, &topic, &numbers(0..50));
    let dirs = tool(&broker, "log-dirs", &["--describe", "--topic-list", &topic]);
    let json = dirs
        .success()
        .lines()
        .find(|line| line.starts_with('{'))
        .expect("a line of JSON");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let partition = &json["brokers"][0]["logDirs"][0]["partitions"][0];
    assert_eq!(partition["partition"], format!("{topic}-0"));
    assert!(
        partition["size"].as_u64().is_some_and(|size| size > 200),
        "{json}"
    );

    let versions = tool(&broker, "broker-api-versions", &[]);
    let versions = versions.success();
    assert!(versions.contains(&broker.bootstrap()), "{versions}");
    for api in [
        "Produce(0): ",
        "Fetch(1): ",
        "JoinGroup(11): ",
        "DescribeTopicPartitions(75): ",
    ] {
        let line = versions
            .lines()
            .find(|line| line.contains(api))
            .unwrap_or_else(|| panic!("{api} in {versions}"));
        assert!(line.contains("[usable: "), "{line}");
    }
}

#[test]
fn kafka_dump_log_reads_the_segment_files() {
    let mut broker = Broker::start();
    let topic = unique("dump");
    let server = broker.bootstrap();
    // Batches enough for several entries of the index, one per 4 KiB.
    for codec in ["none", "zstd"] {
        let mut args = vec!["-P", "-t", &topic, "-z", codec, "-K", ":"];
        args.extend(["-X", "batch.num.messages=100"]);
        kcat(&server, &args, numbers(0..2000).as_bytes()).success();
    }
    // What is still in memory or in the journal reaches its segment when the broker stops.
    broker.terminate();
    let segment = broker
        .partition_dir(&topic, 0)
        .join("00000000000000000000.log");
    let segment = segment.to_str().expect("a path in UTF-8");
    let dumped = kafka_tool(
        "dump-log",
        &["--deep-iteration", "--print-data-log", "--files", segment],
        b"",
    );
    let dumped = dumped.success();
    assert!(dumped.contains("Log starting offset: 0"), "{dumped}");
    assert!(!dumped.contains("isvalid: false"), "{dumped}");
    assert!(dumped.contains("compresscodec: zstd"), "{dumped}");
    assert!(dumped.contains("offset: 3999 "), "{dumped}");
    assert!(dumped.contains("key: k1999 payload: v1999"), "{dumped}");
    if broker.target() == Target::Ottla {
        for index in [".index", ".timeindex"] {
            let file = segment.replace(".log", index);
            let checked = kafka_tool("dump-log", &["--index-sanity-check", "--files", &file], b"");
            let checked = checked.success();
            assert!(checked.contains("passed sanity check"), "{checked}");
        }
    }
}

#[test]
fn the_verifiable_consumer_gets_each_record_of_the_verifiable_producer_once() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("verifiable");
    tool(
        &broker,
        "topics",
        &["--create", "--topic", &topic, "--partitions", "2"],
    )
    .success();
    let produced = kafka_tool(
        "verifiable-producer",
        &[
            "--bootstrap-server",
            &server,
            "--topic",
            &topic,
            "--max-messages",
            "1000",
            "--acks",
            "-1",
        ],
        b"",
    );
    let events = json_lines(produced.success());
    let acked = events
        .iter()
        .filter(|e| e["name"] == "producer_send_success")
        .count();
    assert_eq!(acked, 1000, "{}", produced.stderr);

    let group = unique("verifier");
    let consumed = run(
        Command::new(repository().join("scripts/kafka-tool.sh")).args([
            "verifiable-consumer",
            "--bootstrap-server",
            &server,
            "--topic",
            &topic,
            "--group-id",
            &group,
            "--max-messages",
            "1000",
            "--reset-policy",
            "earliest",
            "--verbose",
        ]),
        b"",
        Duration::from_secs(60),
    );
    let events = json_lines(&consumed.stdout);
    let mut values: Vec<u32> = events
        .iter()
        .filter(|e| e["name"] == "record_data")
        .map(|e| {
            e["value"]
                .as_str()
                .and_then(|v| v.parse().ok())
                .expect("a number")
        })
        .collect();
    values.sort_unstable();
    assert_eq!(values, (0..1000).collect::<Vec<_>>(), "{}", consumed.stderr);
    let committed: Vec<_> = events
        .iter()
        .filter(|e| e["name"] == "offsets_committed")
        .collect();
    assert!(
        !committed.is_empty() && committed.iter().all(|e| e["success"] == true),
        "{committed:?}"
    );
}

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[test]
fn kafka_configs_sets_dead_letters_of_groups_topics_and_brokers() {
    if Target::current() == Target::Kafka {
        return;
    }
    let mut broker = Broker::start();
    let (topic, group) = (unique("c"), unique("g"));
    produce(&broker, &topic, "a:b\n");
    let alter = |broker: &Broker, kind: &str, name: &str, change: [&str; 2]| {
        let entity = ["--entity-type", kind, "--entity-name", name, "--alter"];
        tool(broker, "configs", &[&entity[..], &change].concat())
    };
    let describe = |broker: &Broker, kind: &str, name: &str| {
        let entity = ["--entity-type", kind, "--entity-name", name, "--describe"];
        tool(broker, "configs", &entity).success().to_owned()
    };
    let levels = [
        (
            ("groups", group.as_str(), "DYNAMIC_GROUP_CONFIG", "enforce"),
            ("dlq.mode=on", "String must be one of: off, detect, enforce"),
        ),
        (
            ("topics", &topic, "DYNAMIC_TOPIC_CONFIG", "off"),
            ("dlq.max.attempts=0", "Value must be at least 1"),
        ),
        (
            ("brokers", "1", "DYNAMIC_BROKER_CONFIG", "enforce"),
            ("dlq.retry=1", "Settings of dead letters are: dlq."),
        ),
    ];
    for ((kind, name, source, mode), (bad, reason)) in levels {
        let set = format!("dlq.mode={mode},dlq.max.attempts=3");
        alter(&broker, kind, name, ["--add-config", &set]).success();
        let shown = describe(&broker, kind, name);
        for expected in [
            format!("dlq.mode={mode} sensitive=false synonyms={{{source}:dlq.mode={mode},"),
            format!("dlq.max.attempts=3 sensitive=false synonyms={{{source}:dlq.max.attempts=3,"),
            "DEFAULT_CONFIG:dlq.max.attempts=5}".to_owned(),
        ] {
            assert!(shown.contains(&expected), "{kind}: {shown}");
        }
        let said = alter(&broker, kind, name, ["--add-config", bad]).failure();
        assert!(said.contains("InvalidConfigurationException"), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    // A group's own settings last as long as nobody takes them away, the broker's end included.
    broker.kill();
    broker.restart();
    let all = ["--entity-type", "groups", "--describe"];
    let listed = tool(&broker, "configs", &all).success().to_owned();
    assert!(
        listed.contains(&format!("Dynamic configs for group {group} are:")),
        "{listed}"
    );
    assert!(listed.contains("dlq.mode=enforce"), "{listed}");
    let gone = ["--delete-config", "dlq.mode,dlq.max.attempts"];
    alter(&broker, "groups", &group, gone).success();
    let left = describe(&broker, "groups", &group);
    assert!(!left.contains("dlq."), "{left}");
}
