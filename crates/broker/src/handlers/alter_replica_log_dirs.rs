//! AlterReplicaLogDirs (KIP-113): there is one data directory, and partitions are in it.

use std::collections::BTreeMap;

use ottla_codec::ResponseError;
use ottla_codec::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use ottla_codec::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};

use super::describe_log_dirs::directory;
use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: AlterReplicaLogDirsRequest,
) -> Reply<AlterReplicaLogDirsResponse> {
    let directory = directory(&ctx.broker);
    let topics = ctx.broker.store.topics();
    let mut results: BTreeMap<TopicName, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for asked in request.dirs {
        for topic in asked.topics {
            let partitions = topics.by_name(&topic.name).map_or(0, |t| t.partitions);
            let outcome = |index| {
                if *asked.path != directory {
                    ResponseError::LogDirNotFound.code()
                } else if !(0..partitions).contains(&index) {
                    ResponseError::UnknownTopicOrPartition.code()
                } else {
                    0
                }
            };
            let answers = topic.partitions.into_iter().map(|index| {
                AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(outcome(index))
            });
            results.entry(topic.name).or_default().extend(answers);
        }
    }
    let results = results.into_iter().map(|(name, partitions)| {
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(name)
            .with_partitions(partitions)
    });
    Reply::Now(AlterReplicaLogDirsResponse::default().with_results(results.collect()))
}
