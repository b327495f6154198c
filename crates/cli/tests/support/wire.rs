//! Requests by hand, and batches that lie.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_client::Connection;
use ottla_client::kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_client::kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_client::kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_client::kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_client::kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_client::kafka_protocol::messages::produce_request::{
    PartitionProduceData, TopicProduceData,
};
use ottla_client::kafka_protocol::messages::{
    BrokerId, FetchRequest, GroupId, JoinGroupRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest, ProduceRequest, TopicName,
};
use ottla_client::kafka_protocol::protocol::StrBytes;
use ottla_codec::records::{BatchBuilder, Record};

pub const PRODUCE: i16 = 9;
pub const FETCH: i16 = 11;
pub const METADATA: i16 = 9;
pub const JOIN: i16 = 3;
pub const OFFSET_COMMIT: i16 = 7;
pub const OFFSET_FETCH: i16 = 5;

pub fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_name(topic: &str) -> TopicName {
    TopicName(string(topic))
}

/// A sound batch of one record for each value.
pub fn batch(values: &[Vec<u8>]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let records: Vec<Record> = values
        .iter()
        .enumerate()
        .map(|(i, value)| Record {
            offset: i as i64,
            timestamp: now.as_millis() as i64,
            key: None,
            value: Some(Bytes::from(value.clone())),
            headers: vec![],
        })
        .collect();
    BatchBuilder::default().build(&records).to_vec()
}

/// Makes the length and the CRC right again.
pub fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

pub fn produce_request(topic: &str, batch: Vec<u8>) -> ProduceRequest {
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic_name(topic))
                .with_partition_data(vec![
                    PartitionProduceData::default().with_records(Some(batch.into())),
                ]),
        ])
}

/// Sends a batch to partition 0; the error code and the base offset.
pub async fn produce(connection: &mut Connection, topic: &str, batch: Vec<u8>) -> (i16, i64) {
    let request = produce_request(topic, batch);
    let answer = connection.call(PRODUCE, &request).await.unwrap();
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

pub fn fetch_request(topic: &str, offset: i64, wait: Duration) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(topic_name(topic))
                .with_partitions(vec![
                    FetchPartition::default()
                        .with_current_leader_epoch(-1)
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(1 << 20),
                ]),
        ])
}

/// The error code and the bytes of partition 0 from `offset` on.
pub async fn fetch(connection: &mut Connection, topic: &str, offset: i64) -> (i16, Bytes) {
    let request = fetch_request(topic, offset, Duration::ZERO);
    let answer = connection.call(FETCH, &request).await.unwrap();
    let partition = &answer.responses[0].partitions[0];
    let records = partition.records.clone().unwrap_or_default();
    (partition.error_code, records)
}

/// A commit of a position of partition 0, from outside of a group.
pub fn commit_request(
    group: &str,
    topic: &str,
    offset: i64,
    metadata: &str,
) -> OffsetCommitRequest {
    OffsetCommitRequest::default()
        .with_group_id(GroupId(string(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(vec![
                    OffsetCommitRequestPartition::default()
                        .with_committed_offset(offset)
                        .with_committed_metadata(Some(string(metadata))),
                ]),
        ])
}

/// Sends one; the error code.
pub async fn commit(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    offset: i64,
    metadata: &str,
) -> i16 {
    let request = commit_request(group, topic, offset, metadata);
    let answer = connection.call(OFFSET_COMMIT, &request).await.unwrap();
    answer.topics[0].partitions[0].error_code
}

/// A group's position in partition 0; -1 without one.
pub async fn committed(connection: &mut Connection, group: &str, topic: &str) -> i64 {
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(string(group)))
        .with_topics(Some(vec![
            OffsetFetchRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partition_indexes(vec![0]),
        ]));
    let answer = connection.call(OFFSET_FETCH, &request).await.unwrap();
    answer.topics[0].partitions[0].committed_offset
}

/// Asks for a topic, so that it is created; the error code.
pub async fn auto_create(connection: &mut Connection, topic: &str) -> i16 {
    let request = MetadataRequest::default()
        .with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(topic_name(topic))),
        ]))
        .with_allow_auto_topic_creation(true);
    let answer = connection.call(METADATA, &request).await.unwrap();
    answer.topics[0].error_code
}

/// A member's join; `member` is empty for a new one.
pub fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(GroupId(string(group)))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(string(member))
        .with_protocol_type(string("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(string("range")),
        ])
}

/// The fixed part of a header: key, version, correlation id 7, no client id.
pub fn header(key: i16, version: i16) -> Vec<u8> {
    let mut bytes = key.to_be_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&7i32.to_be_bytes());
    bytes.extend_from_slice(&(-1i16).to_be_bytes());
    bytes
}

pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}
