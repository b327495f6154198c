//! Fetching partitions from an offset on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest};
use ottla_codec::batch::{BatchError, BatchHeader, TimestampType, check_crc};
use ottla_codec::records::{Record, RecordHeader, iterate};

use super::OffsetSpec;
use super::aborted::AbortedTransactions;
use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::topic_name;

/// The last version of Fetch that names topics; from 13 on they go by id (KIP-516).
const LAST_FETCH_BY_NAME: i16 = 12;

/// Which records a consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All, those of open and aborted transactions too.
    #[default]
    ReadUncommitted,
    /// None of open or aborted transactions.
    ReadCommitted,
}

impl Isolation {
    pub(super) fn code(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// Where to go on when the wanted offset is not there (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first offset that is there.
    Earliest,
    /// At the end.
    Latest,
    /// Nowhere: the error is the caller's.
    Fail,
}

/// How a consumer fetches.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Which records are seen.
    pub isolation: Isolation,
    /// What happens when an offset is out of range.
    pub reset: OffsetReset,
    /// The most bytes of one answer; a single larger batch comes whole.
    pub max_bytes: i32,
    /// The most bytes of one partition in an answer.
    pub partition_max_bytes: i32,
    /// The most bytes that one compressed batch may inflate to.
    pub max_inflated_bytes: usize,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            isolation: Isolation::default(),
            reset: OffsetReset::Fail,
            max_bytes: 16 << 20,
            partition_max_bytes: 4 << 20,
            max_inflated_bytes: 256 << 20,
        }
    }
}

/// A record as it was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Who gave the timestamp: the producer, or the broker.
    pub timestamp_type: TimestampType,
    /// May be null.
    pub key: Option<Bytes>,
    /// May be null (a tombstone).
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

#[derive(Debug, Clone)]
struct Position {
    next: i64,
    /// The end that the broker named last; `None` before the first answer.
    end: Option<i64>,
}

/// Reads assigned partitions, each from its own offset on. Belongs to no group.
#[derive(Debug)]
pub struct PartitionConsumer {
    client: Client,
    options: ConsumerOptions,
    positions: BTreeMap<(Arc<str>, i32), Position>,
}

impl PartitionConsumer {
    /// A consumer of nothing yet.
    pub fn new(client: Client, options: ConsumerOptions) -> PartitionConsumer {
        PartitionConsumer {
            client,
            options,
            positions: BTreeMap::new(),
        }
    }

    /// The client, for metadata and offsets.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The options.
    pub fn options(&self) -> &ConsumerOptions {
        &self.options
    }

    /// Reads a partition from `offset` on, or moves there.
    pub fn assign(&mut self, topic: &str, partition: i32, offset: i64) {
        let position = Position {
            next: offset,
            end: None,
        };
        self.positions.insert((topic.into(), partition), position);
    }

    /// Stops reading everything.
    pub fn unassign_all(&mut self) {
        self.positions.clear();
    }

    /// The next offset of each partition.
    pub fn positions(&self) -> BTreeMap<(String, i32), i64> {
        self.positions
            .iter()
            .map(|((topic, partition), p)| ((topic.to_string(), *partition), p.next))
            .collect()
    }

