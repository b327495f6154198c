//! `describe` and `describe-producers`: a transactional id, and the producers of a partition.

use ottla_client::admin::ActiveProducer;
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{Client, ClientError};

use super::{failed, now_ms, partition_options, reason, required, required_number, show_table};
use crate::errors::Failure;
use crate::java::{DEFAULT_CAPACITY, hash_order_of, join, partition_hash};
use crate::options::{Options, Parsed};
use crate::stop::Stop;

pub(super) fn id_options(options: Options) -> Options {
    options.value("transactional-id", "id", "REQUIRED. The transactional id.")
}

pub(super) fn producer_options(options: Options) -> Options {
    partition_options(options).value(
        "broker-id",
        "id",
        "The broker to ask; the partition's leader if left out.",
    )
}

pub(super) struct Describe {
    transactional_id: String,
}

impl Describe {
    pub fn of(parsed: &Parsed) -> Result<Describe, Stop> {
        let id = required(parsed, "transactional-id")?;
        Ok(Describe {
            transactional_id: id.to_owned(),
        })
    }

    pub fn failure(&self) -> String {
        format!(
            "Failed to describe transaction state of transactional-id `{}`",
            self.transactional_id
        )
    }

    pub async fn run(&self, client: &mut Client) -> Result<(), Stop> {
        let id = &self.transactional_id;
        let described = client
            .describe_transaction(id)
            .await
            .map_err(|error| failed(&self.failure(), &reason(error, |error| words(id, error))))?;
        let duration = described.started_ms.map(|started| now_ms() - started);
        let or_none = |ms: Option<i64>| ms.map_or("None".to_owned(), |ms| ms.to_string());
        let mut partitions = described.partitions;
        hash_order_of(&mut partitions, DEFAULT_CAPACITY, |(topic, partition)| {
            partition_hash(topic, *partition)
        });
        let partitions: Vec<String> = partitions
            .iter()
            .map(|(topic, partition)| format!("{topic}-{partition}"))
            .collect();
        show_table(
            [
                "CoordinatorId",
                "TransactionalId",
                "ProducerId",
                "ProducerEpoch",
                "TransactionState",
                "TransactionTimeoutMs",
                "CurrentTransactionStartTimeMs",
                "TransactionDurationMs",
                "TopicPartitions",
            ],
            &[[
                described.coordinator.to_string(),
                described.transactional_id,
                described.producer_id.to_string(),
                described.producer_epoch.to_string(),
                described.state,
                described.timeout_ms.to_string(),
                or_none(described.started_ms),
                or_none(duration),
                join(&partitions, ","),
            ]],
        );
        Ok(())
    }
}

fn words(id: &str, error: ResponseError) -> Option<String> {
    let why = match error {
        ResponseError::TransactionalIdNotFound => "because the ID could not be found",
        ResponseError::TransactionalIdAuthorizationFailed => "due to authorization failure",
        _ if error.is_retriable() => return None,
        _ => "due to unexpected error",
    };
    Some(format!(
        "DescribeTransactions request for transactionalId `{id}` failed {why}"
    ))
}

pub(super) struct DescribeProducers {
    topic: String,
    partition: i32,
    broker: Option<i32>,
}

impl DescribeProducers {
    pub fn of(parsed: &Parsed) -> Result<DescribeProducers, Stop> {
        Ok(DescribeProducers {
            topic: required(parsed, "topic")?.to_owned(),
            partition: required_number(parsed, "partition")?,
            broker: parsed.number("broker-id")?,
        })
    }

    pub fn failure(&self) -> String {
        let broker = self
            .broker
            .map_or("leader".to_owned(), |id| format!("broker {id}"));
        format!(
            "Failed to describe producers for partition {}-{} on {broker}",
            self.topic, self.partition
        )
    }

    pub async fn run(&self, client: &mut Client) -> Result<(), Stop> {
        let producers = client
            .describe_producers(&self.topic, self.partition, self.broker)
            .await
            .map_err(|error| {
                let why = producers_reason(error, &self.topic, self.partition);
                failed(&self.failure(), &why)
            })?;
        let row = |producer: ActiveProducer| {
            let start = producer.transaction_start;
            [
                producer.producer_id.to_string(),
                producer.producer_epoch.to_string(),
                producer.coordinator_epoch.max(-1).to_string(),
                producer.last_sequence.to_string(),
                producer.last_timestamp.to_string(),
                start.map_or("None".to_owned(), |offset| offset.to_string()),
            ]
        };
        let rows: Vec<_> = producers.into_iter().map(row).collect();
        show_table(
            [
                "ProducerId",
                "ProducerEpoch",
                "LatestCoordinatorEpoch",
                "LastSequence",
                "LastTimestamp",
                "CurrentTransactionStartOffset",
            ],
            &rows,
        );
        Ok(())
    }
}

/// Why DescribeProducers failed for a partition. One that is not there is looked for until time is up, as Kafka's clients do.
pub(super) fn producers_reason(error: ClientError, topic: &str, partition: i32) -> Failure {
    reason(error, |error| {
        let (partition, why) = (format!("{topic}-{partition}"), error);
        match why {
            ResponseError::InvalidTopicException => Some(format!(
                "Failed to fetch metadata for partition {partition} due to invalid topic `{topic}`"
            )),
            _ if why.is_retriable() => Some(timed_out()),
            _ => Some(format!(
                "Failed to describe active producers for partition {partition} due to unexpected error"
            )),
        }
    })
}

/// What Kafka's clients say when a partition has no leader for too long.
pub(super) fn timed_out() -> String {
    "Timed out waiting for a node assignment. Call: topicMetadata".to_owned()
}
