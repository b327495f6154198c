//! Apache Kafka's command line tools in one Java process, for tests that run many of them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::driver::java;
use super::{Finished, repository};

/// The longest that one run may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the original of a tool, named as in [`kafka_tool`](super::kafka_tool). Runs of one test process take turns in one Java
/// process, which ends with it.
pub fn original(name: &str, args: &[&str], input: &str) -> Finished {
    static ORIGINALS: Mutex<Option<Originals>> = Mutex::new(None);
    // A test that failed leaves nothing behind: its process is not kept.
    let mut originals = ORIGINALS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut running = originals.take().unwrap_or_else(Originals::start);
    let finished = running.run(name, args, input);
    *originals = Some(running);
    finished
}

/// `tests/java`'s `ottla.Tools`.
struct Originals {
    child: Child,
    asks: ChildStdin,
    answers: Receiver<String>,
    classes: HashMap<String, String>,
}

impl Originals {
    fn start() -> Originals {
        let mut child = java("ottla.Tools")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("Java cannot be started ({error}): run ./scripts/setup-test-clients.sh java")
            });
        let asks = child.stdin.take().expect("stdin was piped");
        let stdout = child.stdout.take().expect("stdout was piped");
        let (answered, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if answered.send(line).is_err() {
                    break;
                }
            }
        });
        Originals {
            child,
            asks,
            answers,
            classes: HashMap::new(),
        }
    }

    fn run(&mut self, name: &str, args: &[&str], input: &str) -> Finished {
        let class = self
            .classes
            .entry(name.to_owned())
            .or_insert_with(|| class_of(name));
        let ask = json!({"class": class, "args": args, "stdin": input});
        writeln!(self.asks, "{ask}").expect("the Java process reads");
        let answer = self
            .answers
            .recv_timeout(TIMEOUT)
            .unwrap_or_else(|_| panic!("{name} {args:?} did not end within {TIMEOUT:?}"));
        let answer: Value = serde_json::from_str(&answer).expect("a line of JSON");
        let text = |field: &str| answer[field].as_str().expect("text").to_owned();
        Finished {
            code: answer["code"]
                .as_i64()
                .and_then(|code| code.try_into().ok()),
            stdout: text("stdout"),
            stderr: text("stderr"),
        }
    }
}

impl Drop for Originals {
    fn drop(&mut self) {
        // Not a failure when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Java class of a tool.
fn class_of(name: &str) -> String {
    let said = Command::new(repository().join("scripts/kafka-tool.sh"))
        .args(["--class", name])
        .output()
        .expect("the script can be started");
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}
