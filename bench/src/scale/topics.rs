//! Topics that are made, written and fetched by many at once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;
use ottla_codec::ResponseError;
use uuid::Uuid;

/// The first with topic ids.
pub const FETCH: i16 = 13;
/// The last with topic names that both brokers have.
pub const PRODUCE: i16 = 9;
const CREATE: i16 = 7;
/// Topics, or partitions, of one request.
const AT_ONCE: usize = 1000;
/// A partition's share of a fetch.
const PARTITION_BYTES: i32 = 1 << 20;
const FETCH_BYTES: i32 = 50 << 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Whether a broker says so of a partition that it has just made and does not lead yet.
fn is_led_later(code: i16) -> bool {
    let error = ResponseError::try_from_code(code);
    matches!(
        error,
        Some(ResponseError::UnknownTopicOrPartition | ResponseError::NotLeaderOrFollower)
    )
}

/// A partition by all its names.
#[derive(Debug, Clone)]
pub struct At {
    /// The topic.
    pub topic: TopicName,
    /// The topic's id.
    pub id: Uuid,
    /// The number.
    pub index: i32,
}

/// Makes `topics` topics of `partitions` partitions. Their partitions, in order.
pub async fn create(connection: &mut Connection, topics: u64, partitions: u64) -> Result<Vec<At>> {
    let names: Vec<TopicName> = (0..topics)
        .map(|n| TopicName(StrBytes::from_string(format!("scale-{n:05}"))))
        .collect();
    let mut made = Vec::new();
    for names in names.chunks(AT_ONCE) {
        let topics = names.iter().map(|name| {
            CreatableTopic::default()
                .with_name(name.clone())
                .with_num_partitions(partitions as i32)
                .with_replication_factor(1)
        });
        let request = CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(120_000);
        let limit = Duration::from_secs(120);
        let answer = connection.call_within(limit, CREATE, &request).await?;
        for topic in answer.topics {
            ensure!(topic.error_code == 0, "not made: {topic:?}");
            made.extend((0..partitions as i32).map(|index| At {
                topic: topic.name.clone(),
                id: topic.topic_id,
                index,
            }));
        }
    }
    Ok(made)
}

/// Writes `batch` to each of `partitions`; all in few requests. Kafka leads a partition a moment after it said that it was made: such are
/// asked again, as clients do.
pub async fn write(connection: &mut Connection, partitions: &[At], batch: &Bytes) -> Result<()> {
    let limit = Duration::from_secs(120);
    let started = Instant::now();
    let mut left = partitions.to_vec();
    while !left.is_empty() {
        let mut not_led = HashSet::new();
        for some in left.chunks(AT_ONCE) {
            let request = produce(some, batch);
            let answer = connection.call_within(limit, PRODUCE, &request).await?;
            for topic in answer.responses {
                for answer in topic.partition_responses {
                    if is_led_later(answer.error_code) && started.elapsed() < limit {
                        not_led.insert((topic.name.clone(), answer.index));
                        continue;
                    }
                    ensure!(answer.error_code == 0, "not written: {answer:?}");
                }
            }
        }
        left.retain(|at| not_led.contains(&(at.topic.clone(), at.index)));
        if !left.is_empty() {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }
    Ok(())
}

/// A request that writes `batch` to each.
pub fn produce(partitions: &[At], batch: &Bytes) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for at in partitions {
        if topics.last().is_none_or(|t| t.name != at.topic) {
            topics.push(TopicProduceData::default().with_name(at.topic.clone()));
        }
        if let Some(topic) = topics.last_mut() {
            topic.partition_data.push(
                PartitionProduceData::default()
                    .with_index(at.index)
                    .with_records(Some(batch.clone())),
            );
        }
    }
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(topics)
}

/// A fetch session, as a consumer has it.
#[derive(Debug, Default)]
pub struct Session {
    id: i32,
    epoch: i32,
}

impl Session {
    /// The next request: `changed` are partitions that are new or whose position moved.
    pub fn request(&mut self, changed: &[(At, i64)], max_wait_ms: i32) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (at, offset) in changed {
            if topics.last().is_none_or(|t| t.topic_id != at.id) {
                topics.push(FetchTopic::default().with_topic_id(at.id));
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(
                    FetchPartition::default()
                        .with_partition(at.index)
                        .with_fetch_offset(*offset)
                        .with_current_leader_epoch(-1)
                        .with_last_fetched_epoch(-1)
                        .with_partition_max_bytes(PARTITION_BYTES),
                );
            }
        }
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES)
            .with_session_id(self.id)
            .with_session_epoch(self.epoch)
            .with_topics(topics);
        self.epoch += 1;
        request
    }

    /// Takes an answer; how many partitions are in it.
    pub fn answered(&mut self, answer: &FetchResponse) -> Result<usize> {
        ensure!(
            answer.error_code == 0,
            "a fetch failed: {}",
            answer.error_code
        );
        self.id = answer.session_id;
        let partitions = || answer.responses.iter().flat_map(|t| &t.partitions);
        if let Some(failed) = partitions().find(|p| p.error_code != 0) {
            anyhow::bail!("not fetched: {failed:?}");
        }
        Ok(partitions().count())
    }
}
