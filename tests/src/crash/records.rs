//! Idempotent producers that go on through every crash, what they were told, and what the log must hold for that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::groups::group_settings;
use super::promises::Promise;
use super::{Signals, TIMEOUT};
use crate::harness::unique;

/// Partitions of the topic.
pub const PARTITIONS: i32 = 3;
/// Producers that write to it.
pub const PRODUCERS: usize = 4;

/// What a log holds: (producer, sequence) by (partition, offset).
pub type Log = BTreeMap<(i32, i64), (usize, u64)>;
/// What a producer was told: (partition, offset) by sequence.
pub type Told = BTreeMap<u64, (i32, i64)>;

/// A record's value: which producer sent it, as which of its records, and some weight.
fn value(producer: usize, sequence: u64) -> String {
    format!(
        "{producer}:{sequence}:{}",
        "x".repeat((sequence % 300) as usize)
    )
}

pub(super) fn parse(value: &[u8]) -> (usize, u64) {
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
pub struct Acknowledged {
    records: Mutex<Told>,
    failures: Mutex<Vec<String>>,
    /// Records handed to the client.
    pub sent: AtomicU64,
}

impl Acknowledged {
    /// What was acknowledged so far.
    pub fn told(&self) -> Told {
        self.records.lock().expect("no holder panics").clone()
    }

    /// What was refused so far: nothing, ever.
    pub fn assert_nothing_failed(&self) {
        let failures = self.failures.lock().expect("no holder panics");
        assert!(failures.is_empty(), "{failures:?}");
    }
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

/// Sends some ten thousand records a second until told to stop; then waits until all is acknowledged.
pub fn produce(
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

/// The whole topic, as (producer, sequence) by (partition, offset).
pub fn read_all(bootstrap: &str, topic: &str) -> Log {
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
        let message = match message {
            Err(error @ KafkaError::MessageConsumption(RDKafkaErrorCode::InvalidMessage)) => {
                Promise::Kept.hold(false, || format!("a record cannot be read: {error}"));
                continue;
            }
            // The client goes on by itself: a machine may stand still for as long as its patience lasts.
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            )) => continue,
            message => message.expect("the broker serves the log"),
        };
        if message.offset() < ends[&message.partition()] {
            let record = parse(message.payload().expect("no tombstones here"));
            records.insert((message.partition(), message.offset()), record);
        }
    }
    records
}

/// Every acknowledged record is where its acknowledgement said.
pub fn assert_kept(log: &Log, acknowledged: &[Told]) {
    let told = acknowledged.iter().enumerate();
    let told = told.flat_map(|(producer, records)| {
        records
            .iter()
            .map(move |(sequence, place)| (producer, *sequence, *place))
    });
    let lost: Vec<_> = told
        .filter(|(producer, sequence, place)| log.get(place) != Some(&(*producer, *sequence)))
        .collect();
    Promise::Kept.hold_all(lost.len() as u64, || {
        let (producer, sequence, place) = lost[0];
        let found = log.get(&place);
        format!("record {sequence} of producer {producer} was acknowledged at {place:?}, where {found:?} is")
    });
}

/// Each producer's records are there once, in the order in which they were sent, without a hole.
pub fn assert_once_and_in_order(log: &Log) {
    let mut next = [0u64; PRODUCERS];
    for (place, (producer, sequence)) in log {
        let wanted = next[*producer];
        let broken = match *sequence > wanted {
            true => Promise::Kept,
            false => Promise::Once,
        };
        broken.hold(*sequence == wanted, || {
            format!("{sequence} of producer {producer} at {place:?} instead of {wanted}")
        });
        next[*producer] += 1;
    }
}
