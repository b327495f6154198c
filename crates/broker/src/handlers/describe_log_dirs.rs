//! DescribeLogDirs: the data directory, and how large each partition is in it (KIP-113, KIP-827).

use std::collections::BTreeMap;

use ottla_codec::StrBytes;
use ottla_codec::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_codec::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use ottla_storage::Topic;

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::state::BrokerState;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeLogDirsRequest,
) -> Reply<DescribeLogDirsResponse> {
    let broker = &*ctx.broker;
    let topics = broker.store.topics();
    let described: Vec<DescribeLogDirsTopic> = match request.topics {
        None => topics
            .iter()
            .map(|topic| describe(broker, topic, 0..topic.partitions))
            .collect(),
        Some(asked) => {
            let mut wanted: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
            for one in asked {
                wanted.entry(one.topic).or_default().extend(one.partitions);
            }
            wanted
                .into_iter()
                .filter_map(|(name, mut partitions)| {
                    let topic = topics.by_name(&name)?;
                    partitions.sort_unstable();
                    partitions.dedup();
                    let described = describe(broker, topic, partitions);
                    (!described.partitions.is_empty()).then_some(described)
                })
                .collect()
        }
    };
    let directory = directory(broker);
    let mut result = DescribeLogDirsResult::default().with_topics(described);
    if ctx.version >= 4 {
        let (total, usable) = space(&directory);
        result = result.with_total_bytes(total).with_usable_bytes(usable);
    }
    let result = result.with_log_dir(StrBytes::from_string(directory));
    Reply::Now(DescribeLogDirsResponse::default().with_results(vec![result]))
}

/// The data directory, from the root as Kafka has it.
pub(super) fn directory(broker: &BrokerState) -> String {
    let layers = broker.settings.layers();
    let given = layers.value("log.dirs").unwrap_or_default();
    match std::path::absolute(given) {
        Ok(path) => path.display().to_string(),
        Err(_) => given.to_owned(),
    }
}

fn describe(
    broker: &BrokerState,
    topic: &Topic,
    partitions: impl IntoIterator<Item = i32>,
) -> DescribeLogDirsTopic {
    let partitions = partitions
        .into_iter()
        .filter_map(|index| {
            let size = broker.store.partition(&topic.id, index)?.size_bytes();
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            Some(
                DescribeLogDirsPartition::default()
                    .with_partition_index(index)
                    .with_partition_size(size),
            )
        })
        .collect();
    DescribeLogDirsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
        .with_partitions(partitions)
}

/// The bytes of the file system and those left for us; -1 where they cannot be had, as in Kafka.
fn space(directory: &str) -> (i64, i64) {
    let Ok(space) = rustix::fs::statvfs(directory) else {
        return (-1, -1);
    };
    let bytes =
        |blocks: u64| i64::try_from(blocks.saturating_mul(space.f_frsize)).unwrap_or(i64::MAX);
    (bytes(space.f_blocks), bytes(space.f_bavail))
}
