//! TxnOffsetCommit (KIP-98, KIP-447): offsets that count when the transaction commits.

use ottla_codec::ResponseError;
use ottla_codec::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_codec::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_coordinator::groups::{OffsetCommitPartition, OffsetCommitRequest};

use crate::context::RequestContext;
use crate::groups::fill_in;
use crate::handlers::offset_commit::commit_of;
use crate::reply::Reply;
use crate::transactions::{asking, refusal_of_write};

/// From this version on the group joins the transaction by its first commit (KIP-890).
const FIRST_THAT_JOINS: i16 = 5;
/// From this version on a client knows TRANSACTION_ABORTABLE.
const FIRST_OF_ABORTABLE: i16 = 4;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: TxnOffsetCommitRequest,
) -> Reply<TxnOffsetCommitResponse> {
    let (mut response, partitions) = existing_partitions(ctx, &request);
    let version = ctx.version;
    let asking = asking(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
    );
    let count = partitions.len();
    let commit = OffsetCommitRequest {
        group_id: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(|id| id.to_string()),
        retention_ms: None,
        group_not_found_error: true,
        partitions,
    };
    let joins = version >= FIRST_THAT_JOINS;
    let kept = ctx
        .broker
        .groups
        .commit_offsets_in_transaction(&asking, joins, commit);
    Reply::later(async move {
        let results = kept.await.unwrap_or_else(|error| {
            let error = refusal_of_write(error, version >= FIRST_OF_ABORTABLE);
            vec![Err(error); count]
        });
        let partitions = response.topics.iter_mut().flat_map(|t| &mut t.partitions);
        fill_in(partitions.map(|p| &mut p.error_code), &results);
        response
    })
}

/// The answer with UNKNOWN_TOPIC_OR_PARTITION where that is so, and what is to be kept, in the request's order.
fn existing_partitions(
    ctx: &RequestContext,
    request: &TxnOffsetCommitRequest,
) -> (TxnOffsetCommitResponse, Vec<OffsetCommitPartition>) {
    let topics = ctx.broker.store.topics();
    let mut commits = Vec::new();
    let answers = request.topics.iter().map(|t| {
        let topic = topics.by_name(&t.name);
        let partitions = t.partitions.iter().map(|p| {
            let answer =
                TxnOffsetCommitResponsePartition::default().with_partition_index(p.partition_index);
            let metadata = p.committed_metadata.as_deref();
            let place = (p.committed_offset, p.committed_leader_epoch);
            match commit_of(topic, p.partition_index, place, metadata) {
                None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                Some(commit) => {
                    commits.push(commit);
                    answer
                }
            }
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(t.name.clone())
            .with_partitions(partitions.collect())
    });
    let response = TxnOffsetCommitResponse::default().with_topics(answers.collect());
    (response, commits)
}
