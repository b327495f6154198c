//! Producing: records gather in batches by partition and go out to the leaders, idempotently by default.

mod batches;
mod partitioner;
mod sender;

use std::time::Duration;

use bytes::Bytes;
use ottla_codec::compression::Compression;
use ottla_codec::records::{Record, RecordHeader};

use crate::client::Client;
use crate::error::ClientError;
use batches::Batches;
use partitioner::Partitioner;
use sender::Sender;

pub use partitioner::partition_of_key;
pub use sender::Delivery;

/// When the broker answers a produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Never; losses go unnoticed.
    None,
    /// When the leader has written.
    Leader,
    /// When all in-sync replicas have it.
    All,
}

impl Acks {
    fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// How a producer works.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// When the broker answers.
    pub acks: Acks,
    /// Whether a repeated request is recognised, so that records are written once and in order. Takes effect with
    /// [`Acks::All`] alone.
    pub idempotent: bool,
    /// The codec of batches.
    pub compression: Compression,
    /// A partition's batch goes out when its records reach this many bytes, before compression.
    pub batch_bytes: usize,
    /// How long the broker may take.
    pub request_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            acks: Acks::All,
            idempotent: true,
            compression: Compression::None,
            batch_bytes: 512 << 10,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// A record to produce.
#[derive(Debug, Clone, Default)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: String,
    /// The partition; `None` to choose by key, or in turn by batch without one.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; `None` for now.
    pub timestamp: Option<i64>,
    /// May be null.
    pub key: Option<Bytes>,
    /// May be null (a tombstone).
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

/// A producer. Records wait in memory until their batch is full or [`flush`](Producer::flush) is called.
#[derive(Debug)]
pub struct Producer {
    client: Client,
    batch_bytes: usize,
    partitioner: Partitioner,
    batches: Batches,
    sender: Sender,
}

impl Producer {
    /// Asks the broker for a producer id if the options want one.
    pub async fn new(
        mut client: Client,
        options: ProducerOptions,
    ) -> Result<Producer, ClientError> {
        let batch_bytes = options.batch_bytes;
        let sender = Sender::new(&mut client, options).await?;
        Ok(Producer {
            client,
            batch_bytes,
            partitioner: Partitioner::default(),
            batches: Batches::default(),
            sender,
        })
    }

    /// The client, for metadata.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Takes a record in; sends everything that waits if its batch is full. Answers with what was delivered, which is
    /// nothing as a rule.
    pub async fn send(&mut self, record: ProducerRecord) -> Result<Vec<Delivery>, ClientError> {
        let count = self.partition_count(&record.topic).await?;
        let partition = match record.partition {
            Some(partition) if (0..count).contains(&partition) => partition,
            Some(partition) => {
                return Err(ClientError::Invalid(format!(
                    "topic {} has no partition {partition}: it has {count}, from 0 on",
                    record.topic
                )));
            }
            None => self
                .partitioner
                .choose(&record.topic, record.key.as_deref(), count),
        };
        let topic = record.topic;
        let record = Record {
            offset: 0,
            timestamp: record.timestamp.unwrap_or_else(now_ms),
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let waiting = self.batches.add(&topic, partition, record);
        if waiting < self.batch_bytes {
            return Ok(Vec::new());
        }
        self.partitioner.batch_done(&topic);
        self.flush().await
    }

    /// Sends everything that waits and returns once it is acknowledged. On an error, what was not acknowledged is
    /// given up.
    pub async fn flush(&mut self) -> Result<Vec<Delivery>, ClientError> {
        let batches = self.batches.take();
        self.sender.send(&mut self.client, batches).await
    }

    /// Whether nothing waits.
    pub fn is_flushed(&self) -> bool {
        self.batches.is_empty()
    }

    async fn partition_count(&mut self, topic: &str) -> Result<i32, ClientError> {
        if let Some(count) = self.partitioner.count(topic) {
            return Ok(count);
        }
        let metadata = self.client.topic(topic, true).await?;
        let count = i32::try_from(metadata.partitions.len())
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| ClientError::Invalid(format!("topic {topic} has no partitions")))?;
        self.partitioner.learn(topic, count);
        Ok(count)
    }
}

/// Milliseconds since the epoch: the one place where this crate reads the wall clock.
fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
