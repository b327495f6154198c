//! Settings that cannot be: each is told with its name, its value, and what would be right.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Served, fails_to_start, refused, serve};

#[test]
fn a_bad_value_is_told_with_its_name_and_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // Setting, and what the message has beside name and value.
    let cases = [
        ("num.partitions=many", "number"),
        ("num.partitions=0", "at least 1"),
        ("num.partitions=-1", "at least 1"),
        ("num.partitions=99999999999999999999", "number"),
        ("log.cleanup.policy=shred", "delete"),
        ("auto.create.topics.enable=perhaps", "true"),
        ("ottla.durability=tape", "disk"),
        ("socket.request.max.bytes=-5", "at least"),
        ("log.retention.ms=0", "at least 1"),
        (
            "group.min.session.timeout.ms=99999999",
            "group.max.session.timeout.ms",
        ),
        ("advertised.listeners=nonsense", "NAME://host:port"),
        ("advertised.listeners=PLAINTEXT://h:99999", "port"),
        (
            "listener.security.protocol.map=PLAINTEXT",
            "LISTENER:PROTOCOL",
        ),
    ];
    for (setting, right) in cases {
        let (name, value) = setting.split_once('=').unwrap();
        let by_flag = refused(&data, &["--override", setting]);
        let file = dir.path().join("server.properties");
        fs::write(&file, format!("# a comment\n{setting}\n")).unwrap();
        let by_file = refused(&data, &["--config", file.to_str().unwrap()]);
        let variable = format!("KAFKA_{}", name.to_uppercase().replace('.', "_"));
        let by_environment = fails_to_start(serve(&data).env(&variable, value));
        let line = format!("{}:2: ", file.display());
        for (told, origin) in [
            (by_flag, "--override: "),
            (by_file, line.as_str()),
            (by_environment, variable.as_str()),
        ] {
            for part in [name, value, right, origin] {
                assert!(told.contains(part), "{setting} without {part:?}: {told}");
            }
        }
    }
    assert!(
        !data.exists(),
        "nothing is opened with settings that cannot be"
    );
}

#[test]
fn a_setting_that_is_not_known_is_warned_of_once_and_the_broker_starts() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["-o", "num.partitons=3", "-o", "some.plugin.class=x.Y"];
    let broker = Served::start_with(dir.path(), &args);
    broker.ok(&["topic", "create", "t"]);
    let (code, told) = broker.stop();
    assert_eq!(code, Some(0));
    for name in ["num.partitons", "some.plugin.class"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
        let line = told.lines().find(|line| line.contains(name)).unwrap();
        assert!(
            line.contains("WARN") && line.contains("unknown setting"),
            "{line}"
        );
    }
}

#[test]
fn two_data_directories_or_node_ids_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let told = refused(dir.path(), &["-o", "log.dirs=/a,/b"]);
    assert!(
        told.contains("log.dirs=/a,/b") && told.contains("name one"),
        "{told}"
    );
    let told = refused(dir.path(), &["-o", "node.id=1", "-o", "broker.id=2"]);
    assert!(
        told.contains("broker.id=2") && told.contains("node.id is 1"),
        "{told}"
    );
}

/// `ottla serve` on free ports, with its listeners left to the environment.
fn serve_in(data_dir: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(["serve", "--http-port", "0", "--data-dir"]);
    command.arg(data_dir).env("RUST_LOG", "info");
    command.envs(variables.iter().copied());
    command.stderr(std::process::Stdio::piped());
    command
}

#[test]
fn listeners_that_contradict_each_other_are_told_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    const LISTENERS: (&str, &str) = ("KAFKA_LISTENERS", "IN://127.0.0.1:0,OUT://127.0.0.1:0");
    const MAP: (&str, &str) = (
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
        "IN:PLAINTEXT,OUT:PLAINTEXT",
    );
    type Variables = &'static [(&'static str, &'static str)];
    // What is set, and what the message has.
    let cases: &[(Variables, &[&str])] = &[
        (
            &[("KAFKA_LISTENERS", "IN://:9092,OUT://:9092"), MAP],
            &["KAFKA_LISTENERS: ", "IN and OUT have the same port 9092"],
        ),
        (
            &[
                LISTENERS,
                MAP,
                ("KAFKA_ADVERTISED_LISTENERS", "EXTERNAL://h:1"),
            ],
            &[
                "KAFKA_ADVERTISED_LISTENERS: ",
                "no listener EXTERNAL",
                "IN, OUT",
            ],
        ),
        (
            &[LISTENERS],
            &[
                "no protocol for the listener IN",
                "listener.security.protocol.map=IN:PLAINTEXT",
            ],
        ),
        (
            &[
                LISTENERS,
                MAP,
                ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
            ],
            &["KAFKA_INTER_BROKER_LISTENER_NAME: ", "=BROKER", "IN, OUT"],
        ),
        (
            &[("KAFKA_CFG_LISTENERS", "SASL_SSL://:9092")],
            &[
                "KAFKA_CFG_LISTENERS: ",
                "only PLAINTEXT",
                "SASL_SSL:PLAINTEXT",
            ],
        ),
        (
            &[
                ("KAFKA_ADVERTISED_LISTENERS", "OUT://h:1"),
                ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "OUT:SSL"),
            ],
            &["KAFKA_ADVERTISED_LISTENERS: ", "OUT asks for SSL"],
        ),
        (
            &[("KAFKA_PORT", "9092x")],
            &["KAFKA_PORT: port=9092x", "number"],
        ),
        // More than one thing at a time.
        (
            &[
                ("KAFKA_NUM_PARTITIONS", "x"),
                ("KAFKA_NODE_ID", "1"),
                ("KAFKA_BROKER_ID", "2"),
            ],
            &[
                "KAFKA_NUM_PARTITIONS: num.partitions=x",
                "KAFKA_BROKER_ID: broker.id=2",
            ],
        ),
    ];
    for (variables, parts) in cases {
        let told = fails_to_start(&mut serve_in(&data, variables));
        for part in *parts {
            assert!(
                told.contains(part),
                "{variables:?} without {part:?}: {told}"
            );
        }
    }
    assert!(!data.exists());
}

