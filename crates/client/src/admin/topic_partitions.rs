//! DescribeTopicPartitions (KIP-966): topics with their eligible leader replicas, in pages.

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};

use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::{PartitionMetadata, TopicMetadata, Topics, topic_name};

/// What Kafka's clients ask for at once, in partitions.
pub const PARTITIONS_PER_PAGE: i32 = 2000;

/// A partition and who may become its leader.
#[derive(Debug, Clone)]
pub struct PartitionDescription {
    /// The partition as metadata has it.
    pub partition: PartitionMetadata,
    /// Replicas that may lead though they are not in sync; `None` from brokers that do not say.
    pub eligible_leaders: Option<Vec<i32>>,
    /// The replicas that were eligible last; `None` from brokers that do not say.
    pub last_known_eligible_leaders: Option<Vec<i32>>,
}

/// A topic as it is described.
#[derive(Debug, Clone)]
pub struct TopicDescription {
    /// The topic; its partitions are below.
    pub topic: TopicMetadata,
    /// Its partitions by index.
    pub partitions: Vec<PartitionDescription>,
}

impl From<TopicMetadata> for TopicDescription {
    fn from(mut topic: TopicMetadata) -> TopicDescription {
        let partitions = std::mem::take(&mut topic.partitions)
            .into_iter()
            .map(|partition| PartitionDescription {
                partition,
                eligible_leaders: None,
                last_known_eligible_leaders: None,
            })
            .collect();
        TopicDescription { topic, partitions }
    }
}

impl Client {
    /// Describes topics, at most `page` partitions an answer. Brokers without this API answer with their metadata. An error
    /// of one topic is an error of the call.
    pub async fn describe_topics(
        &mut self,
        names: &[String],
        page: i32,
    ) -> Result<Vec<TopicDescription>, ClientError> {
        let supported = self
            .retry(async |client| {
                Ok(client
                    .any()
                    .await?
                    .version::<DescribeTopicPartitionsRequest>()
                    .is_ok())
            })
            .await?;
        if !supported {
            return self.describe_by_metadata(names).await;
        }
        let mut described: Vec<TopicDescription> = Vec::new();
        // The broker answers in the order of names, whatever order they are asked for in.
        let mut names = names.to_vec();
        names.sort();
        let mut cursor: Option<(String, i32)> = None;
        loop {
            let request = request(&names, page, cursor.as_ref());
            let answer = self
                .retry(async |client| client.any().await?.call(&request).await)
                .await?;
            let next = answer
                .next_cursor
                .as_ref()
                .map(|next| (next.topic_name.to_string(), next.partition_index));
            read(answer, &mut described)?;
            match next {
                // A broker that does not get on would be asked for ever.
                Some(next) if cursor.as_ref() >= Some(&next) => {
                    return Err(ClientError::Invalid(format!(
                        "the broker goes on describing topics at {}-{} where it has been",
                        next.0, next.1
                    )));
                }
                Some(next) => {
                    names.retain(|name| *name >= next.0);
                    cursor = Some(next);
                }
                None => return Ok(described),
            }
        }
    }

    async fn describe_by_metadata(
        &mut self,
        names: &[String],
    ) -> Result<Vec<TopicDescription>, ClientError> {
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let metadata = self.metadata(Topics::Named(&names), false).await?;
        let describe = |topic: TopicMetadata| match topic.error {
            None => Ok(TopicDescription::from(topic)),
            Some(error) => ClientError::check(error.code(), None, || {
                format!("describing topic {}", topic.name)
            })
            .map(|()| TopicDescription::from(topic)),
        };
        metadata.topics.into_iter().map(describe).collect()
    }
}

fn request(
    names: &[String],
    page: i32,
    cursor: Option<&(String, i32)>,
) -> DescribeTopicPartitionsRequest {
    DescribeTopicPartitionsRequest::default()
        .with_topics(
            names
                .iter()
                .map(|name| TopicRequest::default().with_name(topic_name(name)))
                .collect(),
        )
        .with_response_partition_limit(page)
        .with_cursor(cursor.map(|(topic, partition)| {
            Cursor::default()
                .with_topic_name(topic_name(topic))
                .with_partition_index(*partition)
        }))
}

/// Adds an answer to what earlier ones described; a topic may go on from one page to the next.
fn read(
    answer: DescribeTopicPartitionsResponse,
    described: &mut Vec<TopicDescription>,
) -> Result<(), ClientError> {
    for topic in answer.topics {
        let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
        ClientError::check(topic.error_code, None, || {
            format!("describing topic {name}")
        })?;
        let partitions = topic.partitions.into_iter().map(|p| PartitionDescription {
            partition: PartitionMetadata {
                index: p.partition_index,
                leader: Some(p.leader_id.0).filter(|id| *id >= 0),
                leader_epoch: p.leader_epoch,
                replicas: ids(p.replica_nodes),
                isr: ids(p.isr_nodes),
            },
            eligible_leaders: p.eligible_leader_replicas.map(ids),
            last_known_eligible_leaders: p.last_known_elr.map(ids),
        });
        match described.last_mut() {
            Some(last) if last.topic.name == name => last.partitions.extend(partitions),
            _ => described.push(TopicDescription {
                topic: TopicMetadata {
                    name,
                    id: topic.topic_id,
                    internal: topic.is_internal,
                    error: None,
                    partitions: Vec::new(),
                },
                partitions: partitions.collect(),
            }),
        }
    }
    for topic in described.iter_mut() {
        topic.partitions.sort_by_key(|p| p.partition.index);
    }
    Ok(())
}

fn ids(ids: Vec<BrokerId>) -> Vec<i32> {
    ids.into_iter().map(|id| id.0).collect()
}
