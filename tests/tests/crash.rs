//! SIGKILL under load, again and again: what was acknowledged is there, once and in order, and committed positions never go
//! back. `OTTLA_CRASH_ROUNDS` sets the number of rounds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, unique};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const PARTITIONS: i32 = 3;
const PRODUCERS: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(90);

/// A record's value: which producer sent it, as which of its records, and some weight.
fn value(producer: usize, sequence: u64) -> String {
    format!(
        "{producer}:{sequence}:{}",
        "x".repeat((sequence % 300) as usize)
    )
}

fn parse(value: &[u8]) -> (usize, u64) {
    let text = std::str::from_utf8(value).expect("values are text");
    let mut parts = text.split(':');
    let mut next = || parts.next().expect("three parts");
    let parsed = (
        next().parse().expect("a producer"),
        next().parse().expect("a sequence"),
    );
    assert_eq!(text, self::value(parsed.0, parsed.1), "the value is whole");
    parsed
}

/// What one producer was told about its records.
#[derive(Default)]
struct Acknowledged {
    /// Sequence to (partition, offset).
    records: Mutex<BTreeMap<u64, (i32, i64)>>,
    failures: Mutex<Vec<String>>,
    /// Records handed to the client.
    sent: AtomicU64,
}

struct Report(Arc<Acknowledged>);

impl ClientContext for Report {}

impl ProducerContext for Report {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, sequence: usize) {
        match delivered {
            Ok(message) => {
                self.0
                    .records
                    .lock()
                    .expect("no holder panics")
                    .insert(sequence as u64, (message.partition(), message.offset()));
            }
            Err((error, _)) => self
                .0
                .failures
                .lock()
                .expect("no holder panics")
                .push(format!("record {sequence}: {error}")),
        }
    }
}

/// When producers send.
#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    /// While the log is read, so that it does not outgrow its reader. What is under way goes on.
    pause: AtomicBool,
}

/// Sends some ten thousand records a second until told to stop; then waits until all is acknowledged.
fn produce(
    bootstrap: String,
    topic: String,
    producer: usize,
    acknowledged: Arc<Acknowledged>,
    signals: Arc<Signals>,
) {
    let client: ThreadedProducer<Report> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "2")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .set("queue.buffering.max.messages", "500")
        // Of codecs one each: a torn batch would show in each.
        .set(
            "compression.codec",
            ["none", "lz4", "zstd", "snappy"][producer % 4],
        )
        .create_with_context(Report(Arc::clone(&acknowledged)))
        .expect("the client's settings are right");
    // Two producers share a partition, two have one of their own.
    let partition = producer as i32 % PARTITIONS;
    let mut sequence = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        if signals.pause.load(Ordering::Relaxed) || sequence % 10 == 9 {
            thread::sleep(Duration::from_millis(1));
        }
        if signals.pause.load(Ordering::Relaxed) {
            continue;
        }
        let text = value(producer, sequence);
        let record = BaseRecord::<(), str, usize>::with_opaque_to(&topic, sequence as usize)
            .partition(partition)
            .payload(&text);
        match client.send(record) {
            Ok(()) => {
                sequence += 1;
                acknowledged.sent.store(sequence, Ordering::Relaxed);
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => panic!("producer {producer}: {error}"),
        }
    }
    client
        .flush(TIMEOUT)
        .expect("everything is acknowledged in the end");
}

/// What a group's member saw and committed, by partition.
#[derive(Default)]
struct Progress {
    /// The last position whose commit the broker confirmed.
    committed: Mutex<BTreeMap<i32, i64>>,
    /// (partition, offset) to (producer, sequence).
    seen: Mutex<BTreeMap<(i32, i64), (usize, u64)>>,
}

fn group_settings(bootstrap: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "500");
    config
}

