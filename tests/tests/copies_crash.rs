//! Copies of a topic, exactly once, by processes that are killed in the middle of everything, and so is the broker: each input is
//! in the output once, in its order, for who reads committed records. One test a client; `OTTLA_CRASH_ROUNDS` sets the number of kills.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Process, Reader, installed, python, unique};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

const PARTITIONS: i32 = 3;
const WORKERS: usize = 2;
const RECORDS: u64 = 900;
/// Records in a transaction, at most.
const BATCH: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(120);

/// A word that a worker said, or its end.
struct Event {
    worker: usize,
    /// Which of the worker's processes.
    life: usize,
    word: Option<String>,
}

/// A program that copies, in one of its lives.
struct Worker {
    life: usize,
    stdin: ChildStdin,
    process: Process,
}

/// The programs of one client.
struct Workers<'a> {
    program: fn() -> Command,
    broker: String,
    plans: Vec<String>,
    running: Vec<Worker>,
    lives: usize,
    heard: &'a Sender<Event>,
}

impl Workers<'_> {
    fn start(&mut self, worker: usize) -> Worker {
        let mut command = (self.program)();
        command.arg(&self.broker).arg(&self.plans[worker]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = process.stdin().expect("stdin was piped");
        let stdout = process.stdout().expect("stdout was piped");
        self.lives += 1;
        let (life, heard) = (self.lives, self.heard.clone());
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // The end of the test hears no more.
            for word in lines.map(Some).chain([None]) {
                let _ = heard.send(Event { worker, life, word });
            }
        });
        Worker {
            life,
            stdin,
            process,
        }
    }

    /// SIGKILL, and a successor with the same plan, which finds whatever was left open.
    fn replace(&mut self, worker: usize) {
        let successor = self.start(worker);
        let killed = std::mem::replace(&mut self.running[worker], successor);
        killed.process.kill();
    }

    /// Lets a worker begin its next transaction: so it is never far ahead of what has been heard of it.
    fn go_on(&mut self, worker: usize) {
        // It may have given up, which is heard of next.
        let _ = self.running[worker].stdin.write_all(b"go\n");
    }
}

async fn make_topics(bootstrap: &str, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("the client's settings are right");
    let new = topics
        .iter()
        .map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)));
    let made = admin
        .create_topics(&new.collect::<Vec<_>>(), &AdminOptions::new())
        .await
        .expect("the broker answers");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

fn fill(bootstrap: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("the client's settings are right");
    for number in 0..RECORDS {
        let text = number.to_string();
        let record = BaseRecord::<(), str>::to(topic)
            .partition((number % PARTITIONS as u64) as i32)
            .payload(&text);
        producer.send(record).expect("there is room");
    }
    producer.flush(TIMEOUT).expect("the broker takes them");
}

/// Everything that is committed in a topic, each once and in the order of its partition.
fn read(bootstrap: &str, topic: &str) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut last = [None; PARTITIONS as usize];
    for message in Reader::all(bootstrap, topic).found {
        let text = message.payload_view::<str>().expect("a value");
        let number: u64 = text.expect("text").parse().expect("a number");
        assert!(found.insert(number), "{number} is twice in {topic}");
        let before = &mut last[message.partition() as usize];
        assert!(*before < Some(number), "{number} comes after {before:?}");
        *before = Some(number);
    }
    found
}

async fn copies_are_exact(program: fn() -> Command) {
    let mut kills: usize = std::env::var("OTTLA_CRASH_ROUNDS")
        .map_or(10, |rounds| rounds.parse().expect("a number of rounds"));
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let (source, target, group) = (unique("source"), unique("target"), unique("copies"));
    make_topics(&bootstrap, &[&source, &target]).await;
    fill(&bootstrap, &source);

    let (heard, events): (Sender<Event>, Receiver<Event>) = channel();
    let plan = |worker: usize| {
        let partitions = (0..PARTITIONS).filter(|p| *p as usize % WORKERS == worker);
        let plan = json!({
            "source": source, "target": target, "group": group, "batch": BATCH,
            "transactional_id": format!("{group}-{worker}"), "partitions": partitions.collect::<Vec<_>>(),
        });
        plan.to_string()
    };
    let mut workers = Workers {
        program,
        broker: bootstrap.clone(),
        plans: (0..WORKERS).map(plan).collect(),
        running: Vec::new(),
        lives: 0,
        heard: &heard,
    };
    for worker in 0..WORKERS {
        let started = workers.start(worker);
        workers.running.push(started);
    }
    let mut rng = StdRng::seed_from_u64(7);
    // Words of work until the next kill: each comes at a moment of its own, and the process goes on while it is read.
    let mut until_kill: u32 = rng.random_range(1..20);
    // Each may do so when the broker goes away.
    let (mut gave_up, most) = (0, WORKERS * (1 + kills));
    let mut idle = BTreeSet::new();
    let mut said = 0;
    let started = Instant::now();
    loop {
        let event = events.recv_timeout(TIMEOUT).expect("somebody works");
        assert!(
            started.elapsed() < 3 * TIMEOUT,
            "the copy does not come to its end"
        );
        if workers.running[event.worker].life != event.life {
            continue;
        }
        match event.word.as_deref() {
            None => {
                gave_up += 1;
                assert!(
                    gave_up <= most,
                    "the programs give up by themselves: see what they said"
                );
                idle.remove(&event.worker);
                workers.replace(event.worker);
            }
            Some("idle") => {
                idle.insert(event.worker);
                if idle.len() < WORKERS {
                    continue;
                }
                // A group that is between two generations is idle, too.
                idle.clear();
                if read(&bootstrap, &target).len() as u64 == RECORDS {
                    break;
                }
            }
            Some(word) => {
                idle.remove(&event.worker);
                said += 1;
                until_kill = until_kill.saturating_sub(1);
                let kill_now = until_kill == 0 && kills > 0;
                if kill_now {
                    until_kill = rng.random_range(1..20);
                    kills -= 1;
                }
                if kill_now && kills % 4 != 1 {
                    workers.replace(event.worker);
                    continue;
                }
                if kill_now {
                    broker.kill();
                    broker.restart();
                }
                if word == "committed" {
                    workers.go_on(event.worker);
                }
            }
        }
    }
    assert_eq!(kills, 0, "after {said} words all was copied: too early");
    // What the last ones have open, if anything, is nothing that counts.
    drop(workers);
    let copied = read(&bootstrap, &target);
    assert_eq!(copied, (0..RECORDS).collect(), "each input once");
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_copies_exactly_once_whatever_is_killed() {
    copies_are_exact(|| python("copy_confluent.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aiokafka_copies_exactly_once_whatever_is_killed() {
    copies_are_exact(|| python("copy_aiokafka.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn franz_go_copies_exactly_once_whatever_is_killed() {
    copies_are_exact(|| Command::new(installed("go/franz-copy", "go"))).await;
}
