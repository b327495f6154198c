//! What a cluster says about itself: brokers, topics, partitions and their leaders.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::client::Client;
use crate::error::{BrokerError, ClientError};

/// How long a topic that the broker may be creating is waited for, where it says that there is no such topic: Kafka says
/// so until the creation is through, and for ever where topics are not created by themselves.
const CREATION_WAIT: Duration = Duration::from_secs(3);

/// A cluster as one broker sees it.
#[derive(Debug, Clone, Default)]
pub struct ClusterMetadata {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The broker that takes administrative requests.
    pub controller_id: i32,
    /// The live brokers.
    pub brokers: Vec<Broker>,
    /// The topics asked for.
    pub topics: Vec<TopicMetadata>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its node id.
    pub id: i32,
    /// Where it says that it is.
    pub host: String,
    /// Its port.
    pub port: i32,
}

impl Broker {
    /// `host:port`, an IPv6 address in brackets.
    pub fn address(&self) -> String {
        join_host_port(&self.host, self.port)
    }
}

/// A topic.
#[derive(Debug, Clone)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Its id; nil from brokers before Metadata 10.
    pub id: Uuid,
    /// Whether the cluster keeps its own state in it.
    pub internal: bool,
    /// Why there is nothing to say of it.
    pub error: Option<BrokerError>,
    /// Its partitions by index.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition.
#[derive(Debug, Clone)]
pub struct PartitionMetadata {
    /// Its index.
    pub index: i32,
    /// The leader's node id; `None` while there is none.
    pub leader: Option<i32>,
    /// The leader's epoch, -1 from old brokers.
    pub leader_epoch: i32,
    /// All replicas.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
}

/// Which topics to ask for.
#[derive(Debug, Clone, Copy)]
pub enum Topics<'a> {
    /// Every topic.
    All,
    /// These.
    Named(&'a [&'a str]),
}

impl Client {
    /// Asks for the cluster and `topics`. `create` lets the broker create a missing topic if it is configured so.
    /// Errors of single topics are in the answer.
    pub async fn metadata(
        &mut self,
        topics: Topics<'_>,
        create: bool,
    ) -> Result<ClusterMetadata, ClientError> {
        let topics = match topics {
            Topics::All => None,
            Topics::Named(names) => Some(
                names
                    .iter()
                    .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))))
                    .collect(),
            ),
        };
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(create);
        let answer = self
            .retry(async |client| client.any().await?.call(&request).await)
            .await?;
        let metadata = read(answer);
        self.remember(&metadata);
        Ok(metadata)
    }

    /// Asks for one topic; its error is an error here, and one that may pass is waited for.
    pub async fn topic(&mut self, name: &str, create: bool) -> Result<TopicMetadata, ClientError> {
        let deadline = self.retry_deadline();
        let creation_deadline = tokio::time::Instant::now() + CREATION_WAIT;
        loop {
            let mut metadata = self.metadata(Topics::Named(&[name]), create).await?;
            let topic = metadata.topics.pop().ok_or_else(|| {
                ClientError::Invalid(format!("the broker's answer leaves topic {name} out"))
            })?;
            // Only what the broker is busy creating comes by itself.
            let deadline = match topic.error {
                None if topic.partitions.iter().any(|p| p.leader.is_none()) => Some(deadline),
                Some(error) if error.0 == ResponseError::UnknownTopicOrPartition => {
                    create.then_some(creation_deadline)
                }
                Some(error) if error.is_retriable() => Some(deadline),
                _ => None,
            };
            if deadline.is_some_and(|deadline| tokio::time::Instant::now() < deadline) {
                tokio::time::sleep(self.options().retry_backoff).await;
                continue;
            }
            return match topic.error {
                None => Ok(topic),
                Some(error) => Err(ClientError::Broker {
                    what: format!("topic {name}"),
                    error,
                    message: None,
                }),
            };
        }
    }
}

/// A name as the protocol's messages take it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn join_host_port(host: &str, port: i32) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn read(answer: MetadataResponse) -> ClusterMetadata {
    ClusterMetadata {
        cluster_id: answer.cluster_id.map(|id| id.to_string()),
        controller_id: answer.controller_id.0,
        brokers: answer
            .brokers
            .into_iter()
            .map(|broker| Broker {
                id: broker.node_id.0,
                host: broker.host.to_string(),
                port: broker.port,
            })
            .collect(),
        topics: answer
            .topics
            .into_iter()
            .map(|topic| {
                let mut partitions: Vec<_> = topic
                    .partitions
                    .into_iter()
                    .map(|partition| PartitionMetadata {
                        index: partition.partition_index,
                        leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
                        leader_epoch: partition.leader_epoch,
                        replicas: partition.replica_nodes.into_iter().map(|id| id.0).collect(),
                        isr: partition.isr_nodes.into_iter().map(|id| id.0).collect(),
                    })
                    .collect();
                partitions.sort_by_key(|partition| partition.index);
                TopicMetadata {
                    name: topic.name.map(|name| name.to_string()).unwrap_or_default(),
                    id: topic.topic_id,
                    internal: topic.is_internal,
                    error: BrokerError::check(topic.error_code).err(),
                    partitions,
                }
            })
            .collect(),
    }
}
