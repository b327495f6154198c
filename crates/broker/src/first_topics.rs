//! Topics and records that are there before the first client is served.
//!
//! Records go only into topics that are made here, so that a restart does not repeat them. A topic whose records are on their way is
//! marked in the catalogue, first of all; the mark goes with the last of them. A start that finds the mark deletes what a crash has
//! left half done, which loses nothing: nobody was served before the mark was gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_codec::api::Api;
use ottla_codec::batch::BatchHeader;
use ottla_codec::compression::Compression;
use ottla_codec::records::Record;
use ottla_storage::{AppendContext, MetaOp, Partition, Store, StoreError, Tree};

use crate::clock::wall_ms;
use crate::dead_letters::redrive::{Packed, pack};
use crate::errors::Refusal;
use crate::produce_check;
use crate::settings::TopicConfig;
use crate::state::BrokerState;
use crate::topics::{Layout, TopicService, TopicSpec};

/// What the keys of marks begin with; the topic's name follows.
const KEY: &[u8] = b"first-records/";

/// A topic to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstTopic {
    /// Its name.
    pub name: String,
    /// `None` for the broker's default.
    pub partitions: Option<i32>,
    /// `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// Its own settings.
    pub configs: BTreeMap<String, String>,
}

/// Why a topic or a record cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FirstTopicsError {
    /// For people.
    pub message: String,
    /// Which of the records it is about, counted from 0.
    pub record: Option<usize>,
}

impl From<Refusal> for FirstTopicsError {
    fn from(refusal: Refusal) -> FirstTopicsError {
        FirstTopicsError {
            message: refusal.message,
            record: None,
        }
    }
}

impl From<StoreError> for FirstTopicsError {
    fn from(error: StoreError) -> FirstTopicsError {
        FirstTopicsError {
            message: error.to_string(),
            record: None,
        }
    }
}

/// Makes them, in a broker that is not yet open.
#[derive(Clone)]
pub struct FirstTopics {
    state: Arc<BrokerState>,
}

impl FirstTopics {
    pub(crate) fn new(state: Arc<BrokerState>) -> FirstTopics {
        FirstTopics { state }
    }

    /// How many partitions the topic of this name has; `None` if there is none.
    pub fn partitions(&self, name: &str) -> Option<i32> {
        Some(self.state.topics.by_name(name)?.partitions)
    }

    /// How many partitions the topic would get. Makes nothing.
    ///
    /// Errors: it cannot be made.
    pub fn check(&self, topic: &FirstTopic) -> Result<i32, FirstTopicsError> {
        let checked = self.state.topics.create(spec(topic), true)?;
        Ok(checked.partitions)
    }

    /// Whether one partition of the topic, which need not be there, would take the records.
    ///
    /// Errors: the first that it would not take.
    pub fn check_records(
        &self,
        topic: &FirstTopic,
        records: &[Record],
    ) -> Result<(), FirstTopicsError> {
        let config = self.state.settings.topic_config(&topic.configs);
        batches(&config, records).map(drop)
    }

    /// Makes a topic that has no records.
    pub async fn create(&self, topic: &FirstTopic) -> Result<(), FirstTopicsError> {
        let created = self.state.topics.create(spec(topic), false)?;
        if let Some(commit) = created.commit {
            self.state.store.durable(commit).await?;
        }
        Ok(())
    }

    /// Makes a topic whose records follow. Until [`Seeding::finish`] a crash takes it back.
    pub fn seed(&self, topic: &FirstTopic) -> Result<Seeding, FirstTopicsError> {
        let name = topic.name.clone();
        self.state.store.commit(vec![MetaOp::Put {
            tree: Tree::Configs,
            key: key(&name),
            value: Bytes::new(),
        }])?;
        let created = self.state.topics.create(spec(topic), false);
        let seeding = Seeding {
            state: self.state.clone(),
            config: self.state.settings.topic_config(&topic.configs),
            topic: name,
        };
        match created {
            Ok(_) => Ok(seeding),
            Err(refusal) => {
                self.state.store.commit(vec![seeding.unmark()])?;
                Err(refusal.into())
            }
        }
    }
}

