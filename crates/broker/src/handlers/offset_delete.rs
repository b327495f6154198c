//! OffsetDelete (KIP-496).

use ottla_codec::ResponseError;
use ottla_codec::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_codec::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use ottla_coordinator::groups::{
    Event, OffsetDeleteRequest as Delete, OffsetResults, PartitionId, Reply as GroupReply,
};

use crate::context::RequestContext;
use crate::groups::fill_in;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: OffsetDeleteRequest,
) -> Reply<OffsetDeleteResponse> {
    let (response, partitions) = existing_partitions(ctx, &request);
    if partitions.is_empty() {
        return Reply::Now(response);
    }
    let delete = Delete {
        group_id: request.group_id.to_string(),
        partitions,
    };
    let answer = ctx.broker.groups.submit(&request.group_id, |ticket| {
        Event::OffsetDelete(ticket, delete)
    });
    Reply::later(async move {
        match answer.await {
            Ok(GroupReply::OffsetDelete(Ok(results))) => with_results(response, results),
            Ok(GroupReply::OffsetDelete(Err(error))) | Err(error) => {
                OffsetDeleteResponse::default().with_error_code(error.code())
            }
            Ok(_) => OffsetDeleteResponse::default()
                .with_error_code(ResponseError::UnknownServerError.code()),
        }
    })
}

/// The answer with UNKNOWN_TOPIC_OR_PARTITION where that is so, and what is to be deleted, in the request's order.
fn existing_partitions(
    ctx: &RequestContext,
    request: &OffsetDeleteRequest,
) -> (OffsetDeleteResponse, Vec<PartitionId>) {
    let topics = ctx.broker.store.topics();
    let mut deletes = Vec::new();
    let answers = request.topics.iter().map(|t| {
        let count = topics.by_name(&t.name).map_or(0, |topic| topic.partitions);
        let partitions = t.partitions.iter().map(|p| {
            let answer =
                OffsetDeleteResponsePartition::default().with_partition_index(p.partition_index);
            if !(0..count).contains(&p.partition_index) {
                return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
            }
            deletes.push(PartitionId {
                topic: t.name.to_string(),
                partition: p.partition_index,
            });
            answer
        });
        OffsetDeleteResponseTopic::default()
            .with_name(t.name.clone())
            .with_partitions(partitions.collect())
    });
    let response = OffsetDeleteResponse::default().with_topics(answers.collect());
    (response, deletes)
}

/// Fills the results in where no error is yet.
fn with_results(
    mut response: OffsetDeleteResponse,
    results: OffsetResults,
) -> OffsetDeleteResponse {
    let partitions = response.topics.iter_mut().flat_map(|t| &mut t.partitions);
    fill_in(partitions.map(|p| &mut p.error_code), &results);
    response
}
