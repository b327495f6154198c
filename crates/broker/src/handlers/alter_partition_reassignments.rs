//! AlterPartitionReassignments (KIP-455): every partition stays where it is, on the one broker.

use ottla_codec::messages::alter_partition_reassignments_request::ReassignablePartition;
use ottla_codec::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_codec::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use ottla_codec::{ResponseError, StrBytes};
use ottla_storage::Topics;

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::topics::check_assignment;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> Reply<AlterPartitionReassignmentsResponse> {
    let topics = ctx.broker.store.topics();
    let node_id = ctx.broker.cluster.node_id;
    // Kafka's text is empty then, and null otherwise.
    let asked_nothing = request.topics.is_empty();
    let may_change_factor = request.allow_replication_factor_change;
    let responses = request.topics.into_iter().map(|asked| {
        let partitions = asked.partitions.iter().map(|partition| {
            let response = ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_message(None);
            match check(&topics, &asked.name, partition, node_id) {
                Ok(()) => response,
                Err((error, message)) => response
                    .with_error_code(error.code())
                    .with_error_message(message.map(StrBytes::from_string)),
            }
        });
        ReassignableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(asked.name)
    });
    let mut response = AlterPartitionReassignmentsResponse::default()
        .with_error_message(asked_nothing.then(StrBytes::default))
        .with_responses(responses.collect());
    if ctx.version >= 1 {
        response.allow_replication_factor_change = may_change_factor;
    }
    Reply::Now(response)
}

/// Whether the partition is where it is asked to be; the error and what is said of it.
fn check(
    topics: &Topics,
    name: &str,
    asked: &ReassignablePartition,
    node_id: i32,
) -> Result<(), (ResponseError, Option<String>)> {
    let unknown = |what: String| (ResponseError::UnknownTopicOrPartition, Some(what));
    let topic = topics
        .by_name(name)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let index = asked.partition_index;
    if !(0..topic.partitions).contains(&index) {
        return Err(unknown(format!("Unable to find partition {name}:{index}.")));
    }
    let Some(replicas) = &asked.replicas else {
        return Err((ResponseError::NoReassignmentInProgress, None));
    };
    let replicas: Vec<i32> = replicas.iter().map(|id| id.0).collect();
    check_assignment(&replicas, node_id).map_err(|refusal| (refusal.error, Some(refusal.message)))
}
