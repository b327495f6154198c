//! Client programs in other languages. A program gets a bootstrap address, runs its checks one after another, and prints a line
//! of JSON for each: `{"check": name, "ok": bool, "detail": text}`. In the middle it may ask for `{"control": "kill"}` or
//! `{"control": "terminate"}`: the broker is ended in that way and started again, and the program gets a line on its input.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::{Broker, cache, installed, repository};

/// The longest that a program may take for all its checks.
const TIMEOUT: Duration = Duration::from_secs(400);

/// A client library that a program of tests/<language> drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Client {
    ConfluentKafka,
    Aiokafka,
    Java,
    FranzGo,
    Sarama,
    Kafkajs,
}

struct Report {
    checks: BTreeMap<String, Result<(), String>>,
    /// What else there is to know when a check is missing: exit status, the end of standard error.
    ending: String,
}

/// Panics unless the client's program ran this check and it passed. The program runs once for all checks.
#[track_caller]
pub fn check(client: Client, name: &str) {
    let report = report(client);
    match report.checks.get(name) {
        Some(Ok(())) => {}
        Some(Err(detail)) => panic!("{client:?}: {name}: {detail}"),
        None => panic!("{client:?} did not get to {name}: {}", report.ending),
    }
}

/// The names of the checks that the client's program ran.
pub fn checks_of(client: Client) -> Vec<String> {
    report(client).checks.keys().cloned().collect()
}

fn report(client: Client) -> &'static Report {
    static REPORTS: [OnceLock<Report>; 6] = [const { OnceLock::new() }; 6];
    REPORTS[client as usize].get_or_init(|| run(client))
}

/// The program that runs a client's checks.
pub fn program(client: Client) -> Command {
    match client {
        Client::ConfluentKafka => python("confluent_driver.py"),
        Client::Aiokafka => python("aiokafka_driver.py"),
        Client::Java => java("ottla.Driver"),
        Client::FranzGo => Command::new(installed("go/franz", "go")),
        Client::Sarama => Command::new(installed("go/sarama", "go")),
        Client::Kafkajs => node("kafkajs_driver.js"),
    }
}

/// The program that consumes and dies on some records. Panics for clients that have none.
pub fn worker(client: Client) -> Command {
    match client {
        Client::ConfluentKafka => python("dead_letters_worker.py"),
        Client::Java => java("ottla.DeadLettersWorker"),
        Client::FranzGo => Command::new(installed("go/franz-worker", "go")),
        Client::Kafkajs => node("dead_letters_worker.js"),
        Client::Aiokafka | Client::Sarama => panic!("{client:?} has no such program"),
    }
}

/// A script of tests/python, run by the Python that has the clients.
pub fn python(script: &str) -> Command {
    let mut command = Command::new(installed("python/bin/python", "python"));
    command.arg(repository().join("tests/python").join(script));
    command
}

/// A class of tests/java.
pub(super) fn java(class: &str) -> Command {
    let jar = installed("java/driver.jar", "java");
    let libs = installed("java/libs", "java").join("*");
    let mut command = Command::new("java");
    command.args([
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx256m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
    ]);
    command.arg(format!("{}:{}", jar.display(), libs.display()));
    command.arg(class);
    command
}

fn node(script: &str) -> Command {
    let modules = installed("node/node_modules", "node");
    let mut command = Command::new("node");
    command
        .env("NODE_PATH", modules)
        .arg(repository().join("tests/node").join(script));
    command
}

fn run(client: Client) -> Report {
    let mut broker = Broker::start();
    let errors = cache().join(format!("driver-{client:?}.log"));
    let mut child = program(client)
        .arg(broker.bootstrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).expect("the cache directory can be written"))
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{client:?} cannot be started ({error}): run ./scripts/setup-test-clients.sh")
        });
    let mut stdin = child.stdin.take().expect("stdin was piped");
    let stdout = child.stdout.take().expect("stdout was piped");
    let pid = child.id().to_string();
    let (finished, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let late = watch.recv_timeout(TIMEOUT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
        late
    });

    let mut checks = BTreeMap::new();
    let mut noise = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("a driver prints UTF-8");
        match serde_json::from_str::<Value>(&line) {
            Ok(said) if said["check"].is_string() => {
                let name = said["check"].as_str().expect("just checked").to_owned();
                let outcome = match said["ok"] {
                    Value::Bool(true) => Ok(()),
                    _ => Err(said["detail"].as_str().unwrap_or("failed").to_owned()),
                };
                checks.insert(name, outcome);
            }
            Ok(said) if said["control"].is_string() => {
                match said["control"].as_str() {
                    Some("kill") => broker.kill(),
                    Some("terminate") => {
                        broker.terminate();
                    }
                    other => panic!("{client:?} asks for {other:?}"),
                }
                broker.restart();
                stdin.write_all(b"restarted\n").expect("the driver reads");
            }
            _ => noise.push(line),
        }
    }
    let status = child.wait().expect("an own child can be awaited");
    drop(finished);
    let late = watchdog.join().expect("the watchdog does not panic");
    let said = std::fs::read_to_string(&errors).unwrap_or_default();
    let tail: Vec<&str> = said.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    let timed_out = if late { ", after its time was up" } else { "" };
    Report {
        checks,
        ending: format!(
            "it ended with {status}{timed_out}; it said:\n{}\n{}\n(all of it: {})",
            noise.join("\n"),
            tail.join("\n"),
            errors.display()
        ),
    }
}
