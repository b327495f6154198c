//! Records that fail, through every crash: their group nacks them, they move to the queue of dead letters, and are redriven again and
//! again. In the end every record was processed, and every one that failed was dead-lettered once and came back once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    BrokerId, FetchRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use ottla_client::{ClientError, Connection};
use ottla_codec::StrBytes;
use ottla_codec::batch::BatchHeader;
use ottla_codec::records::{Record, iterate};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::json;

use super::promises::Promise;
use super::topics::runtime;
use super::{Signals, TIMEOUT, create_topic};
use crate::harness::{rest, unique};

/// Partitions of the topic.
pub const PARTITIONS: i32 = 3;
/// What the broker must be told: two failures are enough, however many fail one after the other.
pub const SETTINGS: [&str; 3] = [
    "dlq.max.attempts=2",
    "dlq.breaker.consecutive=0",
    "dlq.breaker.partitions=0",
];

/// Every ninth record fails until it was redriven.
fn is_poison(index: usize) -> bool {
    index % 9 == 4
}

fn index_of(record: &Record) -> usize {
    let value = record.value.as_deref().expect("a value");
    let text = std::str::from_utf8(value).expect("text");
    text.parse().expect("a number")
}

fn is_redriven(record: &Record) -> bool {
    let count = record
        .headers
        .iter()
        .find(|h| &h.key[..] == b"__dlq.redrive.count");
    match count {
        Some(count) => {
            assert_eq!(count.value.as_deref(), Some(&b"1"[..]), "redriven once");
            true
        }
        None => false,
    }
}

/// Topic and group of one workload.
#[derive(Clone)]
struct Place {
    topic: String,
    group: String,
}

impl Place {
    fn topic(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.topic.clone()))
    }

    fn group(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.clone()))
    }
}

async fn position(
    connection: &mut Connection,
    place: &Place,
    partition: i32,
) -> Result<i64, ClientError> {
    let request = OffsetFetchRequest::default()
        .with_group_id(place.group())
        .with_topics(Some(vec![
            OffsetFetchRequestTopic::default()
                .with_name(place.topic())
                .with_partition_indexes(vec![partition]),
        ]));
    let answer = connection.call(5, &request).await?;
    // An error of the group comes without topics.
    let found = answer.topics.first().map(|topic| &topic.partitions[0]);
    Ok(match (answer.error_code, found) {
        (0, Some(found)) if found.error_code == 0 => found.committed_offset.max(0),
        _ => -1,
    })
}

async fn commit(
    connection: &mut Connection,
    place: &Place,
    partition: i32,
    offset: i64,
    metadata: &'static str,
) -> Result<i16, ClientError> {
    let request = OffsetCommitRequest::default()
        .with_group_id(place.group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(place.topic())
                .with_partitions(vec![
                    OffsetCommitRequestPartition::default()
                        .with_partition_index(partition)
                        .with_committed_offset(offset)
                        .with_committed_leader_epoch(-1)
                        .with_committed_metadata(Some(StrBytes::from_static_str(metadata))),
                ]),
        ]);
    let answer = connection.call(7, &request).await?;
    Ok(answer.topics[0].partitions[0].error_code)
}

async fn fetch(
    connection: &mut Connection,
    place: &Place,
    partition: i32,
    offset: i64,
) -> Result<Vec<Record>, ClientError> {
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(50)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(place.topic())
                .with_partitions(vec![
                    FetchPartition::default()
                        .with_partition(partition)
                        .with_current_leader_epoch(-1)
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(8 << 10),
                ]),
        ]);
    let mut answer = connection.call(11, &request).await?;
    let found = &mut answer.responses[0].partitions[0];
    assert_eq!(found.error_code, 0, "{partition} at {offset}");
    let mut bytes = found.records.take().unwrap_or_default();
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let size = BatchHeader::parse(&bytes).expect("whole batches").size;
        let batch = iterate(bytes.split_to(size), 1 << 24).expect("sound batches");
        records.extend(batch.map(|r| r.expect("sound records")));
    }
    records.retain(|r| r.offset >= offset);
    Ok(records)
}

