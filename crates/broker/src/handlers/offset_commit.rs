//! OffsetCommit.

use std::sync::Arc;

use ottla_codec::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_codec::messages::{OffsetCommitRequest, OffsetCommitResponse};
use ottla_codec::{ResponseError, newer};
use ottla_coordinator::groups::{
    OffsetCommitPartition, OffsetCommitRequest as Commit, OffsetResults, PartitionId,
};
use ottla_storage::Topic;

use crate::context::RequestContext;
use crate::groups::fill_in;
use crate::reply::Reply;

/// From this version on topics are named by id alone.
const FIRST_WITH_IDS: i16 = 10;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: OffsetCommitRequest,
) -> Reply<OffsetCommitResponse> {
    let (response, partitions) = existing_partitions(ctx, &request);
    if partitions.is_empty() {
        return Reply::Now(response);
    }
    let count = partitions.len();
    let client = ctx.client_name();
    let commit = Commit {
        group_id: request.group_id.to_string(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(|id| id.to_string()),
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        group_not_found_error: ctx.version >= 9,
        partitions,
    };
    let answer = ctx.broker.groups.commit_offsets(commit, &client);
    Reply::later(async move {
        let results = answer.await.unwrap_or_else(|error| vec![Err(error); count]);
        with_results(response, results)
    })
}

/// The answer with UNKNOWN_TOPIC_OR_PARTITION or UNKNOWN_TOPIC_ID where that is so, and what is to be committed, in the request's order.
fn existing_partitions(
    ctx: &RequestContext,
    request: &OffsetCommitRequest,
) -> (OffsetCommitResponse, Vec<OffsetCommitPartition>) {
    let topics = ctx.broker.store.topics();
    let mut commits = Vec::new();
    let by_id = ctx.version >= FIRST_WITH_IDS;
    let answers = request.topics.iter().map(|t| {
        // Nil where there is a name.
        let id = newer::topic_id(&t.unknown_tagged_fields);
        let topic = match by_id {
            true => topics.by_id(&id),
            false => topics.by_name(&t.name),
        };
        let missing = match topic {
            None if by_id => ResponseError::UnknownTopicId,
            _ => ResponseError::UnknownTopicOrPartition,
        };
        let partitions = t.partitions.iter().map(|p| {
            let answer =
                OffsetCommitResponsePartition::default().with_partition_index(p.partition_index);
            let metadata = p.committed_metadata.as_deref();
            let place = (p.committed_offset, p.committed_leader_epoch);
            match commit_of(topic, p.partition_index, place, metadata) {
                None => answer.with_error_code(missing.code()),
                Some(commit) => {
                    commits.push(commit);
                    answer
                }
            }
        });
        OffsetCommitResponseTopic::default()
            .with_name(t.name.clone())
            .with_topic_id(id)
            .with_partitions(partitions.collect())
    });
    let response = OffsetCommitResponse::default().with_topics(answers.collect());
    (response, commits)
}

/// What is to be kept of a partition, by offset and leader epoch; `None` if there is no such partition.
pub(super) fn commit_of(
    topic: Option<&Arc<Topic>>,
    partition: i32,
    (offset, leader_epoch): (i64, i32),
    metadata: Option<&str>,
) -> Option<OffsetCommitPartition> {
    let topic = topic.filter(|topic| (0..topic.partitions).contains(&partition))?;
    Some(OffsetCommitPartition {
        id: PartitionId {
            topic: topic.name.to_string(),
            partition,
        },
        topic_id: *topic.id.as_bytes(),
        offset,
        leader_epoch,
        metadata: metadata.unwrap_or_default().to_owned(),
    })
}

/// Fills the results in where no error is yet.
fn with_results(
    mut response: OffsetCommitResponse,
    results: OffsetResults,
) -> OffsetCommitResponse {
    let partitions = response.topics.iter_mut().flat_map(|t| &mut t.partitions);
    fill_in(partitions.map(|p| &mut p.error_code), &results);
    response
}
