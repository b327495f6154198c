//! SIGKILL while records are nacked, dead-lettered and redriven: in the end every record was processed, and every one that failed was
//! dead-lettered once and came back once. `OTTLA_CRASH_ROUNDS` sets the number of rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, FetchRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest,
    ProduceRequest, TopicName,
};
use ottla_client::{ClientError, Connection};
use ottla_codec::StrBytes;
use ottla_codec::batch::BatchHeader;
use ottla_codec::records::{BatchBuilder, Record, iterate};
use ottla_tests::harness::Broker;
use rand::{Rng, SeedableRng, rngs::StdRng};

const TOPIC: &str = "orders";
const GROUP: &str = "billing";
const PARTITIONS: i32 = 3;
const PER_PARTITION: usize = 2_000;
const TIMEOUT: Duration = Duration::from_secs(240);

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

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

async fn make_and_fill(connection: &mut Connection) {
    let create = CreateTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(name())
                .with_num_partitions(PARTITIONS)
                .with_replication_factor(1),
        ]);
    let created = connection.call(5, &create).await.expect("is answered");
    assert_eq!(created.topics[0].error_code, 0);
    for partition in 0..PARTITIONS {
        let records: Vec<Record> = (0..PER_PARTITION)
            .map(|i| Record {
                offset: i as i64,
                timestamp: 1_700_000_000_000,
                key: None,
                value: Some(Bytes::from(i.to_string())),
                headers: vec![],
            })
            .collect();
        for batch in records.chunks(50) {
            let numbered: Vec<Record> = (0..)
                .zip(batch)
                .map(|(offset, r)| Record {
                    offset,
                    ..r.clone()
                })
                .collect();
            let batch = BatchBuilder::default().build(&numbered);
            let data = PartitionProduceData::default()
                .with_index(partition)
                .with_records(Some(batch));
            let produce = ProduceRequest::default()
                .with_acks(-1)
                .with_timeout_ms(30_000)
                .with_topic_data(vec![
                    TopicProduceData::default()
                        .with_name(name())
                        .with_partition_data(vec![data]),
                ]);
            let produced = connection.call(9, &produce).await.expect("is answered");
            assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
        }
    }
}

async fn position(connection: &mut Connection, partition: i32) -> Result<i64, ClientError> {
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
        .with_topics(Some(vec![
            OffsetFetchRequestTopic::default()
                .with_name(name())
                .with_partition_indexes(vec![partition]),
        ]));
    let answer = connection.call(5, &request).await?;
    let found = &answer.topics[0].partitions[0];
    Ok(match (answer.error_code, found.error_code) {
        (0, 0) => found.committed_offset.max(0),
        _ => -1,
    })
}

async fn commit(
    connection: &mut Connection,
    partition: i32,
    offset: i64,
    metadata: &'static str,
) -> Result<i16, ClientError> {
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(name())
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
                .with_topic(name())
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

/// Offsets that a partition's consumer has processed and was told that they are committed.
type Processed = Arc<Mutex<BTreeSet<(i32, i64)>>>;

/// Consumes a partition as an ordinary client does that says which record failed.
async fn consume(bootstrap: String, partition: i32, processed: Processed, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::connect(bootstrap.clone()).await else {
            // The broker is away.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            if step(&mut connection, partition, &processed).await.is_err() {
                break;
            }
        }
    }
}

async fn step(
    connection: &mut Connection,
    partition: i32,
    processed: &Processed,
) -> Result<(), ClientError> {
    let position = position(connection, partition).await?;
    if position < 0 {
        return Ok(());
    }
    let mut done = Vec::new();
    let mut failed = None;
    for record in fetch(connection, partition, position).await? {
        if is_poison(index_of(&record)) && !is_redriven(&record) {
            failed = Some(record.offset);
            break;
        }
        done.push((partition, record.offset));
    }
    if let Some(&(_, last)) = done.last() {
        processed.lock().expect("no holder panics").extend(&done);
        if failed.is_none() {
            commit(connection, partition, last + 1, "").await?;
        }
    }
    if let Some(offset) = failed {
        // Everything before it is done, it failed; asks for its position with the next step.
        commit(connection, partition, offset, "!nack it always fails").await?;
    }
    Ok(())
}