    /// The end of a partition as the broker named it last.
    pub fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        self.positions.get(&(topic.into(), partition))?.end
    }

    /// Whether everything up to the ends that the broker named last was read; false before each partition was
    /// answered once.
    pub fn at_end(&self) -> bool {
        self.positions
            .values()
            .all(|p| p.end.is_some_and(|end| p.next >= end))
    }

    /// Records from where the consumer stands; waits up to `wait` for the first ones. An empty answer means that the
    /// time is over.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        if self.positions.is_empty() {
            tokio::time::sleep(wait).await;
            return Ok(Vec::new());
        }
        let deadline = self.client.retry_deadline();
        let mut pause = self.client.options().retry_backoff;
        loop {
            match self.try_poll(wait).await {
                Err(error)
                    if error.is_retriable() && tokio::time::Instant::now() + pause < deadline =>
                {
                    tracing::debug!(%error, ?pause, "will fetch again");
                    self.client.forget();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                result => return result,
            }
        }
    }

    async fn try_poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        let mut by_leader: BTreeMap<i32, FetchRequest> = BTreeMap::new();
        for ((topic, partition), position) in &self.positions {
            let leader = self.client.leader(topic, *partition).await?;
            let request = by_leader
                .entry(leader)
                .or_insert_with(|| empty_request(wait, &self.options));
            let entry = FetchPartition::default()
                .with_partition(*partition)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(position.next)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(self.options.partition_max_bytes);
            match request.topics.last_mut() {
                Some(last) if last.topic.as_str() == &**topic => last.partitions.push(entry),
                _ => request.topics.push(
                    FetchTopic::default()
                        .with_topic(topic_name(topic))
                        .with_partitions(vec![entry]),
                ),
            }
        }
        // All leaders wait at the same time; the answers are then taken one after the other.
        let mut sent = Vec::new();
        for (leader, request) in &by_leader {
            let node = self.client.node(*leader).await?;
            let version = node.version_up_to::<FetchRequest>(LAST_FETCH_BY_NAME)?;
            node.connection().send(version, request).await?;
            sent.push((*leader, version));
        }
        let mut partitions = Vec::new();
        for (leader, version) in sent {
            let connection = self.client.node(leader).await?.connection();
            let limit = wait + Duration::from_secs(30);
            let answer = connection
                .receive_within::<FetchRequest>(limit, version)
                .await?;
            ClientError::check(answer.error_code, None, || "fetching".to_owned())?;
            for topic in answer.responses {
                let name: Arc<str> = topic.topic.as_str().into();
                partitions.extend(topic.partitions.into_iter().map(|p| (name.clone(), p)));
            }
        }
        let mut records = Vec::new();
        for (topic, partition) in partitions {
            self.take(topic, partition, &mut records).await?;
        }
        Ok(records)
    }

    /// Takes one partition's answer in.
    async fn take(
        &mut self,
        topic: Arc<str>,
        answer: PartitionData,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), ClientError> {
        let index = answer.partition_index;
        let key = (topic, index);
        let Some(position) = self.positions.get_mut(&key) else {
            return Ok(());
        };
        let out_of_range = answer.error_code == ResponseError::OffsetOutOfRange.code();
        if out_of_range && self.options.reset != OffsetReset::Fail {
            return self.reset(key).await;
        }
        ClientError::check(answer.error_code, None, || {
            format!("fetching {}-{index} from offset {}", key.0, position.next)
        })?;
        position.end = Some(match self.options.isolation {
            Isolation::ReadCommitted if answer.last_stable_offset >= 0 => answer.last_stable_offset,
            _ => answer.high_watermark,
        });
        read_batches(&key, position, &answer, &self.options, records)
    }

    async fn reset(&mut self, key: (Arc<str>, i32)) -> Result<(), ClientError> {
        let spec = match self.options.reset {
            OffsetReset::Latest => OffsetSpec::Latest,
            _ => OffsetSpec::Earliest,
        };
        let partition = (key.0.to_string(), key.1);
        let offsets = self
            .client
            .list_offsets(
                std::slice::from_ref(&partition),
                spec,
                self.options.isolation,
            )
            .await?;
        let next = offsets.get(&partition).copied().flatten().unwrap_or(0);
        tracing::info!(topic = %key.0, partition = key.1, offset = next, "offset was out of range, reset");
        self.positions.insert(key, Position { next, end: None });
        Ok(())
    }
}

fn empty_request(wait: Duration, options: &ConsumerOptions) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(options.max_bytes)
        .with_isolation_level(options.isolation.code())
        // No fetch session (KIP-227).
        .with_session_id(0)
        .with_session_epoch(-1)
}

/// Reads the batches of one partition's answer and moves its position on.
fn read_batches(
    key: &(Arc<str>, i32),
    position: &mut Position,
    answer: &PartitionData,
    options: &ConsumerOptions,
    records: &mut Vec<ConsumedRecord>,
) -> Result<(), ClientError> {
    let mut bytes = answer.records.clone().unwrap_or_default();
    let mut aborted = AbortedTransactions::new(answer.aborted_transactions.as_deref());
    while !bytes.is_empty() {
        let at = position.next;
        let bad = |reason: String| ClientError::BadRecords {
            partition: format!("{}-{}", key.0, key.1),
            offset: at,
            reason,
        };
        let header = match BatchHeader::parse(&bytes) {
            Ok(header) if header.size <= bytes.len() => header,
            // The broker cuts at its byte limit, so the last batch may be in part.
            Ok(_) | Err(BatchError::Truncated { .. }) => break,
            Err(error) => return Err(bad(error.to_string())),
        };
        let batch = bytes.split_to(header.size);
        check_crc(&batch).map_err(|e| bad(e.to_string()))?;
        if header.next_offset() <= position.next {
            continue;
        }
        let hidden = !header.is_control() && aborted.hides(&header);
        if !hidden {
            for record in
                iterate(batch, options.max_inflated_bytes).map_err(|e| bad(e.to_string()))?
            {
                let record = record.map_err(|e| bad(e.to_string()))?;
                if header.is_control() {
                    aborted.marker(&header, &record);
                } else if record.offset >= position.next {
                    records.push(consumed(key, header.timestamp_type(), record));
                }
            }
        }
        position.next = header.next_offset();
    }
    Ok(())
}

fn consumed(
    key: &(Arc<str>, i32),
    timestamp_type: TimestampType,
    record: Record,
) -> ConsumedRecord {
    ConsumedRecord {
        topic: key.0.clone(),
        partition: key.1,
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}
