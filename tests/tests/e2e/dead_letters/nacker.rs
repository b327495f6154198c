//! A consumer as a process (tests/python/dead_letters_nacker.py) that nacks what it cannot handle, and tells what it got.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, python};
use serde_json::{Value, json};

/// Far more than any of these takes on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What the consumer got, or is about to nack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub is_nack: bool,
    pub topic: String,
    pub partition: i64,
    pub offset: i64,
    pub key: String,
    pub value: String,
    pub headers: Vec<(String, String)>,
    /// The record's own, in milliseconds since 1970.
    pub timestamp: i64,
    /// When the consumer said this, in milliseconds since 1970.
    pub at: i64,
}

impl Event {
    fn parse(line: &str) -> Event {
        let said: Value = serde_json::from_str(line).expect("the program prints JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let number = |name: &str| said[name].as_i64().expect("a number");
        Event {
            is_nack: said["what"] == "nack",
            topic: text(&said["topic"]),
            partition: number("partition"),
            offset: number("offset"),
            key: text(&said["key"]),
            value: text(&said["value"]),
            headers: said["headers"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|header| (text(&header[0]), text(&header[1])))
                .collect(),
            timestamp: number("timestamp"),
            at: number("at"),
        }
    }

    /// The header of this name, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// The running consumer. Killed on drop.
pub struct Nacker {
    child: Child,
    events: Arc<Mutex<Vec<Event>>>,
    reader: Option<JoinHandle<()>>,
}

impl Nacker {
    /// Starts a member of `group` that fails on values that begin with `poison`.
    pub fn start(broker: &Broker, group: &str, topics: &[&str], poison: &str) -> Nacker {
        let plan = json!({"topics": topics, "group": group, "poison": poison});
        let mut command: Command = python("dead_letters_nacker.py");
        let mut child = command
            .arg(broker.bootstrap())
            .arg(plan.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client's program can be started");
        let stdout = child.stdout.take().expect("stdout was piped");
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let lines = events.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = Event::parse(&line);
                lines.lock().expect("no reader panics").push(event);
            }
        });
        Nacker {
            child,
            events,
            reader: Some(reader),
        }
    }

    /// All that it said until now.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no reader panics").clone()
    }

    /// What it got until now, in order.
    pub fn got(&self) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| !event.is_nack);
        events
    }

    /// Ends it by SIGTERM: it commits what it has and leaves its group. What it got.
    pub fn stop(mut self) -> Vec<Event> {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.expect("kill can be started").success());
        let ended = self.child.wait().expect("an own child can be awaited");
        assert!(ended.success(), "it ended with {ended:?}");
        let reader = self.reader.take().expect("it is stopped once");
        reader.join().expect("the reader does not panic");
        self.got()
    }

    /// Waits until the condition holds for all that it said.
    #[track_caller]
    pub fn wait(&mut self, what: &str, condition: impl Fn(&[Event]) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition(&self.events()) {
            let ended = self.child.try_wait().expect("an own child can be awaited");
            assert!(ended.is_none(), "{what}: it ended with {ended:?}");
            assert!(
                Instant::now() < deadline,
                "{what}: only {:#?}",
                self.events()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it got the record with this value.
    #[track_caller]
    pub fn wait_for(&mut self, value: &str) {
        self.wait(value, |events| {
            events.iter().any(|event| event.value == value)
        });
    }
}

impl Drop for Nacker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
