//! Workers of Kafka Connect as processes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, free_port};
use super::rest::{self, Answer};
use super::{installed, try_await};

/// A worker on a busy machine loads its classes for a while.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const TIMEOUT: Duration = Duration::from_secs(90);

/// A program of Connect's, by its class; it says what goes on to its standard error.
pub fn program(class: &str) -> Command {
    let mut java = Command::new("java");
    java.args([
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx256m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        "-cp",
    ]);
    java.arg(installed("connect/libs", "connect").join("*"));
    java.arg(class);
    java
}

/// The warnings and errors in what a program said, with # for each number: those are times, ports and counts.
pub fn complaints(log: &str) -> BTreeSet<String> {
    log.lines()
        .filter(|line| line.contains("] WARN ") || line.contains("] ERROR "))
        .map(without_numbers)
        .collect()
}

fn without_numbers(text: &str) -> String {
    let mut short = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' if short.ends_with('#') => {}
            '0'..='9' => short.push('#'),
            _ => short.push(letter),
        }
    }
    short
}

/// A worker of a distributed cluster (`ConnectDistributed`), with a REST port of its own that it keeps over restarts.
pub struct Worker {
    port: u16,
    dir: TempDir,
    running: Option<Process>,
}

impl Worker {
    /// Starts a worker of the cluster `group`, whose internal topics begin with that name, and does not wait for it. Settings
    /// are `name=value` and go before the worker's own.
    pub fn launch(bootstrap: &str, group: &str, settings: &[&str]) -> Worker {
        let dir = tempfile::Builder::new()
            .prefix("ottla-connect-")
            .tempdir()
            .expect("a temporary directory can be made");
        let port = free_port();
        let mut properties = format!(
            "bootstrap.servers={bootstrap}\n\
             group.id={group}\n\
             config.storage.topic={group}-configs\n\
             offset.storage.topic={group}-offsets\n\
             status.storage.topic={group}-status\n\
             config.storage.replication.factor=1\n\
             offset.storage.replication.factor=1\n\
             offset.storage.partitions=5\n\
             status.storage.replication.factor=1\n\
             status.storage.partitions=2\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.flush.interval.ms=200\n\
             session.timeout.ms=6000\n\
             heartbeat.interval.ms=500\n\
             scheduled.rebalance.max.delay.ms=0\n\
             reconnect.backoff.max.ms=200\n\
             plugin.discovery=service_load\n\
             listeners=http://127.0.0.1:{port}\n\
             rest.advertised.host.name=127.0.0.1\n"
        );
        for setting in settings {
            writeln!(properties, "{setting}").expect("a string can be written");
        }
        fs::write(dir.path().join("worker.properties"), properties)
            .expect("the temporary directory can be written");
        let mut worker = Worker {
            port,
            dir,
            running: None,
        };
        worker.restart();
        worker
    }

    /// Waits until it takes part in its cluster. Panics when it ends before.
    pub fn await_ready(&mut self) {
        let port = self.port;
        let process = self.running.as_mut().expect("the worker is running");
        let ready = try_await(START_TIMEOUT, || {
            let answer = rest::ask(port, "GET", "/connectors", None);
            match process.ended() {
                Some(status) => Ok(Err(status)),
                None if matches!(&answer, Ok(answer) if answer.status == 200) => Ok(Ok(())),
                None => Err(format!("{answer:?}")),
            }
        });
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(status)) => panic!("the worker ended, {status}:\n{}", self.said_last()),
            Err(last) => panic!("it does not come up: {last}\n{}", self.said_last()),
        }
    }

    /// Waits until it ends by itself.
    pub fn await_end(&mut self) -> ExitStatus {
        let ended = self.process().wait(START_TIMEOUT);
        ended.unwrap_or_else(|| panic!("the worker goes on:\n{}", self.said_last()))
    }

    /// The address by which the cluster knows it, as in a connector's status.
    pub fn id(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL, which ends a worker at rest as well as any. After SIGTERM it may wait for ever: Connect's shutdown hook and
    /// that of Jetty (`RestServer`, `setStopAtShutdown`) take down one server at the same time.
    pub fn kill(&mut self) {
        self.running.take().expect("the worker is running").kill();
    }

    /// Nothing of it goes on until [`Worker::thaw`].
    pub fn freeze(&mut self) {
        self.process().signal("STOP");
    }

    /// It goes on where it was.
    pub fn thaw(&mut self) {
        self.process().signal("CONT");
    }

    /// Starts it again, and does not wait for it.
    pub fn restart(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the temporary directory can be written");
        self.running = Some(Process::spawn(
            program("org.apache.kafka.connect.cli.ConnectDistributed")
                .arg(self.dir.path().join("worker.properties"))
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file handle can be duplicated"))
                .stderr(log),
        ));
    }

    /// Asks its REST interface. While a cluster rebalances, or its leader is not known, it answers 409 or 500: asked again, it
    /// does what it was asked for.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.await_that(&format!("{method} {path}"), || {
            match rest::ask(self.port, method, path, body) {
                Ok(answer) if !matches!(answer.status, 409 | 500 | 503) => Ok(answer),
                other => Err(format!("{other:?}")),
            }
        })
    }

    /// Creates a connector, or gives it another configuration.
    pub fn put_connector(&self, name: &str, config: &Value) {
        let path = format!("/connectors/{name}/config");
        self.ask("PUT", &path, Some(config)).success();
    }

    /// Waits until a connector is in `state`, with all of its `tasks` tasks.
    pub fn await_state(&self, name: &str, state: &str, tasks: usize) -> Value {
        let path = format!("/connectors/{name}/status");
        self.await_that(&format!("{name} is {state}"), || {
            let status = rest::ask(self.port, "GET", &path, None);
            let status = status.map_err(|error| error.to_string())?.body;
            let all = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
            if status["connector"]["state"] == state
                && all.len() == tasks
                && all.iter().all(|task| task["state"] == state)
            {
                Ok(status)
            } else {
                Err(status.to_string())
            }
        })
    }

    /// Waits for something that the worker brings about. Panics with what it said last and the worker's log.
    #[track_caller]
    pub fn await_that<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        match try_await(TIMEOUT, probe) {
            Ok(value) => value,
            Err(last) => panic!("in vain: {what}; last: {last}\n{}", self.said_last()),
        }
    }

    /// What it has said so far, in all its lives.
    pub fn log(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn said_last(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn process(&mut self) -> &mut Process {
        self.running.as_mut().expect("the worker is running")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("worker.log")
    }
}
