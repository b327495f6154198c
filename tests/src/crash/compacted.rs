//! A compacted topic that is written to through every crash: whatever a pass removes, the last record of each key is there, and
//! what is there is at its offset with its bytes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::promises::Promise;
use super::{Signals, TIMEOUT};
use crate::harness::{Reader, unique};

const KEYS: u64 = 50;
/// Every so many records one is a tombstone.
const TOMBSTONES: u64 = 23;

/// Key and value by offset.
pub type Records = BTreeMap<i64, (String, Option<String>)>;

fn record(sequence: u64) -> (String, Option<String>) {
    let value = format!("{sequence}:{}", "y".repeat(sequence as usize % 500));
    let is_tombstone = sequence.is_multiple_of(TOMBSTONES);
    (
        format!("key-{}", sequence * 7 % KEYS),
        (!is_tombstone).then_some(value),
    )
}

struct Report(Arc<Mutex<Records>>);

impl ClientContext for Report {}

impl ProducerContext for Report {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, sequence: usize) {
        // What fails is looked for by nobody: it may be there or not.
        if let Ok(message) = delivered {
            let mut told = self.0.lock().expect("no holder panics");
            let before = told.insert(message.offset(), record(sequence as u64));
            assert!(
                before.is_none(),
                "offset {} was told twice",
                message.offset()
            );
        }
    }
}

/// The topic, and who writes to it.
pub struct Compacted {
    bootstrap: String,
    topic: String,
    told: Arc<Mutex<Records>>,
    writer: JoinHandle<()>,
}

impl Compacted {
    /// Makes the topic and starts to write.
    pub fn start(bootstrap: &str, signals: Arc<Signals>) -> Compacted {
        let topic = unique("compacted");
        create(bootstrap, &topic);
        let told: Arc<Mutex<Records>> = Arc::default();
        let (address, name, seen) = (bootstrap.to_owned(), topic.clone(), Arc::clone(&told));
        let writer = thread::spawn(move || write(&address, &name, seen, &signals));
        Compacted {
            bootstrap: bootstrap.to_owned(),
            topic,
            told,
            writer,
        }
    }

    /// What was acknowledged so far.
    pub fn told(&self) -> Records {
        self.told.lock().expect("no holder panics").clone()
    }

    /// Holds the topic against what was told; how many records are gone.
    pub fn verify(&self, told: &Records) -> u64 {
        let log = read(&self.bootstrap, &self.topic);
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        let mut gone = 0;
        for (offset, record) in told {
            last.insert(&record.0, *offset);
            match log.get(offset) {
                Some(found) => Promise::Kept.hold(found == record, || {
                    format!(
                        "{} at {offset}: {found:?} instead of {record:?}",
                        self.topic
                    )
                }),
                None => gone += 1,
            }
        }
        let newest: BTreeMap<&str, i64> = log
            .iter()
            .map(|(offset, (key, _))| (key.as_str(), *offset))
            .collect();
        for (key, offset) in last {
            let found = newest.get(key).copied().unwrap_or(-1);
            Promise::Kept.hold(found >= offset, || {
                let topic = &self.topic;
                format!("{topic}: the last of {key} was at {offset}, now at {found}")
            });
        }
        gone
    }

    /// To be called when the clients were told to stop: looks once more; how many records are gone.
    pub fn finish(self) -> u64 {
        while !self.writer.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        let gone = self.verify(&self.told());
        self.writer.join().expect("the writer does not panic");
        gone
    }
}

fn create(bootstrap: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("the client's settings are right");
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "60000")
        .set("min.cleanable.dirty.ratio", "0.01")
        .set("delete.retention.ms", "604800000");
    let created = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(admin.create_topics([&new], &AdminOptions::new()))
        .expect("the broker answers");
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

fn write(bootstrap: &str, topic: &str, told: Arc<Mutex<Records>>, signals: &Signals) {
    let client: ThreadedProducer<Report> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .create_with_context(Report(told))
        .expect("the client's settings are right");
    let mut sequence = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        if signals.pause.load(Ordering::Relaxed) || sequence % 5 == 4 {
            thread::sleep(Duration::from_millis(1));
        }
        if signals.pause.load(Ordering::Relaxed) {
            continue;
        }
        let (key, value) = record(sequence);
        let mut new = BaseRecord::<str, str, usize>::with_opaque_to(topic, sequence as usize)
            .key(&key)
            .partition(0);
        new.payload = value.as_deref();
        match client.send(new) {
            Ok(()) => sequence += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
    client
        .flush(TIMEOUT)
        .expect("everything is acknowledged in the end");
}

fn read(bootstrap: &str, topic: &str) -> Records {
    let mut records = Records::new();
    for message in Reader::all(bootstrap, topic).found {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let key = text(message.key().expect("all have keys"));
        let before = records.insert(message.offset(), (key, message.payload().map(text)));
        assert!(before.is_none(), "{topic} has {} twice", message.offset());
    }
    records
}
