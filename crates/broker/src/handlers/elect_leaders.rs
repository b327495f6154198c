//! ElectLeaders (KIP-183, KIP-460): the one broker leads everything, so no partition ever needs an election.

use ottla_codec::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use ottla_codec::messages::{ElectLeadersRequest, ElectLeadersResponse};
use ottla_codec::{ResponseError, StrBytes};
use ottla_storage::Topics;

use crate::context::RequestContext;
use crate::errors::Refusal;
use crate::reply::Reply;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ElectLeadersRequest,
) -> Reply<ElectLeadersResponse> {
    let topics = ctx.broker.store.topics();
    let is_known = matches!(request.election_type, PREFERRED | UNCLEAN);
    let unknown_type = || {
        Refusal::new(
            ResponseError::InvalidRequest,
            format!("Unknown election type {}", request.election_type),
        )
    };
    // Asked for all partitions, Kafka answers those alone whose leader changed.
    let results = request.topic_partitions.iter().flatten().map(|asked| {
        let partitions = asked.partitions.iter().map(|&partition| {
            let refusal = if is_known {
                refusal(&topics, &asked.topic, partition)
            } else {
                unknown_type()
            };
            PartitionResult::default()
                .with_partition_id(partition)
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.message)))
        });
        ReplicaElectionResult::default()
            .with_topic(asked.topic.clone())
            .with_partition_result(partitions.collect())
    });
    let mut response =
        ElectLeadersResponse::default().with_replica_election_results(results.collect());
    // Version 0 has no such field, and no election types.
    if !is_known && ctx.version >= 1 {
        response.error_code = ResponseError::InvalidRequest.code();
    }
    Reply::Now(response)
}

fn refusal(topics: &Topics, name: &str, partition: i32) -> Refusal {
    let unknown = |what: String| Refusal::new(ResponseError::UnknownTopicOrPartition, what);
    match topics.by_name(name) {
        None => unknown(format!("No such topic as {name}")),
        Some(topic) if !(0..topic.partitions).contains(&partition) => {
            unknown(format!("No such partition as {name}-{partition}"))
        }
        Some(_) => Refusal::new(
            ResponseError::ElectionNotNeeded,
            "Leader election not needed for topic partition.",
        ),
    }
}
