//! Where programs learn where a broker can be reached, and that it is ready.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use support::{ottla, refused, serve, text};

/// A broker whose standard output is read.
struct Reporting {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Reporting {
    fn start(data_dir: &Path, args: &[&str]) -> Reporting {
        let mut child = serve(data_dir)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Reporting { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Ends it by a signal; what it has written since, and whether it ended well.
    fn stop(mut self, signal: &str) -> (String, bool) {
        send(&self.child, signal);
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap().success())
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
}

fn answers(address: &str) -> bool {
    let listed = ottla(&["topic", "list", "--bootstrap-server", address]);
    listed.status.success()
}

#[test]
fn standard_output_has_a_line_for_each_listener_once_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let listeners = "listeners=IN://127.0.0.1:0,OUT://0.0.0.0:0,CONTROLLER://:0";
    let map = "listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT";
    let mut broker = {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["serve", "--http-port", "0", "-o", listeners, "-o", map])
            .args(["-o", "controller.listener.names=CONTROLLER"])
            .args(["-o", "inter.broker.listener.name=IN", "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Reporting { child, out }
    };
    for (name, host) in [("IN", "127.0.0.1"), ("OUT", "localhost")] {
        let line = broker.line();
        let (listener, address) = line.split_once(' ').unwrap();
        assert_eq!(listener, name);
        assert_eq!(address.rsplit_once(':').unwrap().0, host);
        assert!(answers(address), "{line}");
    }
    assert_eq!(broker.stop("-TERM"), (String::new(), true));
}

#[test]
fn the_port_file_has_the_port_and_goes_with_its_broker() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("port"));
    // What an earlier broker left is not taken for this one's.
    fs::write(&file, "1\n").unwrap();
    let mut broker = Reporting::start(&data, &["--port-file", file.to_str().unwrap()]);
    let line = broker.line();
    let port = fs::read_to_string(&file).unwrap();
    assert_eq!(line, format!("PLAINTEXT 127.0.0.1:{}", port.trim_end()));
    assert!(broker.stop("-TERM").1);
    assert!(!file.exists());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_port_file_of_json_has_all_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("port.json"));
    let args = [
        "--http-port",
        "0",
        "-o",
        "advertised.listeners=PLAINTEXT://kafka:29092",
        "--port-file",
        file.to_str().unwrap(),
    ];
    let mut broker = Reporting::start(&data, &args);
    let address = broker.line().rsplit_once(' ').unwrap().1.to_owned();
    let told: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let listener = &told["listeners"][0];
    assert_eq!(listener["name"], "PLAINTEXT");
    assert_eq!(listener["address"], address);
    assert_eq!(listener["advertised"], "kafka:29092");
    assert_eq!(listener["port"], told["port"]);
    assert_eq!(told["pid"], broker.child.id());
    assert!(told["http"]["port"].as_u64().unwrap() > 0);
    assert_eq!(told["cluster_id"].as_str().unwrap().len(), 22);
}

#[test]
fn a_port_file_that_another_broker_has_written_since_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    let args = ["--port-file", file.to_str().unwrap()];
    let mut first = Reporting::start(&dir.path().join("1"), &args);
    first.line();
    let mut second = Reporting::start(&dir.path().join("2"), &args);
    let line = second.line();
    assert!(first.stop("-TERM").1);
    let port = fs::read_to_string(&file).unwrap();
    assert!(line.ends_with(port.trim_end()), "{line} {port}");
}

#[test]
fn a_port_file_that_cannot_be_is_told_before_anything_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (file, why) in [
        (dir.path().join("none/port"), "No such file"),
        (dir.path().to_owned(), "it is not a file"),
    ] {
        let told = refused(&data, &["--port-file", file.to_str().unwrap()]);
        assert!(told.contains(file.to_str().unwrap()), "{told}");
        assert!(told.contains(why), "{told}");
    }
    assert!(!data.exists());
}

#[test]
fn a_broker_serves_on_when_nobody_can_read_its_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    for (case, out) in [("gone", None), ("full", Some("/dev/full"))] {
        let data = dir.path().join(case);
        let file = dir.path().join("port");
        let mut command = serve(&data);
        command
            .args(["--announce", "kafka", "--port-file"])
            .arg(&file);
        match out {
            None => command.stdout(Stdio::piped()),
            Some(path) => command.stdout(File::options().write(true).open(path).unwrap()),
        };
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let told: Vec<String> = stderr
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.contains("--exit-eof"))
            .collect();
        assert!(
            told.iter().any(|line| line.contains("is ready")),
            "{told:?}"
        );
        let port = fs::read_to_string(&file).unwrap();
        assert!(answers(&format!("127.0.0.1:{}", port.trim_end())), "{case}");
        send(&child, "-TERM");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn the_words_that_other_tools_wait_for_are_printed_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [
        (
            "kafka",
            vec![
                "Creating new log file",
                "Checking need to trigger auto leader balancing",
                "Transitioning from RECOVERY to RUNNING",
                "Kafka Server started",
                "[KafkaServer id=7] started",
            ],
        ),
        (
            "redpanda",
            vec!["Started Kafka API server", "Successfully started Redpanda!"],
        ),
    ];
    for (of, lines) in expected {
        let args = ["--announce", of, "-o", "node.id=7"];
        let mut broker = Reporting::start(&dir.path().join(of), &args);
        let address = broker.line();
        for line in lines {
            let printed = broker.line();
            assert!(printed.contains(line), "{printed}");
        }
        assert!(answers(address.split_once(' ').unwrap().1));
    }
    let unknown = ottla(&["serve", "--announce", "activemq"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("redpanda"));
}
