//! Resets while producers and a group of librdkafka are connected and busy: they go on by themselves, on topics that begin anew.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, ottla_binary, unique};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

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

/// Sends records that say which round they were sent in. What goes with a reset is lost, as it should be.
fn produce(
    bootstrap: String,
    topic: String,
    idempotent: &'static str,
    round: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) {
    let producer: BaseProducer = client(&bootstrap)
        .set("enable.idempotence", idempotent)
        .set("message.timeout.ms", "60000")
        .set("linger.ms", "1")
        .create()
        .expect("the client's settings are right");
    while !stop.load(Ordering::Relaxed) {
        let value = round.load(Ordering::SeqCst).to_string();
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
        let value = message.payload().expect("values are there");
        let of: usize = std::str::from_utf8(value)
            .expect("values are text")
            .parse()
            .expect("values are numbers");
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
    let producers: Vec<JoinHandle<()>> = ["true", "false"]
        .into_iter()
        .map(|idempotent| {
            let (bootstrap, topic) = (bootstrap.clone(), topic.clone());
            let (round, stop) = (round.clone(), stop.clone());
            thread::spawn(move || produce(bootstrap, topic, idempotent, round, stop))
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
    for next in 1..=ROUNDS {
        commit(&consumer);
        let before = end(&consumer, &topic);
        assert!(before > 0);
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
    // The log begins anew: what was sent before the first reset is not there.
    let oldest: BaseConsumer = client(&bootstrap)
        .set("group.id", unique("verifier"))
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("the client's settings are right");
    oldest.subscribe(&[&topic]).expect("a fair topic name");
    let deadline = Instant::now() + TIMEOUT;
    let first = loop {
        assert!(Instant::now() < deadline, "the log cannot be read");
        if let Some(Ok(message)) = oldest.poll(Duration::from_millis(100)) {
            break message.detach();
        }
    };
    assert_eq!(first.offset(), 0);
    let of = first
        .payload()
        .map(|v| String::from_utf8_lossy(v).into_owned());
    let of: usize = of.expect("a value").parse().expect("a number");
    assert!(
        of >= ROUNDS - 1,
        "a record of round {of} outlived later resets"
    );
}

fn end(consumer: &BaseConsumer, topic: &str) -> i64 {
    let found = consumer.fetch_watermarks(topic, 0, TIMEOUT);
    found.expect("the topic is there").1
}
