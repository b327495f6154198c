//! `ottla wait`: what holds, what does not, and what is waited through.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use support::{Served, ottla, text};

/// A `wait` that goes on while the test does something else.
fn waiting(address: &str, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args([
            "wait",
            "--bootstrap-server",
            address,
            "--timeout",
            "60s",
            "--json",
        ])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn held(waiting: Child) -> Value {
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One look that does not hold: what is said of it.
fn does_not_hold(broker: &Served, condition: &str) -> String {
    let output = broker.run(&["wait", "--for", condition, "--timeout", "0s"]);
    assert_eq!(output.status.code(), Some(1), "{condition}");
    let told = text(&output.stderr);
    assert!(told.contains(&format!("  {condition}: ")), "{told}");
    told
}

fn holds(broker: &Served, condition: &str) {
    let output = broker.run(&["wait", "--for", condition, "--timeout", "60s"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        (String::new(), String::new())
    );
}

fn produce(broker: &Served, topic: &str, lines: &str) {
    let sent: Output = broker.run_with_input(&["produce", topic], lines);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
}

#[test]
fn a_broker_that_is_not_there_yet_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let early = waiting(
        &address,
        &[
            "--for",
            "ready",
            "--for",
            "http",
            "--for",
            "topic=orders:partitions=3",
        ],
    );
    let listeners = format!("listeners=PLAINTEXT://{address}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command
        .args([
            "serve",
            "--http-port",
            "0",
            "--topic",
            "orders:3",
            "-o",
            &listeners,
            "--data-dir",
        ])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let _broker = Served::of(command);
    let told = held(early);
    assert_eq!(told["holds"], true);
    let conditions = told["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 3);
    assert_eq!(conditions[2]["condition"], "topic=orders:partitions=3");
    assert_eq!(conditions[2]["state"], "3 partitions");
}

#[test]
fn a_topic_is_waited_for_until_somebody_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    assert!(does_not_hold(&broker, "topic=orders").contains("there is no such topic"));
    assert_eq!(broker.ok(&["topic", "list"]), "", "looking makes no topic");
    let early = waiting(&broker.address, &["--for", "topic=orders"]);
    broker.ok(&["topic", "create", "orders", "-p", "2"]);
    held(early);
    holds(&broker, "topic=orders:partitions=2");
    assert!(does_not_hold(&broker, "topic=orders:partitions=3").contains("2 partitions"));
}

#[test]
fn a_group_is_waited_for_until_it_has_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "orders", "-p", "2"]);
    produce(&broker, "orders", "1\n2\n3\n");
    assert!(does_not_hold(&broker, "group=billing").contains("there is no such group"));
    assert!(does_not_hold(&broker, "group=billing:lag=0").contains("there is no such group"));
    let early = waiting(
        &broker.address,
        &["--for", "topic=orders", "--for", "group=billing:lag=0"],
    );
    let consume = ["consume", "orders", "--group", "billing", "-o", "beginning"];
    broker.ok(&[&consume[..], &["-c", "2"]].concat());
    assert!(does_not_hold(&broker, "group=billing:lag=0").contains("lag 1"));
    holds(&broker, "group=billing:lag=1");
    broker.ok(&[&consume[..], &["-e"]].concat());
    let told = held(early);
    assert!(
        told["conditions"][1]["state"]
            .as_str()
            .unwrap()
            .ends_with("lag 0"),
        "{told}"
    );
    produce(&broker, "orders", "4\n");
    assert!(does_not_hold(&broker, "group=billing:lag=0").contains("lag 1"));
    // A topic that is gone holds nobody up; an offset that is left is not enough to have caught up.
    broker.ok(&["topic", "delete", "orders"]);
    does_not_hold(&broker, "group=billing:lag=0");
}

#[test]
fn members_are_waited_for_as_they_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "orders"]);
    let consumer = || {
        Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args([
                "consume",
                "orders",
                "--group",
                "billing",
                "-b",
                &broker.address,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut consumers = [consumer(), consumer()];
    holds(&broker, "group=billing:members=2:state=stable");
    assert!(does_not_hold(&broker, "group=billing:members=3").contains("2 members"));
    for consumer in &mut consumers {
        let pid = consumer.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        consumer.wait().unwrap();
    }
    holds(&broker, "group=billing:state=Empty:members=0");
}

#[test]
fn dead_letters_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start_with(dir.path(), &["-o", "dlq.mode=enforce"]);
    broker.ok(&["topic", "create", "orders"]);
    produce(&broker, "orders", "good\nbad\n");
    holds(&broker, "dlq=orders");
    broker.ok(&[
        "consume",
        "orders",
        "--group",
        "g",
        "-o",
        "beginning",
        "-c",
        "1",
    ]);
    let early = waiting(&broker.address, &["--for", "dlq=orders:records=1"]);
    broker.ok(&[
        "dlq",
        "nack",
        "g",
        "orders",
        "0",
        "1",
        "--reason",
        "it is bad",
        "--reject",
    ]);
    held(early);
    assert!(does_not_hold(&broker, "dlq=orders:records=0").contains("1 dead letters wait"));
}

#[test]
fn what_was_still_missing_is_told_when_the_time_is_over() {
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (address, words) in [
        (silent.local_addr().unwrap(), "there was no answer"),
        (free, "refused"),
    ] {
        let address = address.to_string();
        let args = [
            "wait",
            "--timeout",
            "100ms",
            "--for",
            "ready",
            "-b",
            &address,
        ];
        let output = ottla(&args);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains("  ready: ") && told.contains(words), "{told}");
        assert_eq!(text(&output.stdout), "");
        let output = ottla(&[&args[..], &["--quiet", "--json"]].concat());
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(1), String::new())
        );
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["holds"], false);
        assert_eq!(told["conditions"][0]["holds"], false);
    }
}

#[test]
fn what_cannot_be_waited_for_is_an_error_of_usage() {
    for args in [
        ["--for", "redy"],
        ["--timeout", "soon"],
        ["--timeout", "-1s"],
        ["--for", "group=g:lag=low"],
    ] {
        let output = ottla(&[&["wait"][..], &args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).contains(args[1]),
            "{}",
            text(&output.stderr)
        );
    }
}
