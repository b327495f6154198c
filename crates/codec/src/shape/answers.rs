//! The shape of every answer, for clients: the counterpart of the tables of requests.

mod admin;
mod cluster;
mod groups;
mod logs;

use super::Shape;
use crate::api::Api;

pub(super) fn shape(api: Api) -> &'static Shape {
    match api {
        Api::Produce => &logs::PRODUCE,
        Api::Fetch => &logs::FETCH,
        Api::ListOffsets => &logs::LIST_OFFSETS,
        Api::Metadata => &cluster::METADATA,
        Api::OffsetCommit => &groups::OFFSET_COMMIT,
        Api::OffsetFetch => &groups::OFFSET_FETCH,
        Api::FindCoordinator => &groups::FIND_COORDINATOR,
        Api::JoinGroup => &groups::JOIN_GROUP,
        Api::Heartbeat => &groups::HEARTBEAT,
        Api::LeaveGroup => &groups::LEAVE_GROUP,
        Api::SyncGroup => &groups::SYNC_GROUP,
        Api::DescribeGroups => &groups::DESCRIBE_GROUPS,
        Api::ListGroups => &groups::LIST_GROUPS,
        Api::ApiVersions => &cluster::API_VERSIONS,
        Api::CreateTopics => &admin::CREATE_TOPICS,
        Api::DeleteTopics => &admin::DELETE_TOPICS,
        Api::DeleteRecords => &logs::DELETE_RECORDS,
        Api::InitProducerId => &logs::INIT_PRODUCER_ID,
        Api::OffsetForLeaderEpoch => &logs::OFFSET_FOR_LEADER_EPOCH,
        Api::DescribeConfigs => &admin::DESCRIBE_CONFIGS,
        Api::AlterConfigs => &admin::ALTER_CONFIGS,
        Api::DescribeLogDirs => &admin::DESCRIBE_LOG_DIRS,
        Api::CreatePartitions => &admin::CREATE_PARTITIONS,
        Api::DeleteGroups => &groups::DELETE_GROUPS,
        Api::IncrementalAlterConfigs => &admin::INCREMENTAL_ALTER_CONFIGS,
        Api::OffsetDelete => &groups::OFFSET_DELETE,
        Api::DescribeCluster => &cluster::DESCRIBE_CLUSTER,
        Api::ListConfigResources => &admin::LIST_CONFIG_RESOURCES,
        Api::DescribeTopicPartitions => &cluster::DESCRIBE_TOPIC_PARTITIONS,
    }
}

#[cfg(test)]
mod tests;
