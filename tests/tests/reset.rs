//! Resets while producers and a group of librdkafka are connected and busy: they go on by themselves, on topics that begin anew.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, ottla_binary, unique};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

const TIMEOUT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 6;

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "10")
        .set("retry.backoff.ms", "20")
        .set("topic.metadata.refresh.interval.ms", "500");
    config
}

/// The values that producers were told are kept, since they were last taken, with the offsets that they were told.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<HashMap<String, i64>>>);

impl Kept {
    fn take(&self) -> HashMap<String, i64> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics with it"))
    }
}

impl ClientContext for Kept {
    /// Errors are how a client tells that topics went; it goes on by itself.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Kept {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            let mut kept = self.0.lock().expect("nobody panics with it");
            kept.insert(value_of(message), message.offset());
        }
    }
}

fn value_of(message: &impl Message) -> String {
    let value = message.payload().expect("values are there");
    String::from_utf8(value.to_vec()).expect("values are text")
}

/// The round that a record was sent in.
fn round_of(value: &str) -> usize {
    let round = value.split(' ').next().expect("there is a first part");
    round.parse().expect("rounds are numbers")
}

/// Sends records that say which round they were sent in, and by whom. What goes with a reset is lost, as it should be.
fn produce(
    bootstrap: String,
    topic: String,
    idempotent: &'static str,
    round: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    kept: Kept,
) {
    let producer: BaseProducer<Kept> = client(&bootstrap)
        .set("enable.idempotence", idempotent)
        .set("message.timeout.ms", "60000")
        .set("linger.ms", "1")
        .create_with_context(kept)
        .expect("the client's settings are right");
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let round = round.load(Ordering::SeqCst);
        let value = format!("{round} idempotent={idempotent} {count}");
        let record = BaseRecord::<(), str>::to(&topic).payload(&value);
        // Refused: its queue is full.
        let _ = producer.send(record);
        producer.poll(Duration::from_millis(1));
    }
    producer.flush(TIMEOUT).expect("what is left is answered");
}

/// Reads until a record of this round comes.
fn first_of(consumer: &BaseConsumer, round: usize) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        assert!(Instant::now() < deadline, "no record of round {round}");
        // Errors are how a client tells that topics went; it goes on by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let of = round_of(&value_of(&message));
        assert!(of <= round, "a record of round {of} in round {round}");
        if of == round {
            return;
        }
    }
}

/// Commits where it is; as soon as it knows that it has to join again, and has.
fn commit(consumer: &BaseConsumer) {
    let deadline = Instant::now() + TIMEOUT;
    while let Err(error) = consumer.commit_consumer_state(CommitMode::Sync) {
        assert!(Instant::now() < deadline, "nothing is committed: {error}");
        let _ = consumer.poll(Duration::from_millis(50));
    }
}

fn reset(bootstrap: &str, more: &[&str]) {
    let output = Command::new(ottla_binary())
        .args(["reset", "--yes", "--bootstrap-server", bootstrap])
        .args(more)
        .output()
        .expect("the command can be run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

#[test]
fn producers_and_groups_go_on_through_resets() {
    let broker = Broker::start_with(&["auto.create.topics.enable=true"]);
    let bootstrap = broker.bootstrap();
    let topic = unique("reset");
    let (round, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let kept = Kept::default();
    let producers: Vec<JoinHandle<()>> = ["true", "false"]
        .into_iter()
        .map(|idempotent| {
            let (bootstrap, topic) = (bootstrap.clone(), topic.clone());
            let (round, stop) = (round.clone(), stop.clone());
            let kept = kept.clone();
            thread::spawn(move || produce(bootstrap, topic, idempotent, round, stop, kept))
        })
        .collect();
    let consumer: BaseConsumer = client(&bootstrap)
        .set("group.id", unique("group"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("heartbeat.interval.ms", "300")
        .set("session.timeout.ms", "6000")
        .set("allow.auto.create.topics", "true")
        .create()
        .expect("the client's settings are right");
    consumer.subscribe(&[&topic]).expect("a fair topic name");
    first_of(&consumer, 0);
    let mut gone: HashSet<String> = HashSet::new();
    for next in 1..=ROUNDS {
        commit(&consumer);
        let before = end(&consumer, &topic);
        assert!(before > 0);
        gone.extend(kept.take().into_keys());
        reset(
            &bootstrap,
            if next % 2 == 0 {
                &[]
            } else {
                &["--keep-topics"]
            },
        );
        // What is sent from here on is of the next round.
        round.store(next, Ordering::SeqCst);
        first_of(&consumer, next);
        let log = broker.log();
        assert!(!log.contains("panic"), "{log}");
    }
    stop.store(true, Ordering::SeqCst);
    for producer in producers {
        producer.join().expect("no producer panics");
    }
    let log = read_all(&bootstrap, &topic, end(&consumer, &topic));
    // The log begins anew. What a producer had not been told to be kept, it may have sent again since, however old it is.
    let outlived = log.iter().find(|value| gone.contains(*value));
    assert_eq!(outlived, None, "what was kept before a reset is there");
    let mut kept = kept.take();
    // Of a record without an offset no broker told that it is kept: its producer takes it from a later one's success, which misleads it
    // where a topic was deleted in between (librdkafka's rd_kafka_dr_implicit_ack).
    kept.retain(|value, offset| round_of(value) == ROUNDS && *offset >= 0);
    assert!(!kept.is_empty());
    for (value, offset) in kept {
        assert_eq!(log.get(offset as usize), Some(&value), "at {offset}");
        let times = log.iter().filter(|v| **v == value).count();
        let is_idempotent = value.contains("idempotent=true");
        assert!(!is_idempotent || times == 1, "{value}: {times} times");
    }
}

/// The values of a topic's only partition, from offset 0 up to `end`, each at its offset.
fn read_all(bootstrap: &str, topic: &str, end: i64) -> Vec<String> {
    let reader: BaseConsumer = client(bootstrap)
        .set("group.id", unique("verifier"))
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("the client's settings are right");
    reader.subscribe(&[topic]).expect("a fair topic name");
    let deadline = Instant::now() + TIMEOUT;
    let mut values = Vec::new();
    while (values.len() as i64) < end {
        assert!(Instant::now() < deadline, "the log cannot be read");
        if let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) {
            assert_eq!(message.offset(), values.len() as i64);
            values.push(value_of(&message));
        }
    }
    values
}

fn end(consumer: &BaseConsumer, topic: &str) -> i64 {
    let found = consumer.fetch_watermarks(topic, 0, TIMEOUT);
    found.expect("the topic is there").1
}
