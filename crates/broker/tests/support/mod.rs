//! A broker on a temporary directory, and the few requests that the tests here share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    reason = "each test file uses a part of it"
)]

pub mod http;
pub mod member;
pub mod open_metrics;
pub mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_broker::Broker;
use ottla_broker::settings::BrokerConfig;
use ottla_client::Connection;
use ottla_codec::StrBytes;
use ottla_codec::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_codec::messages::metadata_request::MetadataRequestTopic;
use ottla_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_codec::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_codec::messages::{
    BrokerId, FetchRequest, GroupId, MetadataRequest, OffsetCommitRequest, ProduceRequest,
    ProduceResponse, TopicName,
};
use ottla_codec::records::{BatchBuilder, Record};
use tempfile::TempDir;

pub struct Running {
    pub broker: Broker,
    pub dir: TempDir,
}

pub async fn start(settings: &[(&str, &str)]) -> Running {
    start_in(tempfile::tempdir().unwrap(), settings).await
}

pub async fn start_in(dir: TempDir, settings: &[(&str, &str)]) -> Running {
    let mut values: BTreeMap<String, String> = settings
        .iter()
        .map(|(k, v)| ((*k).to_string(), (*v).to_string()))
        .collect();
    values.insert("listeners".into(), "PLAINTEXT://127.0.0.1:0".into());
    let config = BrokerConfig {
        data_dir: dir.path().to_path_buf(),
        values,
    };
    let broker = Broker::start(config).await.unwrap();
    Running { broker, dir }
}

impl Running {
    /// Ends it as a SIGKILL does, and starts another one on its directory.
    pub async fn crash(self, settings: &[(&str, &str)]) -> Running {
        self.broker.abort().await;
        start_in(self.dir, settings).await
    }

    /// Stops it, and starts another one on its directory.
    pub async fn restart(self, settings: &[(&str, &str)]) -> Running {
        self.broker.shutdown().await.unwrap();
        start_in(self.dir, settings).await
    }

    pub fn address(&self) -> String {
        self.broker.listeners()[0].1.to_string()
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(self.address()).await.unwrap()
    }
}

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_string()))
}

/// Creates `topic` by asking for its metadata.
pub async fn create(connection: &mut Connection, topic: &str) {
    let request = MetadataRequest::default()
        .with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(name(topic))),
        ]))
        .with_allow_auto_topic_creation(true);
    let response = connection.call(9, &request).await.unwrap();
    assert_eq!(response.topics[0].error_code, 0);
    assert!(!response.topics[0].partitions.is_empty());
}

/// Sets one setting of a topic.
pub async fn alter(connection: &mut Connection, topic: &str, setting: &str, to: &str) {
    use member::text;
    use ottla_codec::messages::IncrementalAlterConfigsRequest;
    use ottla_codec::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![
        AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(topic))
            .with_configs(vec![
                AlterableConfig::default()
                    .with_name(text(setting))
                    .with_value(Some(text(to))),
            ]),
    ]);
    let answer = connection.call(1, &request).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0);
}

pub fn batch(values: &[&'static str]) -> Bytes {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64;
    let records: Vec<Record> = values
        .iter()
        .enumerate()
        .map(|(i, value)| Record {
            offset: i as i64,
            timestamp: now,
            key: None,
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: vec![],
        })
        .collect();
    BatchBuilder::default().build(&records)
}

pub fn produce_request(topic: &str, acks: i16, batch: Bytes) -> ProduceRequest {
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(name(topic))
                .with_partition_data(vec![
                    PartitionProduceData::default().with_records(Some(batch)),
                ]),
        ])
}

/// The error and base offset of the one partition of an answer.
pub fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

pub fn fetch_request(topic: &str, offset: i64, wait: Duration) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(name(topic))
                .with_partitions(vec![
                    FetchPartition::default()
                        .with_partition(0)
                        .with_current_leader_epoch(-1)
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(1 << 20),
                ]),
        ])
}

/// A commit as tools make it: of partition 0, by no member.
pub fn commit(group: &str, topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![partition]),
        ])
}
