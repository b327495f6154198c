//! ListTransactions, DescribeTransactions, DescribeProducers, WriteTxnMarkers (KIP-664), and fencing by InitProducerId.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, InitProducerIdRequest,
    ListTransactionsRequest, ProducerId, TransactionalId, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::{Topics, topic_name};

/// Which transactional ids to list; every condition that is set holds.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// With one of these producer ids; empty: any.
    pub producer_ids: Vec<i64>,
    /// Since the beginning of its last transaction more milliseconds have gone by than this; `None` or negative: any.
    pub longer_than_ms: Option<i64>,
    /// Their whole id is what this regular expression means; `None`: any.
    pub id_pattern: Option<String>,
}

/// A transactional id in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer_id: i64,
    /// `Empty`, `Ongoing`, `CompleteCommit`, ...
    pub state: String,
}

/// A transactional id in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer_id: i64,
    /// The epoch under which that may write.
    pub producer_epoch: i16,
    /// `Empty`, `Ongoing`, `CompleteCommit`, ...
    pub state: String,
    /// How long a transaction may be open.
    pub timeout_ms: i32,
    /// When its last transaction began, in milliseconds since 1970; `None`: none has.
    pub started_ms: Option<i64>,
    /// The partitions of the transaction that is open.
    pub partitions: Vec<(String, i32)>,
}

/// A producer as a partition knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// When it wrote last, in milliseconds since 1970.
    pub last_timestamp: i64,
    /// The epoch of the coordinator that wrote its last marker; -1: none has.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins; `None`: it has none here.
    pub transaction_start: Option<i64>,
}

/// The end of what a producer has open in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionMarker {
    /// The partition.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The producer.
    pub producer_id: i64,
    /// The epoch that it writes under, or a later one.
    pub producer_epoch: i16,
    /// The epoch of the coordinator that decides it.
    pub coordinator_epoch: i32,
    /// Whether its records are to be read.
    pub committed: bool,
}

impl Client {
    /// The transactional ids of all brokers that pass `filter`, broker by broker, each broker's in its own order.
    pub async fn list_transactions(
        &mut self,
        filter: &TransactionFilter,
    ) -> Result<Vec<ListedTransaction>, ClientError> {
        let cluster = self.metadata(Topics::Named(&[]), false).await?;
        let mut listed = Vec::new();
        for broker in &cluster.brokers {
            listed.extend(self.list_transactions_of(broker.id, filter).await?);
        }
        Ok(listed)
    }

    /// The transactional ids that `broker`, which metadata has named, coordinates and that pass `filter`, in its order.
    pub async fn list_transactions_of(
        &mut self,
        broker: i32,
        filter: &TransactionFilter,
    ) -> Result<Vec<ListedTransaction>, ClientError> {
        let request = ListTransactionsRequest::default()
            .with_producer_id_filters(
                filter
                    .producer_ids
                    .iter()
                    .copied()
                    .map(ProducerId)
                    .collect(),
            )
            .with_duration_filter(filter.longer_than_ms.unwrap_or(-1))
            .with_transactional_id_pattern(filter.id_pattern.clone().map(StrBytes::from_string));
        let answer = self
            .retry(async |client| {
                client.controller().await?;
                let answer = client.node(broker).await?.call(&request).await?;
                ClientError::check(answer.error_code, None, || {
                    format!("listing the transactions of broker {broker}")
                })?;
                Ok(answer)
            })
            .await?;
        let listed = answer.transaction_states.into_iter();
        Ok(listed
            .map(|one| ListedTransaction {
                coordinator: broker,
                transactional_id: one.transactional_id.to_string(),
                producer_id: one.producer_id.0,
                state: one.transaction_state.to_string(),
            })
            .collect())
    }

    /// A transactional id in detail. One that nobody knows is TRANSACTIONAL_ID_NOT_FOUND.
    pub async fn describe_transaction(
        &mut self,
        transactional_id: &str,
    ) -> Result<TransactionDescription, ClientError> {
        let request = DescribeTransactionsRequest::default()
            .with_transactional_ids(vec![id(transactional_id)]);
        self.retry(async |client| {
            let broker = client.transaction_coordinator(transactional_id).await?;
            client.controller().await?;
            let answer = client.node(broker.id).await?.call(&request).await?;
            let state = answer
                .transaction_states
                .into_iter()
                .next()
                .ok_or_else(|| {
                    ClientError::Invalid(format!(
                        "the broker's answer leaves {transactional_id} out"
                    ))
                })?;
            ClientError::check(state.error_code, None, || {
                format!("describing the transaction of {transactional_id}")
            })?;
            let partitions = state.topics.iter().flat_map(|topic| {
                let name = topic.topic.to_string();
                topic.partitions.iter().map(move |p| (name.clone(), *p))
            });
            Ok(TransactionDescription {
                coordinator: broker.id,
                transactional_id: transactional_id.to_owned(),
                producer_id: state.producer_id.0,
                producer_epoch: state.producer_epoch,
                started_ms: Some(state.transaction_start_time_ms).filter(|ms| *ms >= 0),
                timeout_ms: state.transaction_timeout_ms,
                partitions: partitions.collect(),
                state: state.transaction_state.to_string(),
            })
        })
        .await
    }

