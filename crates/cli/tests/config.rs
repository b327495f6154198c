//! `ottla config`: what settings come to, without a broker.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Served, text};

/// Runs `ottla config` in an environment of its own: the exit code, standard output, standard error.
fn config(variables: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .arg("config")
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert!(!told.contains("panic"), "{told}");
    (output.status.code(), text(&output.stdout), told)
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const COMPOSE: &str = r#"# two services
services:
  zookeeper:
    image: confluentinc/cp-zookeeper:7.5.0

  # the broker
  kafka:
    image: "confluentinc/cp-kafka:${TAG:-7.5.0}"  # pinned
    depends_on: [zookeeper]
    ports:
      - "19092:9092"
    environment:
      KAFKA_BROKER_ID: 1
      KAFKA_ZOOKEEPER_CONNECT: zookeeper:2181
      KAFKA_ADVERTISED_LISTENERS: INTERNAL://kafka:29092,HOST://localhost:19092
      KAFKA_LISTENERS: INTERNAL://:29092,HOST://:9092
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: INTERNAL:PLAINTEXT,HOST:PLAINTEXT
      KAFKA_INTER_BROKER_LISTENER_NAME: INTERNAL
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: ${FACTOR}
      KAFKA_HEAP_OPTS: -Xmx512m
      KAFKA_NUM_PARTITON: 3

  topics:
    image: confluentinc/cp-kafka:7.5.0
    command: kafka-topics --bootstrap-server kafka:29092 --create --topic t
  app:
    image: our/app
"#;

#[test]
fn a_compose_file_is_told_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "docker-compose.yml", COMPOSE);
    let (code, out, _) = config(&[("FACTOR", "1")], &["from-compose", &path, "--json"]);
    assert_eq!(code, Some(0));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["starts"], json!(true));
    assert_eq!(told["removable"], json!(["zookeeper"]));
    assert_eq!(told["tools"], json!(["topics"]));
    assert_eq!(told["others"], json!(["app"]));
    let [kafka] = told["services"].as_array().unwrap().as_slice() else {
        panic!("{told}");
    };
    assert_eq!(kafka["service"], json!("kafka"));
    assert_eq!(kafka["image"], json!("confluentinc/cp-kafka:7.5.0"));
    assert_eq!(kafka["becomes"], json!("ottla:latest"));
    assert_eq!(
        kafka["listeners"],
        json!([
            {"name": "INTERNAL", "listens": ":29092", "advertised": "kafka:29092"},
            {"name": "HOST", "listens": ":9092", "advertised": "localhost:19092"},
        ])
    );
    assert_eq!(
        kafka["settings"][1],
        json!({"name": "broker.id", "value": "1", "variable": "KAFKA_BROKER_ID", "source": "KAFKA_BROKER_ID", "line": 13})
    );
    assert_eq!(
        kafka["unknown"],
        json!([{"variable": "KAFKA_NUM_PARTITON", "name": "num.partiton", "line": 21, "meant": "KAFKA_NUM_PARTITIONS"}])
    );
    let ignored: Vec<&str> = kafka["ignored"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ignored| ignored["variable"].as_str().unwrap())
        .collect();
    assert!(ignored.contains(&"KAFKA_HEAP_OPTS") && ignored.contains(&"KAFKA_ZOOKEEPER_CONNECT"));
    assert_eq!(kafka["problems"], json!([]));
    assert_eq!(kafka["warnings"], json!([]));
}

#[test]
fn a_compose_file_is_given_back_with_the_image_exchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "docker-compose.yml", COMPOSE);
    let args = [
        "from-compose",
        &path,
        "--format",
        "compose",
        "--image",
        "registry.example/ottla:1",
    ];
    let (code, out, _) = config(&[("FACTOR", "1")], &args);
    assert_eq!(code, Some(0));
    let block = &COMPOSE[COMPOSE.find("  kafka:\n").unwrap()..COMPOSE.find("\n  topics:").unwrap()];
    let exchanged = block.replace(
        "\"confluentinc/cp-kafka:${TAG:-7.5.0}\"",
        "registry.example/ottla:1",
    );
    assert_eq!(out, format!("services:\n{exchanged}"));
}