/// Consumes in a group and commits often, through every crash.
fn consume(config: ClientConfig, topic: String, progress: Arc<Progress>, signals: Arc<Signals>) {
    let consumer: BaseConsumer = config.create().expect("the client's settings are right");
    consumer.subscribe(&[&topic]).expect("a fair topic name");
    let mut unconfirmed = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        // An error means that the broker is away; the client comes back by itself.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            let record = parse(message.payload().expect("no tombstones here"));
            let place = (message.partition(), message.offset());
            let before = progress
                .seen
                .lock()
                .expect("no holder panics")
                .insert(place, record);
            assert!(
                before.is_none_or(|before| before == record),
                "{place:?} was {before:?} and is {record:?} now"
            );
            unconfirmed += 1;
        }
        if unconfirmed >= 200 {
            let position = consumer.position().expect("a position is known locally");
            let positions: Vec<(i32, i64)> = position
                .elements()
                .iter()
                .filter_map(|p| {
                    p.offset()
                        .to_raw()
                        .filter(|o| *o >= 0)
                        .map(|o| (p.partition(), o))
                })
                .collect();
            let mut list = TopicPartitionList::new();
            for (partition, offset) in &positions {
                list.add_partition_offset(&topic, *partition, Offset::Offset(*offset))
                    .expect("a fair offset");
            }
            if consumer.commit(&list, CommitMode::Sync).is_ok() {
                progress
                    .committed
                    .lock()
                    .expect("no holder panics")
                    .extend(positions);
                unconfirmed = 0;
            }
        }
    }
}

/// The whole topic, as (producer, sequence) by (partition, offset).
fn read_all(bootstrap: &str, topic: &str) -> BTreeMap<(i32, i64), (usize, u64)> {
    let consumer: BaseConsumer = group_settings(bootstrap, &unique("verifier"))
        .set("check.crcs", "true")
        .set("enable.partition.eof", "false")
        .create()
        .expect("the client's settings are right");
    let mut ends = BTreeMap::new();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let (low, high) = consumer
            .fetch_watermarks(topic, partition, TIMEOUT)
            .expect("watermarks are answered after a restart");
        assert_eq!(low, 0, "nothing is deleted");
        ends.insert(partition, high);
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a fair offset");
    }
    consumer.assign(&list).expect("a fair assignment");
    let expected: i64 = ends.values().sum();
    let mut records = BTreeMap::new();
    let deadline = Instant::now() + TIMEOUT;
    while (records.len() as i64) < expected {
        assert!(
            Instant::now() < deadline,
            "{} of {expected} records up to {ends:?}",
            records.len()
        );
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let message = message.expect("the broker serves the log");
        if message.offset() < ends[&message.partition()] {
            let record = parse(message.payload().expect("no tombstones here"));
            records.insert((message.partition(), message.offset()), record);
        }
    }
    records
}

/// Every acknowledged record is where its acknowledgement said.
fn assert_kept(
    log: &BTreeMap<(i32, i64), (usize, u64)>,
    acknowledged: &[BTreeMap<u64, (i32, i64)>],
    round: usize,
) {
    for (producer, records) in acknowledged.iter().enumerate() {
        for (sequence, place) in records {
            assert_eq!(
                log.get(place),
                Some(&(producer, *sequence)),
                "round {round}: record {sequence} of producer {producer} was acknowledged at {place:?}"
            );
        }
    }
}

/// Each producer's records are there once, in the order in which they were sent, without a hole.
fn assert_once_and_in_order(log: &BTreeMap<(i32, i64), (usize, u64)>, round: usize) {
    let mut next = [0u64; PRODUCERS];
    for (place, (producer, sequence)) in log {
        assert_eq!(
            *sequence, next[*producer],
            "round {round}: at {place:?}, next of producer {producer}"
        );
        next[*producer] += 1;
    }
}

fn create_topic(bootstrap: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("the client's settings are right");
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(admin.create_topics([&new], &AdminOptions::new()))
        .expect("the broker answers")
        .into_iter()
        .for_each(|created| {
            created.expect("the topic is created");
        });
}

