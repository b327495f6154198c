//! `abort` and `forceTerminateTransaction`: the end of a transaction in one partition, or of all that an id has open.

use ottla_client::Client;
use ottla_client::admin::TransactionMarker;
use ottla_client::kafka_protocol::ResponseError;

use super::describe::{producers_reason, timed_out};
use super::{failed, partition_options, reason, required, required_number};
use crate::options::{Options, Parsed};
use crate::stop::Stop;

pub(super) fn options(options: Options) -> Options {
    partition_options(options)
        .value(
            "start-offset",
            "offset",
            "Where the transaction begins, as describe-producers shows it. The other three are not needed then.",
        )
        .value("producer-id", "id", "The producer's id.")
        .value("producer-epoch", "epoch", "The producer's epoch.")
        .value(
            "coordinator-epoch",
            "epoch",
            "The epoch of the coordinator that wrote the producer's last marker.",
        )
}

pub(super) fn force_options(options: Options) -> Options {
    options.value("transactionalId", "id", "REQUIRED. The transactional id.")
}

pub(super) struct Abort {
    topic: String,
    partition: i32,
    start_offset: Option<i64>,
    producer_id: Option<i64>,
    producer_epoch: Option<i16>,
    coordinator_epoch: Option<i32>,
}

impl Abort {
    pub fn of(parsed: &Parsed) -> Result<Abort, Stop> {
        Ok(Abort {
            topic: required(parsed, "topic")?.to_owned(),
            partition: required_number(parsed, "partition")?,
            start_offset: parsed.number("start-offset")?,
            producer_id: parsed.number("producer-id")?,
            producer_epoch: parsed.number("producer-epoch")?,
            coordinator_epoch: parsed.number("coordinator-epoch")?,
        })
    }

    pub fn check(&self) -> Result<(), Stop> {
        let missing = match self {
            Abort {
                start_offset: Some(_),
                ..
            } => return Ok(()),
            Abort {
                producer_id: None, ..
            } => {
                "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)"
            }
            Abort {
                producer_epoch: None,
                ..
            } => "Missing required argument --producer-epoch",
            Abort {
                coordinator_epoch: None,
                ..
            } => "Missing required argument --coordinator-epoch",
            _ => return Ok(()),
        };
        Err(Stop::Failed(missing.to_owned()))
    }

    fn place(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    pub fn failure(&self) -> String {
        match self.start_offset {
            Some(_) => format!(
                "Failed to validate producer state for partition {}",
                self.place()
            ),
            None => abort_failure(&self.of_arguments()),
        }
    }

    pub async fn run(&self, client: &mut Client) -> Result<(), Stop> {
        let marker = match self.start_offset {
            Some(offset) => self.begun_at(client, offset).await?,
            None => self.of_arguments(),
        };
        let aborted = client.write_transaction_marker(&marker).await;
        aborted.map_err(|error| {
            let why = reason(error, |error| Some(words(&marker, error)));
            failed(&abort_failure(&marker), &why)
        })
    }

    fn marker(&self, producer: (i64, i16), coordinator_epoch: i32) -> TransactionMarker {
        TransactionMarker {
            topic: self.topic.clone(),
            partition: self.partition,
            producer_id: producer.0,
            producer_epoch: producer.1,
            // Of a producer that no coordinator has written a marker for.
            coordinator_epoch: coordinator_epoch.max(0),
            committed: false,
        }
    }

    fn of_arguments(&self) -> TransactionMarker {
        let producer = (
            self.producer_id.unwrap_or(-1),
            self.producer_epoch.unwrap_or(-1),
        );
        self.marker(producer, self.coordinator_epoch.unwrap_or(0))
    }

    async fn begun_at(&self, client: &mut Client, offset: i64) -> Result<TransactionMarker, Stop> {
        let producers = client
            .describe_producers(&self.topic, self.partition, None)
            .await
            .map_err(|error| {
                let why = producers_reason(error, &self.topic, self.partition);
                failed(&self.failure(), &why)
            })?;
        let found = producers
            .iter()
            .find(|producer| producer.transaction_start == Some(offset));
        let producer = found.ok_or_else(|| {
            Stop::Failed(format!(
                "Could not find any open transactions starting at offset {offset} on partition {}",
                self.place()
            ))
        })?;
        #[allow(clippy::cast_possible_truncation)] // The protocol has 32 bits for an epoch of 16.
        let epoch = producer.producer_epoch as i16;
        Ok(self.marker((producer.producer_id, epoch), producer.coordinator_epoch))
    }
}

/// As Kafka's clients show what is to be aborted.
fn spec(marker: &TransactionMarker) -> String {
    format!(
        "AbortTransactionSpec(topicPartition={}-{}, producerId={}, producerEpoch={}, coordinatorEpoch={})",
        marker.topic,
        marker.partition,
        marker.producer_id,
        marker.producer_epoch,
        marker.coordinator_epoch
    )
}

fn abort_failure(marker: &TransactionMarker) -> String {
    format!("Failed to abort transaction {}", spec(marker))
}

fn words(marker: &TransactionMarker, error: ResponseError) -> String {
    let why = match error {
        ResponseError::ClusterAuthorizationFailed => {
            "failed due to cluster authorization error".to_owned()
        }
        ResponseError::InvalidProducerEpoch => "failed due an invalid producer epoch".to_owned(),
        ResponseError::TransactionCoordinatorFenced => format!(
            "failed since the provided coordinator epoch {} has been fenced by the active coordinator",
            marker.coordinator_epoch
        ),
        _ if error.is_retriable() => return timed_out(),
        _ => format!(
            "failed due to unexpected error: {}",
            crate::errors::Failure::of_code(error.code(), None)
                .err()
                .map_or(String::new(), |failure| failure.to_string())
        ),
    };
    format!("WriteTxnMarkers request with {} {why}", spec(marker))
}

pub(super) struct Terminate {
    transactional_id: String,
}

impl Terminate {
    pub fn of(parsed: &Parsed) -> Result<Terminate, Stop> {
        let id = required(parsed, "transactionalId")?;
        Ok(Terminate {
            transactional_id: id.to_owned(),
        })
    }

    pub fn failure(&self) -> String {
        format!(
            "Failed to force terminate transactionalId `{}`",
            self.transactional_id
        )
    }

    pub async fn run(&self, client: &mut Client) -> Result<(), Stop> {
        let id = &self.transactional_id;
        let fenced = client.fence_producer(id).await;
        fenced.map(drop).map_err(|error| {
            let why = reason(error, |error| {
                let why = match error {
                    ResponseError::ClusterAuthorizationFailed => {
                        "failed due to cluster authorization failure"
                    }
                    ResponseError::TransactionalIdAuthorizationFailed => {
                        "failed due to transactional ID authorization failure"
                    }
                    _ => "failed due to unexpected error",
                };
                Some(format!(
                    "InitProducerId request for transactionalId `{id}` {why}"
                ))
            });
            failed(&self.failure(), &why)
        })
    }
}