/// Offsets that a partition's consumer has processed.
type Processed = Arc<Mutex<BTreeSet<(i32, i64)>>>;

/// Consumes a partition as an ordinary client does that says which record failed.
async fn consume(
    bootstrap: String,
    place: Place,
    partition: i32,
    processed: Processed,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::connect(bootstrap.clone()).await else {
            // The broker is away.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            if step(&mut connection, &place, partition, &processed)
                .await
                .is_err()
            {
                break;
            }
        }
    }
}

async fn step(
    connection: &mut Connection,
    place: &Place,
    partition: i32,
    processed: &Processed,
) -> Result<(), ClientError> {
    let position = position(connection, place, partition).await?;
    if position < 0 {
        return Ok(());
    }
    let mut done = Vec::new();
    let mut failed = None;
    for record in fetch(connection, place, partition, position).await? {
        if is_poison(index_of(&record)) && !is_redriven(&record) {
            failed = Some(record.offset);
            break;
        }
        done.push((partition, record.offset));
    }
    if let Some(&(_, last)) = done.last() {
        processed.lock().expect("no holder panics").extend(&done);
        if failed.is_none() {
            commit(connection, place, partition, last + 1, "").await?;
        }
    }
    if let Some(offset) = failed {
        // Everything before it is done, it failed; asks for its position with the next step.
        commit(
            connection,
            place,
            partition,
            offset,
            "!nack it always fails",
        )
        .await?;
    }
    Ok(())
}

/// Redrives again and again. A refusal (one is under way already, nothing is dead yet) and a broker that is away are all right.
fn redrive(port: u16, topic: &str, stop: &AtomicBool) {
    let path = format!("/v1/dlq/{topic}/redrive");
    while !stop.load(Ordering::Relaxed) {
        if let Ok(answer) = rest::ask(port, "POST", &path, Some(&json!({"rate": 300}))) {
            assert!(
                matches!(answer.status, 200..=202 | 404 | 409 | 503),
                "{answer:?}"
            );
        }
        thread::sleep(Duration::from_millis(30));
    }
}

/// Sends the numbers of each partition, a few hundred a second, until told to stop; how many of each there are.
fn produce(bootstrap: &str, topic: &str, most: usize, signals: &Signals, sent: &AtomicUsize) {
    let client: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .create()
        .expect("the client's settings are right");
    let mut number = 0;
    while !signals.stop.load(Ordering::Relaxed) && number < most * PARTITIONS as usize {
        thread::sleep(Duration::from_millis(2));
        if signals.pause.load(Ordering::Relaxed) {
            continue;
        }
        let text = (number / PARTITIONS as usize).to_string();
        let record = BaseRecord::<(), str>::to(topic)
            .partition((number % PARTITIONS as usize) as i32)
            .payload(&text);
        match client.send(record) {
            Ok(()) => number += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {}
            Err((error, _)) => panic!("{error}"),
        }
        sent.store(number, Ordering::Relaxed);
    }
    client
        .flush(TIMEOUT)
        .expect("everything is acknowledged in the end");
}

