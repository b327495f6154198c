//! OffsetForLeaderEpoch (KIP-101, KIP-320): where an epoch ended, for clients that check whether their log was cut.

use ottla_codec::ResponseError;
use ottla_codec::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use ottla_codec::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_codec::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use ottla_storage::Topics;

use crate::context::RequestContext;
use crate::errors;
use crate::reply::Reply;

/// Neither an epoch nor an offset.
const UNDEFINED: (i32, i64) = (-1, -1);

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> Reply<OffsetForLeaderEpochResponse> {
    let topics = ctx.broker.store.topics();
    let results = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| {
                    let found = end_of_epoch(ctx, &topics, &topic.topic.0, asked);
                    let error = found.err().map_or(0, |e| e.code());
                    let (epoch, end) = found.unwrap_or(UNDEFINED);
                    EpochEndOffset::default()
                        .with_partition(asked.partition)
                        .with_error_code(error)
                        .with_leader_epoch(epoch)
                        .with_end_offset(end)
                })
                .collect();
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions)
        })
        .collect();
    Reply::Now(OffsetForLeaderEpochResponse::default().with_topics(results))
}

fn end_of_epoch(
    ctx: &RequestContext,
    topics: &Topics,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ResponseError> {
    let partition = topics
        .by_name(topic)
        .and_then(|t| ctx.broker.store.partition(&t.id, asked.partition))
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    errors::leader_epoch(asked.current_leader_epoch, partition.leader_epoch())?;
    Ok(partition
        .epoch_end_offset(asked.leader_epoch)
        .unwrap_or(UNDEFINED))
}
