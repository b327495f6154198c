//! A queue filled as dead-lettering fills it, and what the tests ask of it.

use std::time::Duration;

use bytes::Bytes;
use ottla_broker::dead_letters::views::{Redrive, RedriveRequest, TaskView};
use ottla_broker::dead_letters::{Problem, Selection};
use ottla_client::Connection;
use ottla_codec::batch::BatchHeader;
use ottla_codec::compression::Compression;
use ottla_codec::messages::create_topics_request::CreatableTopic;
use ottla_codec::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_codec::messages::{CreateTopicsRequest, DeleteTopicsRequest, ProduceRequest};
use ottla_codec::records::{BatchBuilder, Record, RecordHeader, iterate};
use ottla_dlq::headers::{Failure, for_queue};

use crate::support::{self, Running, fetch_request, name};

pub const WAIT: Duration = Duration::from_secs(20);

/// A broker with a topic `orders` and its queue, of so many partitions.
pub async fn with_queue(partitions: i32) -> (Running, Connection) {
    let running = support::start(&[]).await;
    let mut connection = running.connect().await;
    make(&mut connection, "orders", partitions).await;
    make(&mut connection, "orders.dlq", partitions).await;
    (running, connection)
}

pub async fn make(connection: &mut Connection, topic: &str, partitions: i32) {
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(name(topic))
                .with_num_partitions(partitions)
                .with_replication_factor(1),
        ]);
    let answer = connection.call(5, &request).await.unwrap();
    assert_eq!(answer.topics[0].error_code, 0, "{topic}");
}

pub async fn delete(connection: &mut Connection, topic: &str) {
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topic_names(vec![name(topic)]);
    let answer = connection.call(3, &request).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0);
}

pub fn text(value: &str) -> Option<Bytes> {
    Some(Bytes::from(value.to_owned()))
}

pub fn header(key: &str, value: Option<&str>) -> RecordHeader {
    RecordHeader {
        key: Bytes::from(key.to_owned()),
        value: value.and_then(text),
    }
}

pub fn record(key: Option<&str>, value: Option<&str>) -> Record {
    Record {
        offset: 0,
        timestamp: 1_700_000_000_123,
        key: key.and_then(text),
        value: value.and_then(text),
        headers: vec![],
    }
}

/// A record as it would be in the queue of `orders`.
pub fn dead(original: &Record, offset: i64, group: &str, reason: &str, at_ms: i64) -> Record {
    let failure = Failure {
        topic: "orders",
        partition: 0,
        offset,
        group,
        attempts: 5,
        message: reason,
        timestamp_ms: at_ms,
        client: "worker /127.0.0.1",
    };
    Record {
        headers: for_queue(&original.headers, &failure),
        ..original.clone()
    }
}

pub async fn produce(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    compression: Compression,
    records: &[Record],
) {
    let numbered: Vec<Record> = (0..)
        .zip(records)
        .map(|(offset, r)| Record {
            offset,
            ..r.clone()
        })
        .collect();
    let batch = BatchBuilder {
        compression,
        ..BatchBuilder::default()
    }
    .build(&numbered);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(name(topic))
                .with_partition_data(vec![
                    PartitionProduceData::default()
                        .with_index(partition)
                        .with_records(Some(batch)),
                ]),
        ]);
    let answer = connection.call(9, &request).await.unwrap();
    assert_eq!(support::produced(&answer).0, 0);
}

/// `count` dead letters of partition 0 with the values "0", "1", ... in one batch.
pub async fn fill(connection: &mut Connection, count: usize) {
    let records: Vec<Record> = (0..count)
        .map(|i| {
            let value = i.to_string();
            dead(
                &record(None, Some(&value)),
                i as i64,
                "billing",
                "broken",
                1,
            )
        })
        .collect();
    produce(connection, "orders.dlq", 0, Compression::None, &records).await;
}

/// Everything in a partition whose log begins at 0.
pub async fn read(connection: &mut Connection, topic: &str, partition: i32) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let next = records.last().map_or(0, |r| r.offset + 1);
        let mut request = fetch_request(topic, next, Duration::ZERO);
        request.topics[0].partitions[0].partition = partition;
        let mut answer = connection.call(11, &request).await.unwrap();
        let found = &mut answer.responses[0].partitions[0];
        assert_eq!(found.error_code, 0, "{topic}-{partition} at {next}");
        let mut bytes = found.records.take().unwrap_or_default();
        let before = records.len();
        while !bytes.is_empty() {
            let size = BatchHeader::parse(&bytes).unwrap().size;
            let batch = bytes.split_to(size);
            let batch = iterate(batch, 1 << 24).unwrap().map(|r| r.unwrap());
            records.extend(batch.filter(|r| r.offset >= next));
        }
        if records.len() == before {
            return records;
        }
    }
}

pub fn values(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|r| String::from_utf8(r.value.clone().unwrap().to_vec()).unwrap())
        .collect()
}

/// Starts a redrive of the queue of `orders`.
pub async fn begin(running: &Running, request: RedriveRequest) -> Result<TaskView, Problem> {
    let queues = running.broker.dead_letters();
    match queues.redrive("orders", request).await? {
        Redrive::Started(task) => Ok(*task),
        Redrive::DryRun(_) => panic!("a dry run"),
    }
}

/// Redrives what is selected, to the end.
pub async fn redrive(running: &Running, selection: Selection) -> TaskView {
    redrive_all(
        running,
        RedriveRequest {
            selection,
            ..RedriveRequest::default()
        },
    )
    .await
}

pub async fn redrive_all(running: &Running, request: RedriveRequest) -> TaskView {
    let task = begin(running, request).await.unwrap();
    let queues = running.broker.dead_letters();
    queues.redrive_status(task.id, WAIT).await.unwrap()
}

/// Offsets of the records that are in the queue of `orders`.
pub async fn left(running: &Running) -> Vec<(i32, i64)> {
    let queues = running.broker.dead_letters();
    let (mut left, mut cursor) = (Vec::new(), None);
    loop {
        let page = queues
            .records("orders", Selection::default(), 7, cursor)
            .await
            .unwrap();
        left.extend(page.records.iter().map(|r| (r.partition, r.offset)));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return left,
        }
    }
}
