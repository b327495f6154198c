//! Produce: checks each batch, appends, answers when it is kept as asked.

use std::sync::Arc;

use bytes::BytesMut;
use ottla_codec::ResponseError;
use ottla_codec::StrBytes;
use ottla_codec::batch::BatchHeader;
use ottla_codec::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_codec::messages::{ProduceResponse, TopicName};
use ottla_codec::produce::{ProducePartition, ProduceRequest, ProduceTopic};
use ottla_coordinator::groups::PartitionId;
use ottla_coordinator::transactions::ProducerEpoch;
use ottla_storage::{
    AppendContext, AppendError, Appended, Commit, Op, Partition, Store, StoreError, Topic,
};
use tracing::warn;

use crate::context::RequestContext;
use crate::errors::{self, Refusal};
use crate::produce_check::{self, BatchRefusal};
use crate::reply::Reply;
use crate::topics::is_internal;
use crate::transactions::{Asking, refusal_of_write};

/// From this version on topics are named by id alone.
const FIRST_WITH_IDS: i16 = 13;
/// From this version on a client knows TRANSACTION_ABORTABLE.
const FIRST_OF_ABORTABLE: i16 = 11;
/// From this version on a partition joins its producer's transaction with the first batch (KIP-890).
const FIRST_THAT_JOINS: i16 = 12;
/// The client id by which Kafka's admin tools may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Handles one request.
pub(crate) fn handle(ctx: &RequestContext, request: ProduceRequest) -> Reply<ProduceResponse> {
    let acks = request.acks;
    let mut appends = Appends {
        ctx,
        acks,
        transactional_id: request.transactional_id,
        now_ms: ctx.broker.clock.now().wall_ms,
        kept: Vec::new(),
    };
    let topics = ctx.broker.store.topics();
    let responses = request
        .topics
        .into_iter()
        .enumerate()
        .map(|(at, topic)| {
            let found = if ctx.version >= FIRST_WITH_IDS {
                topics
                    .by_id(&topic.topic_id)
                    .ok_or(ResponseError::UnknownTopicId)
            } else {
                topics
                    .by_name(&topic.name)
                    .ok_or(ResponseError::UnknownTopicOrPartition)
            };
            appends.topic(at, topic, found)
        })
        .collect();
    let kept = appends.kept;
    let response = ProduceResponse::default().with_responses(responses);
    let store = ctx.broker.store.clone();
    match acks {
        0 => Reply::Silent(Box::pin(silent(store, kept, response))),
        _ if kept.is_empty() => Reply::Now(response),
        _ => Reply::later(answer(store, acks, kept, response)),
    }
}

/// An append under way: its place in the response, and when it is kept.
struct Kept {
    topic: usize,
    partition: usize,
    commit: Commit,
}

struct Appends<'a> {
    ctx: &'a RequestContext,
    acks: i16,
    transactional_id: Option<StrBytes>,
    now_ms: i64,
    kept: Vec<Kept>,
}

impl Appends<'_> {
    fn topic(
        &mut self,
        at: usize,
        request: ProduceTopic,
        found: Result<&Arc<Topic>, ResponseError>,
    ) -> TopicProduceResponse {
        let mut partitions = Vec::with_capacity(request.partitions.len());
        let name = found.map_or(&*request.name, |topic| &*topic.name);
        let internal = self.is_closed_to_clients(name);
        for (place, partition) in request.partitions.into_iter().enumerate() {
            let index = partition.index;
            let appended = match found {
                _ if internal => Err(Refusal::new(
                    ResponseError::InvalidTopicException,
                    format!("Cannot append to internal topic {name}"),
                )
                .into()),
                Ok(topic) => self.partition(topic, partition),
                Err(error) => Err(Refusal::new(error, error.to_string()).into()),
            };
            partitions.push(match appended {
                Ok(appended) => {
                    self.kept.push(Kept {
                        topic: at,
                        partition: place,
                        commit: appended.commit,
                    });
                    accepted(index, &appended)
                }
                Err(refused) => refusal(index, refused),
            });
        }
        let response = TopicProduceResponse::default().with_partition_responses(partitions);
        if self.ctx.version >= FIRST_WITH_IDS {
            response.with_topic_id(request.topic_id)
        } else {
            response.with_name(TopicName(request.name))
        }
    }

    /// Whether nobody but Kafka's own admin tools may write to this topic.
    fn is_closed_to_clients(&self, name: &str) -> bool {
        is_internal(name) && self.ctx.client_id.as_deref() != Some(ADMIN_CLIENT_ID)
    }

    /// Checks and appends. What is appended has its offsets; whether it is kept shows later.
    fn partition(
        &self,
        topic: &Arc<Topic>,
        request: ProducePartition,
    ) -> Result<Appended, BatchRefusal> {
        if !matches!(self.acks, -1..=1) {
            return Err(Refusal::new(
                ResponseError::InvalidRequiredAcks,
                format!("acks={} is none of -1, 0 and 1", self.acks),
            )
            .into());
        }
        let broker = &self.ctx.broker;
        let partition = broker
            .store
            .partition(&topic.id, request.index)
            .ok_or_else(|| {
                let error = ResponseError::UnknownTopicOrPartition;
                Refusal::new(error, error.to_string())
            })?;
        let records = request.records.unwrap_or_default();
        // Asked before anything else of the batch, as in Kafka.
        let is_transactional = BatchHeader::parse(&records).is_ok_and(|h| h.is_transactional());
        if is_transactional && self.transactional_id.is_none() {
            return Err(BatchRefusal::of_request(
                ResponseError::TransactionalIdAuthorizationFailed,
                "a transactional batch needs the transactional id in its request",
            ));
        }
        let rules = broker.topics.config(topic);
        let mut append = AppendContext::at(self.now_ms);
        produce_check::check(self.ctx.version, &records, &rules, self.now_ms)
            .and_then(|header| {
                // Later batches of a transaction meet a partition that knows of it.
                let (id, epoch) = (header.producer_id, header.producer_epoch);
                if header.is_transactional() && !partition.has_open_transaction(id, epoch) {
                    if self.is_verified() {
                        return self.append_first(topic, &partition, records, header);
                    }
                    append.begins_transaction = true;
                }
                partition
                    .append(records, &[header], append)
                    .map_err(|e| Refusal::new(errors::append(&e), e.to_string()).into())
            })
            .map_err(|refused| refused.at(partition.log_start_offset()))
    }
}

