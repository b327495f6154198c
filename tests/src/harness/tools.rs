//! Running command line clients to their end.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{installed, repository};

/// What a finished program said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit code; `None` when a signal (or the time-out) ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output of a program that succeeded. Panics with all it said otherwise.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert_eq!(
            self.code,
            Some(0),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        &self.stdout
    }

    /// Both outputs of a program that failed by itself.
    #[track_caller]
    pub fn failure(&self) -> String {
        assert!(
            self.code.is_some_and(|code| code != 0),
            "exit code {:?}, stdout:\n{}\nstderr:\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program with `input` to its end; after `timeout` it is killed, and has no exit code.
pub fn run(command: &mut Command, input: &[u8], timeout: Duration) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let mut stdin = child.stdin.take().expect("stdin was piped");
    let input = input.to_vec();
    // A program may end without reading everything: a broken pipe is its right.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));

    let (finished, watch) = std::sync::mpsc::channel::<()>();
    let pid = child.id().to_string();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(timeout) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
    });
    let output = child
        .wait_with_output()
        .expect("an own child can be awaited");
    drop(finished);
    watchdog.join().expect("the watchdog does not panic");
    writer.join().expect("the writer does not panic");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// kcat with arguments and input.
pub fn kcat(bootstrap: &str, args: &[&str], input: &[u8]) -> Finished {
    let found = Command::new("kcat")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        found.is_ok(),
        "kcat is missing: run ./scripts/setup-test-clients.sh kcat"
    );
    run(
        Command::new("kcat").args(["-b", bootstrap]).args(args),
        input,
        Duration::from_secs(60),
    )
}

/// One of Apache Kafka's command line tools, by the name of its script without `kafka-` and `.sh`.
pub fn kafka_tool(name: &str, args: &[&str], input: &[u8]) -> Finished {
    installed("java/libs", "java");
    run(
        Command::new(repository().join("scripts/kafka-tool.sh"))
            .arg(name)
            .args(args),
        input,
        Duration::from_secs(120),
    )
}