/// A topic whose first records are being written.
pub struct Seeding {
    state: Arc<BrokerState>,
    config: TopicConfig,
    topic: String,
}

impl Seeding {
    /// Appends to a partition; returns once that is written.
    pub async fn append(&self, index: i32, records: &[Record]) -> Result<(), FirstTopicsError> {
        let partition = self.partition(index).ok_or_else(|| FirstTopicsError {
            message: format!("topic {} has no partition {index}", self.topic),
            record: None,
        })?;
        let mut last = None;
        for (batch, header) in batches(&self.config, records)? {
            let context = AppendContext::at(wall_ms());
            let batch = BytesMut::from(&batch[..]);
            let appended = partition.append(batch, &[header], context);
            let appended = appended.map_err(|error| FirstTopicsError {
                message: error.to_string(),
                record: None,
            })?;
            last = Some(appended.commit);
        }
        if let Some(commit) = last {
            self.state.store.written(commit).await?;
        }
        Ok(())
    }

    /// The topic stays from now on. Returns once it is durable with all its records.
    pub async fn finish(self) -> Result<(), FirstTopicsError> {
        let commit = self.state.store.commit(vec![self.unmark()])?;
        Ok(self.state.store.durable(commit).await?)
    }

    fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let topic = self.state.topics.by_name(&self.topic)?;
        self.state.store.partition(&topic.id, index)
    }

    fn unmark(&self) -> MetaOp {
        MetaOp::Delete {
            tree: Tree::Configs,
            key: key(&self.topic),
        }
    }
}

/// Deletes the topics that a crash has left without all their records.
pub(crate) fn remove_half_made(store: &Store, topics: &TopicService) -> Result<(), StoreError> {
    for (key, _) in store.scan(Tree::Configs, KEY)? {
        let name = String::from_utf8_lossy(&key[KEY.len()..]).into_owned();
        if let Some(topic) = topics.by_name(&name) {
            tracing::warn!(topic = %name, "deleting a topic that has not got all its first records: the broker ended before");
            store.delete_topic(&topic.id)?;
        }
        store.commit(vec![MetaOp::Delete {
            tree: Tree::Configs,
            key,
        }])?;
    }
    Ok(())
}

fn key(name: &str) -> Bytes {
    Bytes::from([KEY, name.as_bytes()].concat())
}

fn spec(topic: &FirstTopic) -> TopicSpec {
    TopicSpec {
        name: topic.name.clone(),
        layout: Layout::Counts {
            partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replication_factor.unwrap_or(-1),
        },
        configs: topic.configs.clone(),
    }
}

/// The records as batches that pass what a producer's must pass.
fn batches(
    config: &TopicConfig,
    records: &[Record],
) -> Result<Vec<(Bytes, BatchHeader)>, FirstTopicsError> {
    let segment = usize::try_from(config.log.segment_bytes).unwrap_or(usize::MAX);
    let limit = config.log.max_message_bytes.min(segment);
    let mut done = 0;
    let mut batches = Vec::new();
    for packed in pack(records, Compression::None, limit) {
        let (batch, count) = match packed {
            Packed::Batch(batch, count) => (batch, count),
            Packed::TooLarge(size) => {
                return Err(FirstTopicsError {
                    message: format!(
                        "a record of {size} bytes is larger than {limit}, which the topic takes"
                    ),
                    record: Some(done),
                });
            }
        };
        let version = *Api::Produce.versions().end();
        let header =
            produce_check::check(version, &batch, config, wall_ms()).map_err(|refused| {
                let (index, message) = match refused.records.into_iter().next() {
                    Some((index, message)) => (usize::try_from(index).ok(), message),
                    None => (None, refused.refusal.message),
                };
                FirstTopicsError {
                    message,
                    record: index.map(|index| done + index),
                }
            })?;
        batches.push((batch, header));
        done += count;
    }
    Ok(batches)
}
