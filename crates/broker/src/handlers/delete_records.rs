//! DeleteRecords (KIP-107): moves the start of logs up.

use ottla_codec::ResponseError;
use ottla_codec::messages::delete_records_request::DeleteRecordsPartition;
use ottla_codec::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_codec::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_storage::{Commit, Topics};

use crate::context::RequestContext;
use crate::errors;
use crate::reply::Reply;

/// The log start of a partition that could not be changed.
const UNKNOWN: i64 = -1;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DeleteRecordsRequest,
) -> Reply<DeleteRecordsResponse> {
    let topics = ctx.broker.store.topics();
    let mut commits = Vec::new();
    let mut results = Vec::with_capacity(request.topics.len());
    for (at, topic) in request.topics.into_iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (place, asked) in topic.partitions.iter().enumerate() {
            let moved = move_start(ctx, &topics, &topic.name.0, asked);
            if let Ok((_, commit)) = moved {
                commits.push((at, place, commit));
            }
            partitions.push(
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(asked.partition_index)
                    .with_low_watermark(moved.map_or(UNKNOWN, |(start, _)| start))
                    .with_error_code(moved.err().map_or(0, |e| e.code())),
            );
        }
        results.push(
            DeleteRecordsTopicResult::default()
                .with_name(topic.name)
                .with_partitions(partitions),
        );
    }
    let mut response = DeleteRecordsResponse::default().with_topics(results);
    if commits.is_empty() {
        return Reply::Now(response);
    }
    let store = ctx.broker.store.clone();
    Reply::later(async move {
        for (topic, partition, commit) in commits {
            if let Err(e) = store.durable(commit).await {
                let result = &mut response.topics[topic].partitions[partition];
                result.error_code = errors::store(&e).code();
                result.low_watermark = UNKNOWN;
            }
        }
        response
    })
}

fn move_start(
    ctx: &RequestContext,
    topics: &Topics,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<(i64, Commit), ResponseError> {
    let topic = topics
        .by_name(topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = ctx
        .broker
        .store
        .partition(&topic.id, asked.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    // What a compacted topic keeps is for its keys to say.
    if !ctx.broker.topics.config(topic).log.cleanup_policy.delete {
        return Err(ResponseError::PolicyViolation);
    }
    if asked.offset < -1 {
        return Err(ResponseError::OffsetOutOfRange);
    }
    partition
        .delete_records(asked.offset)
        .map_err(|e| errors::read(&e))?
        .map_err(|e| errors::store(&e))
}