/// The whole log of a partition.
async fn read_all(bootstrap: &str, place: &Place, partition: i32) -> Vec<Record> {
    let connection = Connection::connect(bootstrap.to_owned()).await;
    let mut connection = connection.expect("the broker accepts");
    let mut records: Vec<Record> = Vec::new();
    loop {
        let next = records.last().map_or(0, |r| r.offset + 1);
        let more = fetch(&mut connection, place, partition, next).await;
        let more = more.expect("is answered");
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

/// Values of redriven records to how often they are there.
fn redriven(records: &[Record]) -> BTreeMap<usize, usize> {
    let mut redriven = BTreeMap::new();
    for record in records.iter().filter(|r| is_redriven(r)) {
        *redriven.entry(index_of(record)).or_default() += 1;
    }
    redriven
}

/// The topic, who writes to it, who fails on it, and who brings back what failed.
pub struct DeadLetters {
    bootstrap: String,
    port: u16,
    place: Place,
    sent: Arc<AtomicUsize>,
    processed: Processed,
    stop: Arc<AtomicBool>,
    producer: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

impl DeadLetters {
    /// Makes the topic and starts to work: so many records in each partition at most. The broker must have [`SETTINGS`].
    pub fn start(bootstrap: &str, most: usize, signals: Arc<Signals>) -> DeadLetters {
        let place = Place {
            topic: unique("orders"),
            group: unique("billing"),
        };
        let port = bootstrap
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let port = port.expect("an address with a port");
        create_topic(bootstrap, &place.topic, PARTITIONS);
        let (sent, processed, stop): (Arc<AtomicUsize>, Processed, Arc<AtomicBool>) =
            Default::default();
        let producer = {
            let (bootstrap, topic) = (bootstrap.to_owned(), place.topic.clone());
            let sent = Arc::clone(&sent);
            thread::spawn(move || produce(&bootstrap, &topic, most, &signals, &sent))
        };
        let mut others = Vec::new();
        for partition in 0..PARTITIONS {
            let (bootstrap, place) = (bootstrap.to_owned(), place.clone());
            let (processed, stop) = (processed.clone(), stop.clone());
            others.push(thread::spawn(move || {
                runtime().block_on(consume(bootstrap, place, partition, processed, stop));
            }));
        }
        let (topic, stopped) = (place.topic.clone(), stop.clone());
        others.push(thread::spawn(move || redrive(port, &topic, &stopped)));
        DeadLetters {
            bootstrap: bootstrap.to_owned(),
            port,
            place,
            sent,
            processed,
            stop,
            producer,
            others,
        }
    }

    /// Records that were processed so far.
    pub fn processed(&self) -> usize {
        self.processed.lock().expect("no holder panics").len()
    }

    /// To be called when the clients were told to stop: waits until all is processed, and holds the logs against that; how many records
    /// failed and came back.
    pub fn finish(self) -> u64 {
        self.producer.join().expect("the producer does not panic");
        let sent = self.sent.load(Ordering::Relaxed);
        let deadline = Instant::now() + TIMEOUT;
        // Each record is processed at one place: those that failed at that of their copy.
        let processed = || self.processed.lock().expect("no holder panics").len();
        while processed() < sent && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        self.stop.store(true, Ordering::Relaxed);
        for other in self.others {
            other.join().expect("no consumer failed");
        }
        let processed = self.processed.lock().expect("no holder panics").clone();
        let place = &self.place;
        let mut all = 0;
        for partition in 0..PARTITIONS {
            let index = |number: usize| {
                (number % PARTITIONS as usize == partition as usize)
                    .then_some(number / PARTITIONS as usize)
            };
            let poisons: BTreeMap<usize, usize> = (0..sent)
                .filter_map(index)
                .filter(|i| is_poison(*i))
                .map(|i| (i, 1))
                .collect();
            all += poisons.len() as u64;
            let log = runtime().block_on(read_all(&self.bootstrap, place, partition));
            let back = redriven(&log);
            let lost = poisons.keys().filter(|i| !back.contains_key(i)).count() as u64;
            let topic = &place.topic;
            Promise::Kept.hold_all(lost, || {
                format!("{lost} dead letters of {topic}-{partition} did not come back")
            });
            let twice = back.values().map(|n| *n as u64 - 1).sum();
            Promise::Once.hold_all(twice, || {
                format!("{topic}-{partition}: came back more than once: {back:?}")
            });
            assert_eq!(back, poisons, "partition {partition}");
            for record in &log {
                let failed = is_poison(index_of(record)) && !is_redriven(record);
                let was = processed.contains(&(partition, record.offset));
                assert_eq!(was, !failed, "{partition} at {}", record.offset);
            }
        }
        assert_eq!(processed.len(), sent, "all that was sent was processed");
        let path = format!("/v1/dlq/{}/records", place.topic);
        let left = rest::ask(self.port, "GET", &path, None).expect("the broker answers");
        if all > 0 {
            assert_eq!(left.success()["records"], json!([]), "nothing is left");
        }
        all
    }
}
