//! Apicurio Registry with its storage in the broker, used through Confluent's interface and serializers.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use ottla_tests::harness::{
    Broker, Process, free_port, installed, repository, rest, run, try_await,
};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(120);
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

struct Registry {
    port: u16,
    bootstrap: String,
    dir: TempDir,
    running: Option<Process>,
}

impl Registry {
    fn start(bootstrap: &str) -> Registry {
        let mut registry = Registry {
            port: free_port(),
            bootstrap: bootstrap.to_owned(),
            dir: tempfile::tempdir().unwrap(),
            running: None,
        };
        registry.restart();
        registry
    }

    fn restart(&mut self) {
        let jar = installed("registry/app/runner.jar", "registry");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file());
        let log: File = log.unwrap();
        let options = [
            "quarkus.http.host=127.0.0.1".to_owned(),
            format!("quarkus.http.port={}", self.port),
            "apicurio.storage.kind=kafkasql".to_owned(),
            format!("apicurio.kafkasql.bootstrap.servers={}", self.bootstrap),
            "apicurio.kafkasql.consumer.poll.timeout=100".to_owned(),
            // A cache in memory of what the topic holds.
            "apicurio.datasource.jdbc.initial-size=2".to_owned(),
            "apicurio.datasource.jdbc.min-size=2".to_owned(),
        ];
        let mut process = Process::spawn(
            Command::new("java")
                .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"])
                .args(options.map(|option| format!("-D{option}")))
                .arg("-jar")
                .arg(jar)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        );
        let ready = try_await(START_TIMEOUT, || {
            assert!(process.ended().is_none(), "it ended:\n{}", self.log());
            match rest::ask(self.port, "GET", "/health/ready", None) {
                Ok(answer) if answer.status == 200 => Ok(()),
                other => Err(other),
            }
        });
        assert!(ready.is_ok(), "{ready:?}:\n{}", self.log());
        self.running = Some(process);
    }

    fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Runs tests/registry/avro.py, as its users would their programs.
    #[track_caller]
    fn avro(&self, what: &[&str]) {
        let url = format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port);
        let mut program = Command::new(installed("registry/python/bin/python", "registry"));
        program
            .args(["-W", "ignore"])
            .arg(repository().join("tests/registry/avro.py"))
            .args([&self.bootstrap, &url])
            .args(what);
        let finished = run(&mut program, b"", RUN_TIMEOUT);
        assert_eq!(
            finished.code,
            Some(0),
            "{what:?}: {}\nthe registry said:\n{}",
            finished.stderr,
            self.log()
        );
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("registry.log")
    }
}

#[test]
fn schemas_outlive_the_registry_and_the_broker() {
    let mut broker = Broker::start();
    let mut registry = Registry::start(&broker.bootstrap());
    registry.avro(&["begin"]);
    registry.kill();
    registry.restart();
    registry.avro(&["go-on", "1"]);
    // The registry goes on by itself with a broker that came back.
    broker.kill();
    broker.restart();
    registry.avro(&["go-on", "2"]);
    registry.kill();
    broker.kill();
    broker.restart();
    registry.restart();
    registry.avro(&["go-on", "3"]);
}
