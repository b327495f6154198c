//! Consumers as processes that die, and who starts them again until all is consumed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Client, worker};
use rdkafka::consumer::BaseConsumer;
use serde_json::json;

use super::log::{Dead, observer, positions, read_all, value};

/// What the consumers of a group do. The programs in tests/{python,java,node,go} read it as JSON.
#[derive(Debug, Clone)]
pub struct Plan {
    pub client: Client,
    pub topic: String,
    pub group: String,
    pub partitions: i32,
    /// Consumers at a time.
    pub members: usize,
    /// Values that begin so kill: `poison`, or something that no value begins with.
    pub poison: &'static str,
    /// `exit`, `kill` (SIGKILL), `leave` (the consumer is closed before), `stall` (max.poll.interval.ms runs out first).
    pub death: &'static str,
    /// `range` (eager) or `cooperative-sticky`.
    pub assignor: &'static str,
    /// Whether members are static.
    pub fixed: bool,
    pub auto_commit: bool,
    pub session_ms: u32,
    pub poll_interval_ms: u32,
    /// Records between commits.
    pub batch: u32,
    /// Milliseconds for each record.
    pub slow_ms: u32,
}

impl Plan {
    pub fn new(client: Client, topic: &str) -> Plan {
        Plan {
            client,
            topic: topic.to_owned(),
            group: format!("group-of-{topic}"),
            partitions: 1,
            members: 1,
            poison: "poison",
            death: "exit",
            assignor: "range",
            fixed: false,
            auto_commit: false,
            session_ms: 1_000,
            poll_interval_ms: 60_000,
            batch: 100,
            slow_ms: 0,
        }
    }

    fn json(&self, slot: usize) -> String {
        json!({
            "topic": self.topic,
            "group": self.group,
            "client_id": format!("worker-{slot}"),
            "poison": self.poison,
            "death": self.death,
            "assignor": self.assignor,
            "instance": if self.fixed { format!("static-{slot}") } else { String::new() },
            "auto_commit": self.auto_commit,
            "session_ms": self.session_ms,
            "poll_interval_ms": self.poll_interval_ms,
            "batch": self.batch,
            "slow_ms": self.slow_ms,
        })
        .to_string()
    }
}

/// What a consumer said that it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub value: String,
}

/// The consumers of a group. Killed on drop.
pub struct Crew {
    plan: Plan,
    bootstrap: String,
    running: Vec<Child>,
    seen: Arc<Mutex<Vec<Seen>>>,
    observer: BaseConsumer,
    /// How many consumers ended by themselves.
    pub deaths: usize,
}

impl Crew {
    pub fn start(broker: &Broker, plan: &Plan) -> Crew {
        let mut crew = Crew {
            plan: plan.clone(),
            bootstrap: broker.bootstrap(),
            running: Vec::new(),
            seen: Arc::default(),
            observer: observer(broker, &plan.group),
            deaths: 0,
        };
        for slot in 0..plan.members {
            let child = crew.spawn(slot);
            crew.running.push(child);
        }
        crew
    }