fn committed(bootstrap: &str, topic: &str, group: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = group_settings(bootstrap, group)
        .create()
        .expect("the client's settings are right");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, PARTITIONS - 1);
    consumer
        .committed_offsets(list, TIMEOUT)
        .expect("offsets are answered after a restart")
        .elements()
        .iter()
        .filter_map(|p| {
            p.offset()
                .to_raw()
                .filter(|o| *o >= 0)
                .map(|o| (p.partition(), o))
        })
        .collect()
}

#[test]
fn what_was_acknowledged_survives_sigkill_under_load_once_and_in_order() {
    let rounds: usize = std::env::var("OTTLA_CRASH_ROUNDS").map_or(15, |rounds| {
        rounds.parse().expect("OTTLA_CRASH_ROUNDS is a number")
    });
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);

    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = unique("crash");
    let group = unique("crash-group");
    create_topic(&bootstrap, &topic);

    let signals: Arc<Signals> = Arc::default();
    let acknowledged: Vec<Arc<Acknowledged>> = (0..PRODUCERS).map(|_| Arc::default()).collect();
    let progress: Arc<Progress> = Arc::default();
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (producer, acknowledged) in acknowledged.iter().enumerate() {
        let (bootstrap, topic) = (bootstrap.clone(), topic.clone());
        let (acknowledged, signals) = (Arc::clone(acknowledged), Arc::clone(&signals));
        threads.push(thread::spawn(move || {
            produce(bootstrap, topic, producer, acknowledged, signals);
        }));
    }
    for _ in 0..2 {
        let config = group_settings(&bootstrap, &group);
        let (topic, progress, signals) =
            (topic.clone(), Arc::clone(&progress), Arc::clone(&signals));
        threads.push(thread::spawn(move || {
            consume(config, topic, progress, signals)
        }));
    }
    let acknowledged_now = || -> Vec<BTreeMap<u64, (i32, i64)>> {
        acknowledged
            .iter()
            .map(|a| a.records.lock().expect("no holder panics").clone())
            .collect()
    };
    let total = |records: &[BTreeMap<u64, (i32, i64)>]| records.iter().map(BTreeMap::len).sum();

    let mut before: usize = 0;
    for round in 0..rounds {
        // Each round gets somewhere before it dies, at a random moment.
        let deadline = Instant::now() + TIMEOUT;
        while total(&acknowledged_now()) < before + 200 {
            assert!(Instant::now() < deadline, "round {round}: no progress");
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(random.random_range(0..400)));
        broker.kill();
        let told = acknowledged_now();
        let confirmed = progress.committed.lock().expect("no holder panics").clone();
        before = total(&told);
        broker.restart();
        signals.pause.store(true, Ordering::Relaxed);

        let log = read_all(&bootstrap, &topic);
        assert_kept(&log, &told, round);
        assert_once_and_in_order(&log, round);
        let stored = committed(&bootstrap, &topic, &group);
        for (partition, offset) in confirmed {
            let stored = stored.get(&partition).copied().unwrap_or(-1);
            assert!(
                stored >= offset,
                "round {round}: partition {partition} had {offset} committed, now {stored}"
            );
        }
        for acknowledged in &acknowledged {
            let failures = acknowledged.failures.lock().expect("no holder panics");
            assert!(failures.is_empty(), "round {round}: {failures:?}");
        }
        signals.pause.store(false, Ordering::Relaxed);
    }

    signals.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("no client failed");
    }
    let log = read_all(&bootstrap, &topic);
    assert_kept(&log, &acknowledged_now(), rounds);
    assert_once_and_in_order(&log, rounds);
    let sent: u64 = acknowledged
        .iter()
        .map(|a| a.sent.load(Ordering::Relaxed))
        .sum();
    assert_eq!(log.len() as u64, sent, "all that was sent came once");
    // What a consumer was shown has not been taken back.
    for (place, record) in progress.seen.lock().expect("no holder panics").iter() {
        assert_eq!(log.get(place), Some(record), "seen at {place:?}");
    }
    println!("{rounds} crashes, {sent} records");
}