    /// The producers that a partition's leader knows, or that `broker` knows.
    pub async fn describe_producers(
        &mut self,
        topic: &str,
        partition: i32,
        broker: Option<i32>,
    ) -> Result<Vec<ActiveProducer>, ClientError> {
        let request = DescribeProducersRequest::default().with_topics(vec![
            TopicRequest::default()
                .with_name(topic_name(topic))
                .with_partition_indexes(vec![partition]),
        ]);
        self.retry(async |client| {
            let asked = match broker {
                Some(id) => {
                    client.controller().await?;
                    id
                }
                None => client.leader(topic, partition).await?,
            };
            let answer = client.node(asked).await?.call(&request).await?;
            let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
            let described = partitions.into_iter().next().ok_or_else(|| {
                ClientError::Invalid(format!(
                    "the broker's answer leaves {topic}-{partition} out"
                ))
            })?;
            let message = described.error_message.as_deref();
            ClientError::check(described.error_code, message, || {
                format!("describing the producers of {topic}-{partition}")
            })?;
            let producers = described.active_producers.into_iter();
            Ok(producers
                .map(|producer| ActiveProducer {
                    producer_id: producer.producer_id.0,
                    producer_epoch: producer.producer_epoch,
                    last_sequence: producer.last_sequence,
                    last_timestamp: producer.last_timestamp,
                    coordinator_epoch: producer.coordinator_epoch,
                    transaction_start: Some(producer.current_txn_start_offset)
                        .filter(|offset| *offset >= 0),
                })
                .collect())
        })
        .await
    }

    /// Ends what a producer has open in one partition, whatever its coordinator knows.
    pub async fn write_transaction_marker(
        &mut self,
        marker: &TransactionMarker,
    ) -> Result<(), ClientError> {
        let TransactionMarker {
            topic, partition, ..
        } = marker;
        let request = WriteTxnMarkersRequest::default().with_markers(vec![
            WritableTxnMarker::default()
                .with_producer_id(ProducerId(marker.producer_id))
                .with_producer_epoch(marker.producer_epoch)
                .with_coordinator_epoch(marker.coordinator_epoch)
                .with_transaction_result(marker.committed)
                .with_topics(vec![
                    WritableTxnMarkerTopic::default()
                        .with_name(topic_name(topic))
                        .with_partition_indexes(vec![*partition]),
                ]),
        ]);
        self.retry(async |client| {
            let leader = client.leader(topic, *partition).await?;
            let answer = client.node(leader).await?.call(&request).await?;
            let topics = answer.markers.into_iter().flat_map(|marker| marker.topics);
            let result = topics
                .flat_map(|topic| topic.partitions)
                .next()
                .ok_or_else(|| {
                    ClientError::Invalid(format!(
                        "the broker's answer leaves {topic}-{partition} out"
                    ))
                })?;
            ClientError::check(result.error_code, None, || {
                format!("writing a marker to {topic}-{partition}")
            })
        })
        .await
    }

    /// Fences the producer of a transactional id, which aborts what it has open. Makes the id if it is not there, as Kafka
    /// does. Answers with the producer that nobody uses now: id and epoch.
    pub async fn fence_producer(
        &mut self,
        transactional_id: &str,
    ) -> Result<(i64, i16), ClientError> {
        let timeout = self.options().connection.request_timeout.as_millis();
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id(transactional_id)))
            .with_transaction_timeout_ms(i32::try_from(timeout).unwrap_or(i32::MAX))
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        self.retry(async |client| {
            let broker = client.transaction_coordinator(transactional_id).await?;
            client.controller().await?;
            let answer = client.node(broker.id).await?.call(&request).await?;
            ClientError::check(answer.error_code, None, || {
                format!("fencing the producer of {transactional_id}")
            })?;
            Ok((answer.producer_id.0, answer.producer_epoch))
        })
        .await
    }
}

fn id(transactional_id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(transactional_id.to_owned()))
}