#[test]
fn the_variables_that_have_an_effect_start_the_broker_that_was_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let compose = "services: {k: {image: apache/kafka, environment: [KAFKA_NUM_PARTITIONS=5, KAFKA_HEAP_OPTS=x, \
                   'KAFKA_LISTENERS=PLAINTEXT://127.0.0.1:0', CLUSTER_ID=told]}}";
    let path = file(dir.path(), "compose.yml", compose);
    let (code, out, _) = config(&[], &["from-compose", &path, "--format", "env"]);
    assert_eq!(code, Some(0));
    let variables: Vec<(&str, &str)> = out
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    assert_eq!(
        variables,
        [
            ("CLUSTER_ID", "told"),
            ("KAFKA_LISTENERS", "PLAINTEXT://127.0.0.1:0"),
            ("KAFKA_NUM_PARTITIONS", "5"),
        ]
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command
        .args(["serve", "--data-dir"])
        .arg(dir.path().join("data"));
    command.envs(variables).stderr(std::process::Stdio::piped());
    let broker = Served::of(command);
    broker.ok(&["topic", "create", "t"]);
    let described: Value =
        serde_json::from_str(&broker.ok(&["topic", "describe", "t", "--json"])).unwrap();
    assert_eq!(described["partitions"].as_array().unwrap().len(), 5);
    let (code, told) = broker.stop();
    assert_eq!(code, Some(0));
    assert!(told.contains("cluster told"), "{told}");
}

#[test]
fn what_would_be_refused_is_told_and_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let compose = "services:\n  one:\n    image: bitnami/kafka:3.7\n    environment:\n      KAFKA_CFG_LISTENERS: SASL_SSL://:9092\n\
                   \x20 two:\n    build: .\n    environment:\n      - KAFKA_BROKER_ID=two\n";
    let path = file(dir.path(), "compose.yml", compose);
    let (code, out, _) = config(&[], &["from-compose", &path]);
    assert_eq!(code, Some(1));
    for part in [
        "one: bitnami/kafka:3.7 -> ottla:latest would not start",
        "error: KAFKA_CFG_LISTENERS: listeners=SASL_SSL://:9092: listener SASL_SSL asks for SASL_SSL",
        "error: KAFKA_BROKER_ID: broker.id=two: Not a number",
        "there are 2 brokers",
    ] {
        assert!(out.contains(part), "without {part:?}:\n{out}");
    }
    let (code, out, _) = config(&[], &["from-compose", &path, "--service", "two", "--json"]);
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        told["services"][0]["problems"][0]["variable"],
        json!("KAFKA_BROKER_ID")
    );
    assert_eq!(told["warnings"], json!([]));
    for (args, part) in [
        (
            &["from-compose", &path, "--format", "env"][..],
            "choose one with --service",
        ),
        (
            &["from-compose", &path, "--service", "three"],
            "no service three, but: one, two",
        ),
        (&["from-compose", "no-such-file.yml"], "no-such-file.yml"),
    ] {
        let (code, _, told) = config(&[], args);
        assert_eq!(code, Some(1));
        assert!(told.contains(part), "{told}");
    }
    let path = file(
        dir.path(),
        "none.yml",
        "services:\n  web:\n    image: nginx\n",
    );
    let (code, _, told) = config(&[], &["from-compose", &path]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("no service of") && told.contains("KAFKA_LISTENERS"),
        "{told}"
    );
    let path = file(dir.path(), "broken.yml", "services:\n  k:\n   image: [\n");
    let (code, _, told) = config(&[], &["from-compose", &path]);
    assert_eq!(code, Some(1));
    assert!(told.contains("broken.yml:"), "{told}");
}