    fn spawn(&self, slot: usize) -> Child {
        let mut child = worker(self.plan.client)
            .arg(&self.bootstrap)
            .arg(self.plan.json(slot))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client's program can be started");
        let stdout = child.stdout.take().expect("stdout was piped");
        let seen = self.seen.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut words = line.splitn(3, ' ');
                let (Some(partition), Some(offset), Some(value)) = (
                    words.next().and_then(|w| w.parse().ok()),
                    words.next().and_then(|w| w.parse().ok()),
                    words.next(),
                ) else {
                    continue;
                };
                seen.lock().expect("no reader panics").push(Seen {
                    partition,
                    offset,
                    value: value.to_owned(),
                });
            }
        });
        child
    }

    /// Starts those again that ended, until the group has come to the end of every partition.
    pub fn run_to_the_end(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut at = None;
        loop {
            self.revive();
            at = positions(&self.observer, &self.plan.topic, self.plan.partitions).or(at);
            if at
                .as_ref()
                .is_some_and(|all| all.iter().all(|(position, end)| position == end))
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not at the end after {limit:?} and {} deaths: {at:?}, {} records seen, last {:?}",
                self.deaths,
                self.seen().len(),
                self.seen().last()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts those again that ended, until so many have died.
    pub fn run_until_deaths(&mut self, deaths: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.deaths < deaths {
            assert!(Instant::now() < deadline, "{} deaths", self.deaths);
            self.revive();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the consumers have seen this many records.
    pub fn wait_for(&self, records: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.seen().len() < records {
            assert!(Instant::now() < deadline, "{} records", self.seen().len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn revive(&mut self) {
        for slot in 0..self.running.len() {
            let ended = self.running[slot]
                .try_wait()
                .expect("an own child can be awaited");
            if ended.is_some() {
                self.deaths += 1;
                self.running[slot] = self.spawn(slot);
            }
        }
    }

    /// Ends one consumer, by SIGTERM (it closes its consumer) or SIGKILL, and starts it again.
    pub fn replace(&mut self, slot: usize, signal: &str) {
        self.signal(slot, signal);
        self.running[slot]
            .wait()
            .expect("an own child can be awaited");
        self.running[slot] = self.spawn(slot);
    }

    /// Ends all consumers by SIGTERM, and waits until they are gone.
    pub fn stop(&mut self) {
        for slot in 0..self.running.len() {
            self.signal(slot, "TERM");
        }
        for mut child in self.running.drain(..) {
            child.wait().expect("an own child can be awaited");
        }
    }

    fn signal(&self, slot: usize, signal: &str) {
        let status = Command::new("kill")
            .args([format!("-{signal}"), self.running[slot].id().to_string()])
            .status()
            .expect("kill can be started");
        assert!(status.success(), "the consumer had ended before");
    }

    /// All that was seen until now.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no reader panics").clone()
    }

    /// The group's positions and the ends of the log.
    pub fn positions(&self) -> Vec<(i64, i64)> {
        positions(&self.observer, &self.plan.topic, self.plan.partitions)
            .expect("the broker answers")
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Panics unless each record of `count` was seen, for the first time in order within its partition.
pub fn check_seen(seen: &[Seen], count: usize, partitions: i32, poison: &[usize]) {
    let mut first: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for one in seen {
        if known.insert(one.value.clone()) {
            first.entry(one.partition).or_default().push(one.offset);
        }
    }
    for (partition, offsets) in first {
        assert!(
            offsets.is_sorted(),
            "partition {partition} came out of order: {offsets:?}"
        );
    }
    let missing: Vec<_> = (0..count)
        .filter(|i| !known.contains(&value(*i, poison)))
        .collect();
    assert!(
        missing.is_empty(),
        "never seen: {missing:?} of {count} over {partitions}"
    );
}

/// Panics unless the queue holds these records and no others, with where they came from.
pub fn check_queue(broker: &Broker, plan: &Plan, poison: &[usize]) -> Vec<Dead> {
    let queue = read_all(broker, &format!("{}.dlq", plan.topic));
    let mut values: Vec<_> = queue.iter().map(|dead| dead.value.clone()).collect();
    values.sort();
    let mut expected: Vec<_> = poison.iter().map(|i| value(*i, poison)).collect();
    expected.sort();
    assert_eq!(values, expected, "{queue:#?}");
    for dead in &queue {
        let i: i32 = dead.value["poison-".len()..].parse().expect("a number");
        let header = |name: &str| dead.headers.get(name).map_or("", String::as_str);
        assert_eq!(dead.partition, i % plan.partitions);
        for (name, expected) in [
            ("__dlq.errors.topic", plan.topic.clone()),
            ("__dlq.errors.partition", (i % plan.partitions).to_string()),
            ("__dlq.errors.offset", (i / plan.partitions).to_string()),
            ("__dlq.errors.group", plan.group.clone()),
        ] {
            assert_eq!(header(name), expected, "{name} of {dead:?}");
        }
        assert!(!header("__dlq.errors.message").is_empty(), "{dead:?}");
        assert!(
            header("__dlq.errors.client").contains("worker-"),
            "{dead:?}"
        );
    }
    queue
}