impl Appends<'_> {
    /// Whether the coordinator is asked about a transaction's first batch in a partition. Without it one may come to be that no
    /// coordinator knows and nothing will end (KIP-890).
    fn is_verified(&self) -> bool {
        self.ctx.version >= FIRST_THAT_JOINS
            || self
                .ctx
                .broker
                .settings
                .current()
                .transaction_partition_verification_enable
    }

    /// The first batch of a transaction in a partition: its coordinator is asked.
    fn append_first(
        &self,
        topic: &Topic,
        partition: &Arc<Partition>,
        batches: BytesMut,
        header: BatchHeader,
    ) -> Result<Appended, BatchRefusal> {
        let version = self.ctx.version;
        let id = self.transactional_id.as_deref().unwrap_or_default();
        let asking = Asking {
            transactional_id: id.to_owned(),
            producer: ProducerEpoch {
                producer_id: header.producer_id,
                epoch: header.producer_epoch,
            },
        };
        let id = PartitionId {
            topic: topic.name.to_string(),
            partition: partition.index(),
        };
        let append = Op::Append {
            partition: partition.clone(),
            batches,
            headers: vec![header],
            ctx: AppendContext {
                now_ms: self.now_ms,
                begins_transaction: true,
            },
        };
        let joins = version >= FIRST_THAT_JOINS;
        if joins && begins_amid_nothing(partition, &header) {
            let error = ResponseError::OutOfOrderSequenceNumber;
            return Err(Refusal::new(error, error.to_string()).into());
        }
        let groups = &self.ctx.broker.groups;
        let appended = groups.append_first_in_transaction(&asking, id, joins, append);
        appended.map_err(|e| match e {
            // The coordinator says no: the log was not looked at.
            AppendError::Refused(error) => {
                let error = refusal_of_write(error, version >= FIRST_OF_ABORTABLE);
                BatchRefusal::of_request(error, error.to_string())
            }
            e => Refusal::new(errors::append(&e), e.to_string()).into(),
        })
    }
}

/// Whether a producer that the partition does not know begins with another sequence than 0. One that joins by its first batch has
/// an epoch for each transaction, so something was lost before it (KIP-890).
fn begins_amid_nothing(partition: &Partition, header: &BatchHeader) -> bool {
    let is_known = || {
        let known = partition.active_producers();
        known.iter().any(|p| p.producer_id == header.producer_id)
    };
    header.base_sequence != 0 && !is_known()
}

fn accepted(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time)
        .with_log_start_offset(appended.log_start_offset)
}

fn refusal(index: i32, refused: BatchRefusal) -> PartitionProduceResponse {
    let records = refused
        .records
        .into_iter()
        .map(|(index, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(index)
                .with_batch_index_error_message(Some(StrBytes::from_string(message)))
        })
        .collect();
    failed(
        index,
        refused.refusal.error,
        Some(StrBytes::from_string(refused.refusal.message)),
    )
    .with_record_errors(records)
    .with_log_start_offset(refused.log_start_offset)
}

fn failed(index: i32, error: ResponseError, message: Option<StrBytes>) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
        .with_error_message(message)
}

/// Waits until `commit` is kept as `acks` asks, however long that takes: the request's time-out is for replicas, and Kafka
/// does not bind its own write by it either. A timer for each request would cost more than the answer.
async fn kept_as_asked(store: &Store, acks: i16, commit: Commit) -> Result<(), StoreError> {
    if acks == -1 {
        store.durable(commit).await
    } else {
        store.written(commit).await
    }
}

async fn answer(
    store: Store,
    acks: i16,
    kept: Vec<Kept>,
    mut response: ProduceResponse,
) -> ProduceResponse {
    for one in kept {
        let error = match kept_as_asked(&store, acks, one.commit).await {
            Ok(()) => continue,
            Err(e) => errors::store(&e),
        };
        let place = &mut response.responses[one.topic].partition_responses[one.partition];
        *place = failed(place.index, error, None);
    }
    response
}

/// acks=0: the client hears nothing, save that its connection is closed when something was refused.
async fn silent(store: Store, kept: Vec<Kept>, response: ProduceResponse) -> Result<(), String> {
    let refused = response
        .responses
        .iter()
        .flat_map(|t| t.partition_responses.iter().map(move |p| (t, p)))
        .find(|(_, p)| p.error_code != 0);
    if let Some((topic, partition)) = refused {
        return Err(format!(
            "produce with acks=0 to {}-{} failed with error {} ({})",
            &*topic.name.0,
            partition.index,
            partition.error_code,
            partition.error_message.as_deref().unwrap_or_default()
        ));
    }
    // What is not yet written counts as in flight: that is what slows a producer down that asks for no answers.
    for one in kept {
        if let Err(e) = store.written(one.commit).await {
            warn!("a produce with acks=0 was not kept: {e}");
            break;
        }
    }
    Ok(())
}