#[test]
fn variables_of_kafkas_images_start_a_broker_that_says_once_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    fs::write(
        &file,
        "num.partitions=2\ndefault.replication.factor=3\nsome.plugin=x\n",
    )
    .unwrap();
    let mut command = serve_in(
        &dir.path().join("data"),
        &[
            ("CLUSTER_ID", "test-cluster"),
            ("KAFKA_NODE_ID", "7"),
            ("KAFKA_PROCESS_ROLES", "broker,controller"),
            (
                "KAFKA_LISTENERS",
                "PLAINTEXT://127.0.0.1:0,BROKER://127.0.0.1:0,CONTROLLER://127.0.0.1:0,",
            ),
            (
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
            (
                "KAFKA_ADVERTISED_LISTENERS",
                "PLAINTEXT://127.0.0.1:0,BROKER://kafka:9093",
            ),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "7@localhost:9094"),
            ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
            ("KAFKA_NUM_PARTITIONS", "3"),
            ("KAFKA_CFG_NUM_PARTITIONS", "4"),
            ("KAFKA_HEAP_OPTS", "-Xmx512m"),
            ("KAFKA_BOOTSTRAP_SERVERS", "elsewhere:9092"),
            ("KAFKA_AUTO_CREATE_TOPIC_ENABLE", "true"),
            ("ALLOW_PLAINTEXT_LISTENER", "yes"),
        ],
    );
    command.arg("--config").arg(&file);
    let broker = Served::of(command);
    broker.ok(&["topic", "create", "orders"]);
    let described = broker.ok(&["topic", "describe", "orders", "--json"]);
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["partitions"].as_array().unwrap().len(), 4);
    // File and environment alike are what the broker was started with.
    let described = broker.ok(&[
        "kafka",
        "configs",
        "--bootstrap-server",
        &broker.address,
        "--entity-type",
        "brokers",
        "--entity-name",
        "7",
        "--describe",
        "--all",
    ]);
    for sources in [
        "synonyms={STATIC_BROKER_CONFIG:num.partitions=4, DEFAULT_CONFIG:num.partitions=1}",
        "synonyms={STATIC_BROKER_CONFIG:default.replication.factor=3, DEFAULT_CONFIG:default.replication.factor=1}",
    ] {
        assert!(
            described.contains(sources),
            "without {sources}: {described}"
        );
    }
    let (code, told) = broker.stop();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("cluster test-cluster"), "{told}");
    let unknown: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("unknown setting"))
        .collect();
    assert_eq!(unknown.len(), 2, "{told}");
    for parts in [
        [
            "KAFKA_AUTO_CREATE_TOPIC_ENABLE: unknown setting auto.create.topic.enable",
            "did you mean KAFKA_AUTO_CREATE_TOPICS_ENABLE?",
        ],
        ["server.properties:3: ", "some.plugin"],
    ] {
        let is_it = |line: &&&str| parts.iter().all(|part| line.contains(part));
        assert_eq!(unknown.iter().filter(is_it).count(), 1, "{told}");
    }
}

#[test]
fn a_directory_keeps_its_cluster_id_and_another_one_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let start = |id| {
        let mut command = serve(dir.path());
        command.env("CLUSTER_ID", id);
        let (code, told) = Served::of(command).stop();
        assert_eq!(code, Some(0));
        told
    };
    let told = start("my cluster=1");
    assert!(told.contains("(cluster my cluster=1)"), "{told}");
    assert!(!told.contains("WARN"), "{told}");
    let told = start("another");
    assert!(told.contains("(cluster my cluster=1)"), "{told}");
    assert_eq!(told.matches("cluster.id=another").count(), 1, "{told}");
    let told = refused(dir.path(), &["-o", "cluster.id=a\nb"]);
    assert!(
        told.contains("cluster.id") && told.contains("at most 255"),
        "{told}"
    );
}

#[test]
fn a_malformed_file_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    fs::write(&file, "a=1\n\n=x\n").unwrap();
    let told = refused(dir.path(), &["--config", file.to_str().unwrap()]);
    assert!(
        told.contains("server.properties") && told.contains("line 3"),
        "{told}"
    );
}

#[test]
fn an_address_that_nobody_can_connect_to_is_warned_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("KAFKA_LISTENERS", "PLAINTEXT://127.0.0.1:0"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://0.0.0.0:0"),
    ];
    let (code, told) = Served::of(serve_in(dir.path(), &variables)).stop();
    assert_eq!(code, Some(0));
    let warning = "KAFKA_ADVERTISED_LISTENERS: no client can connect to PLAINTEXT://0.0.0.0:0";
    assert_eq!(told.matches(warning).count(), 1, "{told}");
    assert!(
        told.contains("clients are told to connect to localhost:"),
        "{told}"
    );
}