/// One HTTP request on the Kafka port. `None`: the broker is away.
fn http(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1.to_owned();
    Some((status, body))
}

/// Redrives again and again. A refusal (one is under way already, nothing is dead yet) and a broker that is away are all right.
fn redrive(port: u16, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/v1/dlq/{TOPIC}/redrive");
        if let Some((status, body)) = http(port, "POST", &path, r#"{"rate": 300}"#) {
            assert!(
                matches!(status, 200..=202 | 404 | 409 | 503),
                "{status}: {body}"
            );
        }
        thread::sleep(Duration::from_millis(30));
    }
}

/// The whole log of a partition.
async fn read_all(connection: &mut Connection, partition: i32) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let next = records.last().map_or(0, |r| r.offset + 1);
        let more = fetch(connection, partition, next).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_dead_lettered_once_and_comes_back_once_whatever_is_killed_when() {
    let rounds: usize = std::env::var("OTTLA_CRASH_ROUNDS").map_or(15, |rounds| {
        rounds.parse().expect("OTTLA_CRASH_ROUNDS is a number")
    });
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut broker = Broker::start_with(&[
        "dlq.max.attempts=2",
        "dlq.breaker.consecutive=0",
        "dlq.breaker.partitions=0",
    ]);
    let mut connection = Connection::connect(broker.bootstrap())
        .await
        .expect("the broker accepts");
    make_and_fill(&mut connection).await;

    let stop: Arc<AtomicBool> = Arc::default();
    let processed: Processed = Arc::default();
    let consumers: Vec<_> = (0..PARTITIONS)
        .map(|p| {
            let consumer = consume(broker.bootstrap(), p, processed.clone(), stop.clone());
            tokio::spawn(consumer)
        })
        .collect();
    let redriver = {
        let (port, stop) = (broker.port(), stop.clone());
        thread::spawn(move || redrive(port, &stop))
    };

    let poisons: BTreeMap<usize, usize> = (0..PER_PARTITION)
        .filter(|i| is_poison(*i))
        .map(|i| (i, 1))
        .collect();
    let expected = PARTITIONS as usize * PER_PARTITION;
    let count = || processed.lock().expect("no holder panics").len();
    let deadline = Instant::now() + TIMEOUT;
    let mut crashes = 0;
    for round in 0..rounds {
        let before = count();
        while count() < (before + 20).min(expected) {
            assert!(Instant::now() < deadline, "round {round}: no progress");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if count() >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..80))).await;
        broker.kill();
        broker.restart();
        crashes += 1;
    }
    // Each record is processed at one place: those that failed at that of their copy.
    while count() < expected {
        assert!(Instant::now() < deadline, "{} of {expected}", count());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for consumer in consumers {
        consumer.await.expect("no consumer failed");
    }
    redriver.join().expect("redrives are answered");

    let mut connection = Connection::connect(broker.bootstrap())
        .await
        .expect("the broker accepts");
    let processed = processed.lock().expect("no holder panics").clone();
    for partition in 0..PARTITIONS {
        let log = read_all(&mut connection, partition).await;
        assert_eq!(redriven(&log), poisons, "partition {partition}");
        assert_eq!(log.len(), PER_PARTITION + poisons.len());
        for record in &log {
            let failed = is_poison(index_of(record)) && !is_redriven(record);
            let was = processed.contains(&(partition, record.offset));
            assert_eq!(was, !failed, "{partition} at {}", record.offset);
        }
    }
    let (status, body) = http(broker.port(), "GET", "/v1/dlq/orders/records", "").expect("answers");
    assert_eq!(status, 200, "{body}");
    let left: serde_json::Value = serde_json::from_str(&body).expect("is JSON");
    assert_eq!(left["records"], serde_json::json!([]), "nothing is left");
    println!(
        "{crashes} crashes, {} dead letters",
        poisons.len() * PARTITIONS as usize
    );
    assert!(crashes > 0, "a test without a crash shows nothing");
}
