//! Starting, stopping, crashing, going on.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::StrBytes;
use ottla_codec::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_codec::messages::metadata_request::MetadataRequestTopic;
use ottla_codec::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_codec::messages::{
    BrokerId, ListOffsetsRequest, MetadataRequest, ProduceRequest, TopicName,
};
use ottla_codec::records::{BatchBuilder, Record};
use ottla_testkit::Broker;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("kept"))
}

async fn connect(broker: &Broker) -> Connection {
    Connection::connect(broker.bootstrap()).await.unwrap()
}

/// Creates the topic if it is not there, and adds one record. Returns its offset.
async fn produce(broker: &Broker) -> i64 {
    let mut connection = connect(broker).await;
    let metadata = MetadataRequest::default()
        .with_allow_auto_topic_creation(true)
        .with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(topic())),
        ]));
    connection.call(9, &metadata).await.unwrap();
    let batch = BatchBuilder::default().build(&[Record {
        offset: 0,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from_static(b"v")),
        headers: vec![],
    }]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic())
                .with_partition_data(vec![
                    PartitionProduceData::default().with_records(Some(batch)),
                ]),
        ]);
    let answer = connection.call(9, &request).await.unwrap();
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0);
    partition.base_offset
}

async fn end(broker: &Broker) -> i64 {
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(topic())
                .with_partitions(vec![
                    ListOffsetsPartition::default()
                        .with_current_leader_epoch(-1)
                        .with_timestamp(-1),
                ]),
        ]);
    let answer = connect(broker).await.call(5, &request).await.unwrap();
    answer.topics[0].partitions[0].offset
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_restart_on_the_same_port() {
    let broker = Broker::start().await.unwrap();
    let bootstrap = broker.bootstrap();
    assert_eq!(produce(&broker).await, 0);
    let broker = broker.restart().await.unwrap();
    assert_eq!(broker.bootstrap(), bootstrap);
    assert_eq!(end(&broker).await, 1);
    assert_eq!(produce(&broker).await, 1);
}

#[tokio::test]
async fn what_was_acknowledged_survives_crashes() {
    let mut broker = Broker::start().await.unwrap();
    for round in 0..5 {
        assert_eq!(produce(&broker).await, round);
        broker = broker.crash().await.start().await.unwrap();
        assert_eq!(end(&broker).await, round + 1);
    }
}

#[tokio::test]
async fn many_brokers_run_in_one_process() {
    let mut brokers = Vec::new();
    for _ in 0..10 {
        brokers.push(Broker::builder().without_sync().start().await.unwrap());
    }
    for broker in &brokers {
        assert_eq!(produce(broker).await, 0);
    }
}

#[tokio::test]
async fn a_second_broker_on_the_same_data_is_refused_by_name() {
    let broker = Broker::start().await.unwrap();
    let second = Broker::builder().data_dir(broker.data_dir()).start().await;
    let message = second.err().unwrap().to_string();
    assert!(message.contains("in use"), "{message}");
}

#[tokio::test]
async fn a_stop_takes_little_time_although_connections_are_open() {
    let broker = Broker::start().await.unwrap();
    produce(&broker).await;
    let _open = connect(&broker).await;
    let begun = Instant::now();
    broker.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_temporary_directory_goes_with_its_broker() {
    let broker = Broker::start().await.unwrap();
    let dir = broker.data_dir();
    assert!(dir.exists());
    broker.stop().await.map(drop).unwrap();
    assert!(!dir.exists());
}
