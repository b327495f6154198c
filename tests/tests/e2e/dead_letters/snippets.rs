//! The consumers that docs/DEAD_LETTERS.md shows, as they stand there: each is taken from the page and run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Target, installed, repository};

use super::log::{fill, observer, positions, read_all, value};

const LIMIT: Duration = Duration::from_secs(120);

/// What a snippet needs around it, with `{SNIPPET}` for itself. `handle` prints what it gets, and fails on what begins with `poison`.
const PYTHON: &str = r#"
def handle(record):
    print(record.partition(), record.offset(), record.value().decode(), flush=True)
    if record.value().startswith(b"poison"):
        raise ValueError("cannot read " + record.value().decode())

{SNIPPET}
"#;

const JAVA: &str = r#"
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Snippet {
    static void handle(ConsumerRecord<String, String> record) {
        System.out.println(record.partition() + " " + record.offset() + " " + record.value());
        if (record.value().startsWith("poison")) {
            throw new IllegalArgumentException("cannot read " + record.value());
        }
    }

    public static void main(String[] args) {
        consume();
    }

{SNIPPET}
}
"#;

const NODE: &str = r#"
const { Kafka } = require("kafkajs");

async function handle({ partition, message }) {
  console.log(`${partition} ${message.offset} ${message.value}`);
  if (message.value.toString().startsWith("poison")) throw new Error(`cannot read ${message.value}`);
}

{SNIPPET}

consume();
"#;

const GO: &str = r#"
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func handle(record *kgo.Record) error {
	fmt.Printf("%d %d %s\n", record.Partition, record.Offset, record.Value)
	if strings.HasPrefix(string(record.Value), "poison") {
		return fmt.Errorf("cannot read %s", record.Value)
	}
	return nil
}

{SNIPPET}

func main() {
	if err := consume(context.Background()); err != nil {
		panic(err)
	}
}
"#;

/// The page's block of code in this language.
fn snippet(language: &str) -> String {
    let page = fs::read_to_string(repository().join("docs/DEAD_LETTERS.md"))
        .expect("the page is in the repository");
    let opening = format!("\n```{language}\n");
    let mut found = page.split(&opening).skip(1);
    let block = found.next().expect("the page has such a block");
    assert!(found.next().is_none(), "one block of {language}");
    let (code, _) = block.split_once("\n```").expect("a block ends");
    code.to_owned()
}

/// Writes the program of a snippet for this broker; what to call the file.
fn write(
    dir: &Path,
    name: &str,
    around: &str,
    language: &str,
    broker: &Broker,
) -> std::path::PathBuf {
    let code = snippet(language);
    assert!(code.contains("localhost:9092"), "{language}");
    let code = code.replace("localhost:9092", &broker.bootstrap());
    let path = dir.join(name);
    fs::write(&path, around.replace("{SNIPPET}", &code)).expect("a temporary file can be written");
    path
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a snippet's program over 60 records in three partitions, two of them poison: it handles each of those `dlq.max.attempts` times
/// and every other once, in order, and the two end in the queue.
fn moves_what_it_nacks(language: &str, name: &str, around: &str, program: fn(&Path) -> Command) {
    if Target::current() == Target::Kafka {
        return;
    }
    let broker = Broker::start_with(&["dlq.max.attempts=3"]);
    let poison = [7, 31];
    fill(&broker, "orders", 3, 60, "none", &poison);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = write(dir.path(), name, around, language, &broker);
    let mut child = program(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client's program can be started");
    let stdout = child.stdout.take().expect("stdout was piped");
    let mut running = Running(child);
    let handled: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = handled.clone();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            lines.lock().expect("no reader panics").push(line);
        }
    });

    let asking = observer(&broker, "billing");
    let deadline = Instant::now() + LIMIT;
    while !positions(&asking, "orders", 3)
        .is_some_and(|all| all.iter().all(|(position, end)| position == end))
    {
        let ended = running.0.try_wait().expect("an own child can be awaited");
        assert!(ended.is_none(), "it ended with {ended:?}");
        assert!(
            Instant::now() < deadline,
            "not at the end: {:?}; handled {:?}",
            positions(&asking, "orders", 3),
            handled.lock().expect("no reader panics")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(running);
    reader.join().expect("the reader does not panic");

    let handled = handled.lock().expect("no reader panics").clone();
    let mut by_partition: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for line in &handled {
        let (partition, record) = line.split_once(' ').unwrap_or((line, ""));
        // Clients log to the standard output, too.
        let Ok(partition) = partition.parse() else {
            continue;
        };
        by_partition
            .entry(partition)
            .or_default()
            .push(record.to_owned());
    }
    for (partition, records) in by_partition {
        let expected: Vec<_> = (0..60)
            .filter(|i| i % 3 == partition)
            .flat_map(|i| {
                let times = if poison.contains(&i) { 3 } else { 1 };
                vec![format!("{} {}", i / 3, value(i, &poison)); times]
            })
            .collect();
        assert_eq!(records, expected, "partition {partition}");
    }
    let queue = read_all(&broker, "orders.dlq");
    let said: Vec<_> = queue
        .iter()
        .map(|dead| {
            let header = |name: &str| dead.headers.get(name).map_or("", String::as_str);
            (
                dead.value.as_str(),
                header("__dlq.errors.message"),
                header("__dlq.errors.delivery.count"),
                header("__dlq.errors.offset"),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("poison-31", "cannot read poison-31", "3", "10"),
            ("poison-7", "cannot read poison-7", "3", "2"),
        ]
    );
}

#[test]
fn the_python_consumer_of_the_page_moves_what_it_nacks() {
    moves_what_it_nacks("python", "snippet.py", PYTHON, |path| {
        let mut command = Command::new(installed("python/bin/python", "python"));
        command.arg(path);
        command
    });
}

#[test]
fn the_java_consumer_of_the_page_moves_what_it_nacks() {
    moves_what_it_nacks("java", "Snippet.java", JAVA, |path| {
        let libs = installed("java/libs", "java").join("*");
        let mut command = Command::new("java");
        command
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"])
            .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"])
            .arg(libs)
            .arg(path);
        command
    });
}

#[test]
fn the_kafkajs_consumer_of_the_page_moves_what_it_nacks() {
    moves_what_it_nacks("js", "snippet.js", NODE, |path| {
        let mut command = Command::new("node");
        command
            .env("NODE_PATH", installed("node/node_modules", "node"))
            .arg(path);
        command
    });
}

#[test]
fn the_franz_go_consumer_of_the_page_moves_what_it_nacks() {
    moves_what_it_nacks("go", "main.go", GO, |path| {
        // Built first: `go run` leaves its child behind when it is killed.
        let program = path.with_file_name("snippet");
        let status = Command::new("go")
            .current_dir(repository().join("tests/go"))
            .args(["build", "-o"])
            .arg(&program)
            .arg(path)
            .status()
            .expect("go can be started: run ./scripts/setup-test-clients.sh go");
        assert!(status.success(), "the page's Go does not compile");
        Command::new(program)
    });
}
