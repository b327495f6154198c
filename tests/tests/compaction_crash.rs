//! SIGKILL again and again while compaction runs: of each key the last acknowledged value is there after every restart, or a later one
//! that was under way. `OTTLA_CRASH_ROUNDS` sets the number of rounds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ottla_tests::harness::{Broker, Reader, unique};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

const PARTITIONS: i32 = 2;
const KEYS: u64 = 40;
const TIMEOUT: Duration = Duration::from_secs(90);

/// By partition and key: the number of the last value that was sent, and of the last that was acknowledged.
#[derive(Default)]
struct Told {
    sent: BTreeMap<(i32, u64), u64>,
    acknowledged: BTreeMap<(i32, u64), u64>,
    failures: Vec<String>,
}

#[derive(Clone, Default)]
struct Report(Arc<Mutex<Told>>);

impl ClientContext for Report {}

impl ProducerContext for Report {
    type DeliveryOpaque = Box<(i32, u64, u64)>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, what: Box<(i32, u64, u64)>) {
        let mut told = self.0.lock().expect("no holder panics");
        let (partition, key, number) = *what;
        match delivered {
            Ok(_) => {
                let last = told.acknowledged.entry((partition, key)).or_default();
                *last = (*last).max(number);
            }
            Err((error, _)) => told.failures.push(format!("{key}, {number}: {error}")),
        }
    }
}

/// Sends values for all keys in turn, numbered, until told to stop; then waits until all is acknowledged.
fn produce(bootstrap: &str, topic: &str, report: &Report, stop: &AtomicBool, pause: &AtomicBool) {
    let client: ThreadedProducer<Report> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .set("queue.buffering.max.messages", "300")
        .set("compression.codec", "lz4")
        .create_with_context(report.clone())
        .expect("the client's settings are right");
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        if pause.load(Ordering::Relaxed) || number % 16 == 15 {
            thread::sleep(Duration::from_millis(1));
        }
        if pause.load(Ordering::Relaxed) {
            continue;
        }
        // Some keys often, some seldom.
        let key = (number * number / 7) % KEYS;
        let partition = (key % PARTITIONS as u64) as i32;
        let text = format!("{number}:{}", "x".repeat((number % 200) as usize));
        let name = key.to_string();
        let opaque = Box::new((partition, key, number));
        let record = BaseRecord::with_opaque_to(topic, opaque)
            .partition(partition)
            .key(&name)
            .payload(&text);
        report
            .0
            .lock()
            .expect("no holder panics")
            .sent
            .insert((partition, key), number);
        match client.send(record) {
            Ok(()) => number += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => panic!("the producer: {error}"),
        }
    }
    client
        .flush(TIMEOUT)
        .expect("everything is acknowledged in the end");
}

/// The last value of every key, and how many records there are.
fn read(bootstrap: &str, topic: &str) -> (BTreeMap<(i32, u64), u64>, usize) {
    let (mut last, mut offsets) = (BTreeMap::new(), BTreeMap::new());
    let all = Reader::all(bootstrap, topic).found;
    for message in &all {
        let text = |b: Option<&[u8]>| {
            String::from_utf8(b.unwrap_or_default().to_vec()).expect("all is text")
        };
        let value = text(message.payload());
        let number: u64 = value
            .split(':')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        let whole = format!("{number}:{}", "x".repeat((number % 200) as usize));
        assert_eq!(value, whole, "the value is whole");
        let partition = message.partition();
        let before = offsets.insert(partition, message.offset());
        assert!(before.is_none_or(|b| b < message.offset()), "offsets grow");
        let key = text(message.key()).parse().expect("a key");
        let before = last.insert((partition, key), number);
        assert!(before.is_none_or(|b| b < number), "values are in order");
    }
    (last, all.len())
}

#[test]
fn each_keys_last_acknowledged_value_survives_kills_under_compaction() {
    let rounds = std::env::var("OTTLA_CRASH_ROUNDS");
    let rounds: usize = rounds.map_or(12, |n| n.parse().expect("a number of rounds"));
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut broker = Broker::start_with(&["log.cleaner.backoff.ms=0"]);
    let topic = unique("compacted");
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .create()
        .expect("the client's settings are right");
    let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "30000")
        .set("min.cleanable.dirty.ratio", "0.01");
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let made = runtime.block_on(admin.create_topics([&new], &options));
    made.expect("the broker answers")[0]
        .as_ref()
        .expect("the topic is made");

    let report = Report::default();
    let (stop, pause) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let producer = {
        let (bootstrap, topic) = (broker.bootstrap(), topic.clone());
        let (report, stop, pause) = (report.clone(), stop.clone(), pause.clone());
        thread::spawn(move || produce(&bootstrap, &topic, &report, &stop, &pause))
    };
    let (mut sent, mut fewest) = (0, usize::MAX);
    for round in 0..rounds {
        thread::sleep(Duration::from_millis(rng.random_range(100..700)));
        broker.kill();
        let acknowledged = report
            .0
            .lock()
            .expect("no holder panics")
            .acknowledged
            .clone();
        broker.restart();
        pause.store(true, Ordering::Relaxed);
        let (last, count) = read(&broker.bootstrap(), &topic);
        let told = report.0.lock().expect("no holder panics");
        for (key, number) in &acknowledged {
            let found = last.get(key);
            assert!(
                found.is_some_and(|f| f >= number && *f <= told.sent[key]),
                "round {round}, {key:?}: {found:?} instead of {number} to {}",
                told.sent[key]
            );
        }
        sent = told.sent.values().max().copied().unwrap_or_default();
        drop(told);
        fewest = fewest.min(count);
        pause.store(false, Ordering::Relaxed);
    }
    stop.store(true, Ordering::Relaxed);
    producer.join().expect("the producer does not panic");
    let (last, count) = read(&broker.bootstrap(), &topic);
    let told = report.0.lock().expect("no holder panics");
    assert_eq!(told.failures, Vec::<String>::new());
    assert_eq!(last, told.acknowledged);
    println!("{rounds} kills, {sent} records sent, {count} left");
    // Otherwise nothing was killed in the middle of anything.
    assert!((count as u64) < sent / 2, "{count} of {sent} are left");
}