#[test]
fn each_value_is_explained_with_where_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "num.partitions=2\nbroker.id=4\nauto.create.topics.enable = FALSE\nnum.partitons=1\n";
    let path = file(dir.path(), "server.properties", text);
    let variables = [
        ("KAFKA_NUM_PARTITIONS", "3"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:9093"),
        ("KAFKA_SSL_KEY_PASSWORD", "secret"),
    ];
    let args = [
        "explain",
        "--config",
        &path,
        "-o",
        "num.partitions=5",
        "--durability",
        "os",
    ];
    let (code, out, told) = config(&variables, &args);
    assert_eq!(code, Some(0), "{told}");
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let at = |line: usize| format!("{path}:{line}");
    let note = format!("goes before KAFKA_NUM_PARTITIONS; goes before {path}:1");
    assert_eq!(
        rows,
        [
            vec!["SETTING", "VALUE", "SOURCE", "NOTE"],
            vec![
                "advertised.listeners",
                "PLAINTEXT://kafka:9093",
                "KAFKA_ADVERTISED_LISTENERS"
            ],
            vec!["auto.create.topics.enable", "false", &at(3)],
            vec!["broker.id", "4", &at(2)],
            vec![
                "listeners",
                "PLAINTEXT://:9093",
                "from advertised.listeners"
            ],
            vec!["node.id", "4", "from broker.id"],
            vec!["num.partitions", "5", "--override", &note],
            vec!["ottla.durability", "os", "--durability"],
            vec![
                "ssl.key.password",
                "[hidden]",
                "KAFKA_SSL_KEY_PASSWORD",
                "no effect in Ottla"
            ],
        ]
    );
    assert!(
        told.contains(&format!("{path}:4: unknown setting num.partitons")),
        "{told}"
    );
    let (_, out, _) = config(
        &variables,
        &[
            "explain",
            "--config",
            &path,
            "--json",
            "num.partitions",
            "log.dirs",
        ],
    );
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        told["settings"],
        json!([
            {
                "name": "num.partitions", "value": "3", "has_effect": true,
                "source": {"kind": "environment", "variable": "KAFKA_NUM_PARTITIONS"},
                "overridden": [{"value": "2", "source": {"kind": "file", "file": path, "line": 1}}],
            },
            {"name": "log.dirs", "value": "./data", "has_effect": true, "source": {"kind": "default"}, "overridden": []},
        ])
    );
    assert_eq!(told["unknown"][0]["meant"], json!("num.partitions"));
    let (_, out, _) = config(
        &[
            ("KAFKA_SSL_KEY_PASSWORD", "secret"),
            ("KAFKA_CFG_SSL_KEY_PASSWORD", "secret2"),
        ],
        &["explain", "--json"],
    );
    assert!(!out.contains("secret"), "{out}");
}

#[test]
fn all_settings_are_explained_and_what_cannot_be_is_a_failure() {
    let (code, out, _) = config(&[], &["explain", "--all", "--json"]);
    assert_eq!(code, Some(0));
    let told: Value = serde_json::from_str(&out).unwrap();
    let all = told["settings"].as_array().unwrap();
    assert!(all.len() > 200, "{}", all.len());
    assert!(
        all.iter()
            .all(|setting| setting["source"] == json!({"kind": "default"}))
    );
    let (code, out, told) = config(&[("KAFKA_NUM_PARTITIONS", "0")], &["explain"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("KAFKA_NUM_PARTITIONS"), "{out}");
    assert!(
        told.contains("error: KAFKA_NUM_PARTITIONS: num.partitions=0: Value must be at least 1"),
        "{told}"
    );
    let (code, _, told) = config(&[], &["explain", "num.partitons"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("no setting num.partitons; did you mean num.partitions?"),
        "{told}"
    );
}

#[test]
fn a_broker_starts_with_what_is_checked_and_not_with_what_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (text, level, parts) in [
        (
            "listeners=PLAINTEXT://127.0.0.1:0\nnum.io.threads=9\n",
            None,
            &[":2: note: num.io.threads"][..],
        ),
        (
            "listeners=PLAINTEXT://127.0.0.1:0\nnum.partitons=9\n",
            None,
            &[":2: warning: ", "num.partitions?"],
        ),
        (
            "listeners=OUT://127.0.0.1:0\n",
            Some(1),
            &["error: ", "no protocol for the listener OUT"],
        ),
        (
            "num.partitions=0\n",
            Some(1),
            &[":1: error: num.partitions=0"],
        ),
        ("\\u00zz=1\n", Some(1), &[":1: error: "]),
    ] {
        let path = file(dir.path(), "server.properties", text);
        let (code, out, _) = config(&[], &["check", &path]);
        assert_eq!(code, Some(level.unwrap_or(0)), "{out}");
        for part in parts {
            assert!(out.contains(part), "without {part:?}: {out}");
        }
        let (code, out, _) = config(&[], &["check", &path, "--json"]);
        assert_eq!(code, Some(level.unwrap_or(0)));
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(told["ok"], json!(level.is_none()));
        assert_eq!(told["findings"].as_array().unwrap().len(), 1, "{told}");
        let mut serve = Command::new(env!("CARGO_BIN_EXE_ottla"));
        serve.args(["serve", "--config", &path, "--http-port", "0", "--data-dir"]);
        serve
            .arg(dir.path().join("data"))
            .stderr(std::process::Stdio::piped());
        match level {
            None => assert_eq!(Served::of(serve).stop().0, Some(0)),
            Some(_) => drop(support::fails_to_start(&mut serve)),
        }
    }
    let (code, _, told) = config(&[], &["check", "no-such-file"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("no-such-file"), "{told}");
}
