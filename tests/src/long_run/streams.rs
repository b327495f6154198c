//! Numbered records, and producers of several kinds.
//!
//! The records of a partition come from one producer, numbered from 0 without a hole. Where nothing else is in the partition
//! a record's number is its offset, so that neither side has to remember what was sent: a lost record, one that is there twice and one
//! out of order all have an offset that is not their number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ottla_bench::payload::Payload;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::shared::{Shared, add};

/// Bytes before the payload: the number, and when it was sent.
const HEAD: usize = 16;
/// How often a producer looks for what is due.
const TICK: Duration = Duration::from_millis(5);
/// How long anything may take.
pub const TIMEOUT: Duration = Duration::from_secs(90);

/// A topic with a producer of its own.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// The topic.
    pub topic: &'static str,
    /// How many partitions.
    pub partitions: i32,
    /// What batches are compressed with.
    pub codec: &'static str,
    /// The smallest and the largest record, bytes.
    pub sizes: (usize, usize),
    /// Records a second, in all partitions together.
    pub rate: f64,
    /// Whether its producer is idempotent. Others may send a record again, but in order.
    pub idempotent: bool,
    /// As many keys in turn, every tenth record a tombstone; without keys there are none.
    pub keys: Option<u64>,
    /// Whether records are added by others: then numbers are no offsets, and the consumer here does not look.
    pub mixed: bool,
    /// The topic's settings.
    pub settings: &'static [(&'static str, &'static str)],
}

/// Keys go through all of them in an order that is no order.
const STRIDE: u64 = 7919;

impl Stream {
    /// The key of a number.
    pub fn key(&self, number: u64) -> Option<u64> {
        self.keys.map(|keys| number.wrapping_mul(STRIDE) % keys)
    }

    /// Whether a number is a tombstone.
    pub fn is_tombstone(&self, number: u64) -> bool {
        self.keys.is_some() && number % 10 == 3
    }

    fn size(&self, number: u64) -> usize {
        let (least, most) = self.sizes;
        least + number.wrapping_mul(STRIDE) as usize % (most - least + 1)
    }

    /// A record's value.
    pub fn value(&self, payload: &Payload, number: u64, sent: u64) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.size(number));
        value.extend(number.to_be_bytes());
        value.extend(sent.to_be_bytes());
        value.extend(self.body(payload, number));
        value
    }

    /// What follows the head of a record.
    fn body<'a>(&self, payload: &'a Payload, number: u64) -> &'a [u8] {
        payload.slice(number, self.size(number).saturating_sub(HEAD))
    }
}

/// What producers were told: the number of the last acknowledged record by partition, -1 for none.
pub struct Told(HashMap<(&'static str, i32), AtomicI64>);

impl Told {
    /// Nothing yet.
    pub fn of(streams: &[Stream]) -> Arc<Told> {
        let partitions = streams
            .iter()
            .flat_map(|s| (0..s.partitions).map(|p| ((s.topic, p), AtomicI64::new(-1))));
        Arc::new(Told(partitions.collect()))
    }

    /// The last acknowledged number.
    pub fn last(&self, topic: &'static str, partition: i32) -> i64 {
        self.0[&(topic, partition)].load(Ordering::Acquire)
    }
}

struct Report {
    stream: Stream,
    shared: Arc<Shared>,
    told: Arc<Told>,
}

impl ClientContext for Report {}

impl ProducerContext for Report {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, number: usize) {
        let (stream, number) = (&self.stream, number as i64);
        match delivered {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                add(&self.shared.counts.acknowledged, 1);
                add(&self.shared.counts.bytes, message.payload_len() as u64);
                // -1: acknowledged as written before, and the broker remembers no more where.
                if stream.idempotent && !stream.mixed && offset != number && offset >= 0 {
                    self.shared.fail(format!(
                        "{}-{partition}: record {number} was acknowledged at {offset}",
                        stream.topic
                    ));
                }
                self.told.0[&(stream.topic, partition)].store(number, Ordering::Release);
            }
            Err((error, _)) => self.shared.fail(format!(
                "{}: record {number} was given up: {error}",
                stream.topic
            )),
        }
    }
}

/// Sends a stream's records at its rate until the end of the load; then waits until all are acknowledged. It waits while there is no
/// `room`.
pub fn produce(shared: &Arc<Shared>, stream: Stream, told: &Arc<Told>, room: impl Fn() -> bool) {
    let report = Report {
        stream,
        shared: Arc::clone(shared),
        told: Arc::clone(told),
    };
    let mut config = shared.client();
    if stream.idempotent {
        config.set("enable.idempotence", "true");
    } else {
        // In order, though maybe twice.
        config
            .set("acks", "1")
            .set("max.in.flight.requests.per.connection", "1");
    }
    let client: ThreadedProducer<Report> = config
        .set("client.id", format!("producer of {}", stream.topic))
        .set("message.timeout.ms", "0")
        .set("linger.ms", "5")
        // No larger than the smallest segments, whatever has gathered while the broker was away.
        .set("batch.size", "100000")
        .set("queue.buffering.max.messages", "20000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("compression.codec", stream.codec)
        .create_with_context(report)
        .expect("the client's settings are right");
    let payload = Payload::default();
    let mut next = vec![0u64; stream.partitions as usize];
    let (started, rate) = (Instant::now(), stream.rate * shared.load);
    let mut sent = 0u64;
    while shared.goes_on() {
        let due = (started.elapsed().as_secs_f64() * rate) as u64;
        while sent < due && room() {
            let partition = (sent % stream.partitions as u64) as usize;
            if !send(
                shared,
                &client,
                &stream,
                &payload,
                partition,
                next[partition],
            ) {
                // The broker is away.
                break;
            }
            next[partition] += 1;
            sent += 1;
        }
        // What was due more than a second ago is left out.
        sent = sent.max(due.saturating_sub(rate as u64));
        thread::sleep(TICK);
    }
    if let Err(error) = client.flush(TIMEOUT) {
        shared.fail(format!(
            "{}: not everything was acknowledged in the end: {error}",
            stream.topic
        ));
    }
}

/// Whether there was room for it.
fn send(
    shared: &Shared,
    client: &ThreadedProducer<Report>,
    stream: &Stream,
    payload: &Payload,
    partition: usize,
    number: u64,
) -> bool {
    let value = stream.value(payload, number, shared.now());
    let key = stream.key(number).map(|key| key.to_string());
    let mut record = BaseRecord::<str, [u8], usize>::with_opaque_to(stream.topic, number as usize)
        .partition(partition as i32);
    if !stream.is_tombstone(number) {
        record = record.payload(&value);
    }
    if let Some(key) = &key {
        record = record.key(key);
    }
    match client.send(record) {
        Ok(()) => true,
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => false,
        Err((error, _)) => panic!("{}: {error}", stream.topic),
    }
}

/// The number of a record whose bytes are right, and when it was sent; why not, if they are not.
pub fn parse(stream: &Stream, payload: &Payload, value: &[u8]) -> Result<(u64, u64), String> {
    let Some((head, body)) = value.split_at_checked(HEAD) else {
        return Err(format!("a record of {} bytes", value.len()));
    };
    let word = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let (number, sent) = (word(0), word(8));
    if body != stream.body(payload, number) {
        return Err(format!("record {number} has other bytes"));
    }
    Ok((number, sent))
}
