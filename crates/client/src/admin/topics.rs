//! CreateTopics, DeleteTopics, CreatePartitions.

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::admin_timeout_ms;
use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::topic_name;

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// The number of partitions; `None` for the broker's default (KIP-464).
    pub partitions: Option<i32>,
    /// The replication factor; `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// Settings by name.
    pub configs: Vec<(String, String)>,
}

/// A topic as it was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// The id; nil from brokers before CreateTopics 7.
    pub id: Uuid,
    /// The number of partitions, -1 from brokers before CreateTopics 5.
    pub partitions: i32,
}

impl Client {
    /// Creates topics; answers with a result for each name. With `validate_only` nothing is created.
    pub async fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<(String, Result<CreatedTopic, ClientError>)>, ClientError> {
        self.create(topics.iter().map(creatable).collect(), validate_only)
            .await
    }

    /// Creates a topic whose partitions, in order, have these replicas; its numbers of partitions and replicas follow from
    /// them.
    pub async fn create_topic_of_replicas(
        &mut self,
        topic: &NewTopic,
        replicas: &[Vec<i32>],
    ) -> Result<(), ClientError> {
        let assignments = (0..).zip(replicas).map(|(partition, replicas)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(partition)
                .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
        });
        let creatable = creatable(topic)
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments.collect());
        for (_, result) in self.create(vec![creatable], false).await? {
            result?;
        }
        Ok(())
    }

    async fn create(
        &mut self,
        topics: Vec<CreatableTopic>,
        validate_only: bool,
    ) -> Result<Vec<(String, Result<CreatedTopic, ClientError>)>, ClientError> {
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(admin_timeout_ms())
            .with_validate_only(validate_only)
            .with_topics(topics);
        let answer = self
            .retry(async |client| client.controller().await?.call(&request).await)
            .await?;
        Ok(answer
            .topics
            .into_iter()
            .map(|topic| {
                let name = topic.name.to_string();
                let result =
                    ClientError::check(topic.error_code, topic.error_message.as_deref(), || {
                        format!("creating topic {name}")
                    });
                let created = CreatedTopic {
                    id: topic.topic_id,
                    partitions: topic.num_partitions,
                };
                (name, result.map(|()| created))
            })
            .collect())
    }

    /// Deletes topics by name; answers with a result for each.
    pub async fn delete_topics(
        &mut self,
        names: &[String],
    ) -> Result<Vec<(String, Result<(), ClientError>)>, ClientError> {
        let answer = self
            .retry(async |client| {
                let node = client.controller().await?;
                let version = node.version::<DeleteTopicsRequest>()?;
                let request = DeleteTopicsRequest::default().with_timeout_ms(admin_timeout_ms());
                // Version 6 names topics in another field (KIP-516).
                let request = if version >= 6 {
                    let state = |name: &String| {
                        DeleteTopicState::default().with_name(Some(topic_name(name)))
                    };
                    request.with_topics(names.iter().map(state).collect())
                } else {
                    request.with_topic_names(names.iter().map(|name| topic_name(name)).collect())
                };
                node.connection().call(version, &request).await
            })
            .await?;
        Ok(answer
            .responses
            .into_iter()
            .map(|topic| {
                let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
                let result =
                    ClientError::check(topic.error_code, topic.error_message.as_deref(), || {
                        format!("deleting topic {name}")
                    });
                (name, result)
            })
            .collect())
    }

    /// Raises a topic's number of partitions to `count`.
    pub async fn create_partitions(&mut self, topic: &str, count: i32) -> Result<(), ClientError> {
        self.create_partitions_of_replicas(topic, count, None).await
    }

    /// Raises a topic's number of partitions to `count`; the new ones, in order, have these replicas.
    pub async fn create_partitions_of_replicas(
        &mut self,
        topic: &str,
        count: i32,
        replicas: Option<&[Vec<i32>]>,
    ) -> Result<(), ClientError> {
        let assignment = |replicas: &Vec<i32>| {
            CreatePartitionsAssignment::default()
                .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
        };
        let request = CreatePartitionsRequest::default()
            .with_timeout_ms(admin_timeout_ms())
            .with_topics(vec![
                CreatePartitionsTopic::default()
                    .with_name(topic_name(topic))
                    .with_count(count)
                    .with_assignments(replicas.map(|all| all.iter().map(assignment).collect())),
            ]);
        let answer = self
            .retry(async |client| client.controller().await?.call(&request).await)
            .await?;
        for result in answer.results {
            ClientError::check(result.error_code, result.error_message.as_deref(), || {
                format!("raising topic {topic} to {count} partitions")
            })?;
        }
        Ok(())
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_configs(
            topic
                .configs
                .iter()
                .map(|(name, value)| {
                    CreatableTopicConfig::default()
                        .with_name(StrBytes::from_string(name.clone()))
                        .with_value(Some(StrBytes::from_string(value.clone())))
                })
                .collect(),
        )
}
