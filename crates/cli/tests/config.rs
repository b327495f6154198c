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
