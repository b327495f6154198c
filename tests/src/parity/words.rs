//! Short forms for what every request needs.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, GroupId, ListOffsetsRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use bytes::Bytes;

use super::both::Side;

/// A string of the protocol.
pub fn s(text: impl AsRef<str>) -> StrBytes {
    StrBytes::from_string(text.as_ref().to_owned())
}

/// A topic's name.
pub fn topic_name(name: impl AsRef<str>) -> TopicName {
    TopicName(s(name))
}

/// A group's id.
pub fn group_id(name: impl AsRef<str>) -> GroupId {
    GroupId(s(name))
}

/// A produce request with acks=all for one partition, by name or by id as `version` has it.
pub fn produce(
    side: &Side,
    version: i16,
    topic: &str,
    partition: i32,
    records: Bytes,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let named = match version {
        ..13 => TopicProduceData::default().with_name(topic_name(topic)),
        _ => TopicProduceData::default().with_topic_id(side.topic_id(topic)),
    };
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![named.with_partition_data(vec![data])])
}

/// A fetch request without a session for some partitions and offsets of one topic, by name or by id as `version` has it.
pub fn fetch(side: &Side, version: i16, topic: &str, from: &[(i32, i64)]) -> FetchRequest {
    let partitions = from
        .iter()
        .map(|(partition, offset)| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*offset)
                .with_current_leader_epoch(-1)
                .with_partition_max_bytes(1 << 20)
        })
        .collect();
    let named = match version {
        ..13 => FetchTopic::default().with_topic(topic_name(topic)),
        _ => FetchTopic::default().with_topic_id(side.topic_id(topic)),
    };
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(50 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![named.with_partitions(partitions)])
}

/// A list-offsets request for one partition.
pub fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(vec![partition]),
        ])
}
