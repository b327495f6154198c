//! Batches on their way: producer id and sequences, requests by leader, repetition of what may be repeated.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId};
use ottla_codec::records::{BatchBuilder, Record};
use tokio::time::Instant;

use super::{Acks, ProducerOptions};
use crate::client::Client;
use crate::error::{BrokerError, ClientError};
use crate::metadata::topic_name;

/// The last version of Produce that names topics; 13 takes ids (KIP-516).
const LAST_PRODUCE_BY_NAME: i16 = 12;

/// Records that the broker has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the first record; -1 with [`Acks::None`].
    pub base_offset: i64,
    /// How many records.
    pub count: usize,
}

/// One batch of one partition, with the sequence that it keeps however often it is sent.
#[derive(Debug)]
struct Batch {
    topic: String,
    partition: i32,
    base_sequence: i32,
    records: Vec<Record>,
}

impl Batch {
    /// Two batches of half the records each. The first keeps the sequence.
    fn split(mut self) -> (Batch, Batch) {
        let mut records = self.records.split_off(self.records.len() / 2);
        for (offset, record) in (0..).zip(&mut records) {
            record.offset = offset;
        }
        let second = Batch {
            topic: self.topic.clone(),
            partition: self.partition,
            base_sequence: next_sequence(self.base_sequence, self.records.len()),
            records,
        };
        (self, second)
    }
}

/// Sends batches, one request in flight per leader, so that order holds and a sequence is settled before the next.
#[derive(Debug)]
pub(super) struct Sender {
    options: ProducerOptions,
    /// Producer id and epoch, if idempotent.
    identity: Option<(i64, i16)>,
    next_sequences: HashMap<(String, i32), i32>,
}

impl Sender {
    pub(super) async fn new(
        client: &mut Client,
        options: ProducerOptions,
    ) -> Result<Sender, ClientError> {
        let identity = if options.idempotent && options.acks == Acks::All {
            Some(init_producer_id(client).await?)
        } else {
            None
        };
        Ok(Sender {
            options,
            identity,
            next_sequences: HashMap::new(),
        })
    }

