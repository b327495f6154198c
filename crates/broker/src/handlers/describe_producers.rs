//! DescribeProducers (KIP-664): who writes to a partition, and since which offset in a transaction.

use ottla_codec::ResponseError;
use ottla_codec::messages::describe_producers_request::TopicRequest;
use ottla_codec::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_codec::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use ottla_storage::ActiveProducer;

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeProducersRequest,
) -> Reply<DescribeProducersResponse> {
    let topics = request.topics.into_iter().map(|topic| describe(ctx, topic));
    Reply::Now(DescribeProducersResponse::default().with_topics(topics.collect()))
}

fn describe(ctx: &RequestContext, topic: TopicRequest) -> TopicResponse {
    let found = ctx.broker.store.topics().by_name(&topic.name).cloned();
    let partitions = topic.partition_indexes.iter().map(|index| {
        let partition = found
            .as_ref()
            .and_then(|topic| ctx.broker.store.partition(&topic.id, *index));
        let answer = PartitionResponse::default().with_partition_index(*index);
        match partition {
            Some(partition) => answer.with_active_producers(
                partition
                    .active_producers()
                    .into_iter()
                    .map(state)
                    .collect(),
            ),
            None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
        }
    });
    let partitions = partitions.collect();
    TopicResponse::default()
        .with_name(topic.name)
        .with_partitions(partitions)
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_append_ms)
        // It is not kept: there is one coordinator.
        .with_coordinator_epoch(-1)
        .with_current_txn_start_offset(producer.transaction_start)
}