    /// Sends batches until each is acknowledged or has failed for good; the first such failure is the answer.
    pub(super) async fn send(
        &mut self,
        client: &mut Client,
        batches: Vec<(String, i32, Vec<Record>)>,
    ) -> Result<Vec<Delivery>, ClientError> {
        let mut waiting: Vec<Batch> = batches
            .into_iter()
            .map(|(topic, partition, records)| self.number(topic, partition, records))
            .collect();
        let mut delivered = Vec::new();
        let deadline = client.retry_deadline();
        let mut pause = client.options().retry_backoff;
        while !waiting.is_empty() {
            let before = delivered.len();
            let error = self.round(client, &mut waiting, &mut delivered).await?;
            let Some(error) = error else { continue };
            if delivered.len() == before {
                if Instant::now() + pause >= deadline {
                    return Err(error);
                }
                tracing::debug!(%error, ?pause, "will produce again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            client.forget();
        }
        Ok(delivered)
    }

    fn number(&mut self, topic: String, partition: i32, records: Vec<Record>) -> Batch {
        let base_sequence = match self.identity {
            None => -1,
            Some(_) => {
                let key = (topic.clone(), partition);
                let next = self.next_sequences.entry(key).or_insert(0);
                let base = *next;
                *next = next_sequence(base, records.len());
                base
            }
        };
        Batch {
            topic,
            partition,
            base_sequence,
            records,
        }
    }

    /// Sends the first batch of every partition once. Leaves in `waiting` what is to be sent (again); returns the error
    /// that makes a repetition necessary, and fails on one that no repetition helps.
    async fn round(
        &mut self,
        client: &mut Client,
        waiting: &mut Vec<Batch>,
        delivered: &mut Vec<Delivery>,
    ) -> Result<Option<ClientError>, ClientError> {
        let mut by_leader: BTreeMap<i32, BTreeMap<(String, i32), Batch>> = BTreeMap::new();
        // What comes after, for a partition, is after what is sent now: its order must stay.
        let (mut again, mut deferred) = (Vec::new(), Vec::new());
        let mut retriable = None;
        for batch in waiting.drain(..) {
            let leader = match client.leader(&batch.topic, batch.partition).await {
                Ok(leader) => leader,
                Err(error) if error.is_retriable() => {
                    retriable = Some(error);
                    deferred.push(batch);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let key = (batch.topic.clone(), batch.partition);
            let batches = by_leader.entry(leader).or_default();
            match batches.contains_key(&key) {
                // A split batch's second half waits for the first.
                true => deferred.push(batch),
                false => drop(batches.insert(key, batch)),
            }
        }
        for (leader, mut batches) in by_leader {
            let answers = match self.request(client, leader, &batches).await {
                Ok(answers) => answers,
                Err(error) if error.is_retriable() => {
                    retriable = Some(error);
                    again.extend(batches.into_values());
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (topic, answer) in answers {
                let Some(batch) = batches.remove(&(topic, answer.index)) else {
                    continue;
                };
                match judge(&batch, &answer) {
                    Verdict::Delivered => delivered.push(delivery(batch, answer.base_offset)),
                    Verdict::Split => {
                        let (first, second) = batch.split();
                        again.extend([first, second]);
                    }
                    Verdict::Again(error) => {
                        retriable = Some(error);
                        again.push(batch);
                    }
                    Verdict::Failed(error) => return Err(error),
                }
            }
            if let Some(batch) = batches.into_values().next() {
                return Err(ClientError::Invalid(format!(
                    "the broker's answer leaves {}-{} out",
                    batch.topic, batch.partition
                )));
            }
        }
        again.append(&mut deferred);
        *waiting = again;
        Ok(retriable)
    }

    /// One request to one leader; answers by topic.
    async fn request(
        &self,
        client: &mut Client,
        leader: i32,
        batches: &BTreeMap<(String, i32), Batch>,
    ) -> Result<Vec<(String, PartitionProduceResponse)>, ClientError> {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for ((topic, partition), batch) in batches {
            let data = PartitionProduceData::default()
                .with_index(*partition)
                .with_records(Some(self.build(batch)));
            match topics.last_mut() {
                Some(last) if last.name.as_str() == topic => last.partition_data.push(data),
                _ => topics.push(
                    TopicProduceData::default()
                        .with_name(topic_name(topic))
                        .with_partition_data(vec![data]),
                ),
            }
        }
        let request = ProduceRequest::default()
            .with_acks(self.options.acks.code())
            .with_timeout_ms(millis(self.options.request_timeout))
            .with_topic_data(topics);
        let node = client.node(leader).await?;
        let version = node.version_up_to::<ProduceRequest>(LAST_PRODUCE_BY_NAME)?;
        let connection = node.connection();
        if self.options.acks == Acks::None {
            connection.send_unanswered(version, &request).await?;
            let unknown = |(topic, partition): &(String, i32)| {
                let answer = PartitionProduceResponse::default()
                    .with_index(*partition)
                    .with_base_offset(-1);
                (topic.clone(), answer)
            };
            return Ok(batches.keys().map(unknown).collect());
        }
        let limit = self.options.request_timeout + Duration::from_secs(5);
        let answer = connection.call_within(limit, version, &request).await?;
        Ok(answer
            .responses
            .into_iter()
            .flat_map(|topic| {
                let name = topic.name.to_string();
                topic
                    .partition_responses
                    .into_iter()
                    .map(move |partition| (name.clone(), partition))
            })
            .collect())
    }

    fn build(&self, batch: &Batch) -> bytes::Bytes {
        let (producer_id, producer_epoch) = self.identity.unwrap_or((-1, -1));
        BatchBuilder {
            compression: self.options.compression,
            producer_id,
            producer_epoch,
            base_sequence: batch.base_sequence,
            ..BatchBuilder::default()
        }
        .build(&batch.records)
    }
}

async fn init_producer_id(client: &mut Client) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    client
        .retry(async |client| {
            let answer = client.any().await?.call(&request).await?;
            ClientError::check(answer.error_code, None, || {
                "asking for a producer id".to_owned()
            })?;
            Ok((answer.producer_id.0, answer.producer_epoch))
        })
        .await
}

/// What to do with a batch after its answer.
enum Verdict {
    Delivered,
    Split,
    Again(ClientError),
    Failed(ClientError),
}

fn judge(batch: &Batch, answer: &PartitionProduceResponse) -> Verdict {
    let Err(error) = BrokerError::check(answer.error_code) else {
        return Verdict::Delivered;
    };
    match error.0 {
        // An earlier try got through and its answer was lost.
        ResponseError::DuplicateSequenceNumber => Verdict::Delivered,
        ResponseError::MessageTooLarge if batch.records.len() > 1 => Verdict::Split,
        _ => {
            let failure = ClientError::Broker {
                what: format!("producing to {}-{}", batch.topic, batch.partition),
                error,
                message: answer.error_message.as_ref().map(|m| m.to_string()),
            };
            // With one request in flight, a corrupt message stays corrupt.
            if error.is_retriable() && error.0 != ResponseError::CorruptMessage {
                Verdict::Again(failure)
            } else {
                Verdict::Failed(failure)
            }
        }
    }
}

fn delivery(batch: Batch, base_offset: i64) -> Delivery {
    Delivery {
        topic: batch.topic,
        partition: batch.partition,
        base_offset,
        count: batch.records.len(),
    }
}

/// The sequence after `count` records; it wraps from `i32::MAX` to 0.
fn next_sequence(base: i32, count: usize) -> i32 {
    if base < 0 {
        return base;
    }
    let sum = i64::from(base) + i64::try_from(count).expect("a batch fits in memory");
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).expect("the remainder is at most i32::MAX")
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: i64) -> Batch {
        let record = |offset| Record {
            offset,
            timestamp: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        Batch {
            topic: "t".to_owned(),
            partition: 0,
            base_sequence: 10,
            records: (0..records).map(record).collect(),
        }
    }

    #[test]
    fn a_split_batch_keeps_its_sequences() {
        let (first, second) = batch(5).split();
        assert_eq!((first.base_sequence, first.records.len()), (10, 2));
        assert_eq!((second.base_sequence, second.records.len()), (12, 3));
        assert_eq!(second.records[2].offset, 2);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(next_sequence(-1, 3), -1);
    }

    #[test]
    fn a_duplicate_is_delivered_and_a_single_large_record_fails() {
        let answer = |error: ResponseError| {
            PartitionProduceResponse::default().with_error_code(error.code())
        };
        let duplicate = answer(ResponseError::DuplicateSequenceNumber);
        assert!(matches!(judge(&batch(1), &duplicate), Verdict::Delivered));
        let too_large = answer(ResponseError::MessageTooLarge);
        assert!(matches!(judge(&batch(2), &too_large), Verdict::Split));
        assert!(matches!(judge(&batch(1), &too_large), Verdict::Failed(_)));
        let moved = answer(ResponseError::NotLeaderOrFollower);
        assert!(matches!(judge(&batch(1), &moved), Verdict::Again(_)));
    }
}
