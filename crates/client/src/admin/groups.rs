//! ListGroups, DescribeGroups, DeleteGroups.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, GroupId,
    ListGroupsRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::client::Client;
use crate::consumer::protocol;
use crate::error::ClientError;
use crate::metadata::Topics;

/// A group in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// The group's id.
    pub group: String,
    /// `consumer` for consumers; empty for a group that holds offsets alone.
    pub protocol_type: String,
    /// `Stable`, `Empty`, ...; empty from brokers before ListGroups 4.
    pub state: String,
    /// `classic`, `consumer`, ...; empty from brokers before ListGroups 5.
    pub group_type: String,
}

/// A group in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// The group's id.
    pub group: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`.
    pub state: String,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// The assignor in use.
    pub assignor: String,
    /// The members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave.
    pub member_id: String,
    /// The static member's own id.
    pub instance_id: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Partitions by topic.
    pub assignment: BTreeMap<String, Vec<i32>>,
}

impl Client {
    /// Every group of the cluster, by id.
    pub async fn list_groups(&mut self) -> Result<Vec<GroupListing>, ClientError> {
        let cluster = self.metadata(Topics::Named(&[]), false).await?;
        let mut groups = Vec::new();
        // A broker lists the groups that it coordinates.
        for broker in &cluster.brokers {
            let answer = self
                .retry(async |client| {
                    client.controller().await?;
                    let node = client.node(broker.id).await?;
                    let answer = node.call(&ListGroupsRequest::default()).await?;
                    ClientError::check(answer.error_code, None, || {
                        format!("listing the groups of broker {}", broker.id)
                    })?;
                    Ok(answer)
                })
                .await?;
            groups.extend(answer.groups.into_iter().map(|group| GroupListing {
                group: group.group_id.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
                group_type: group.group_type.to_string(),
            }));
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    /// A group in detail. A group that does not exist is GROUP_ID_NOT_FOUND, or in state `Dead` from brokers before
    /// DescribeGroups 6.
    pub async fn describe_group(&mut self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        let described = self
            .retry(async |client| {
                let answer = client.coordinator(group).await?.call(&request).await?;
                let described = answer.groups.into_iter().next().ok_or_else(|| {
                    ClientError::Invalid(format!("the broker's answer leaves group {group} out"))
                })?;
                ClientError::check(
                    described.error_code,
                    described.error_message.as_deref(),
                    || format!("describing group {group}"),
                )?;
                Ok(described)
            })
            .await?;
        let consumers = described.protocol_type.as_str() == protocol::CONSUMER;
        let members = described
            .members
            .into_iter()
            .map(|member| GroupMember {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.map(|id| id.to_string()),
                client_id: member.client_id.to_string(),
                host: member.client_host.to_string(),
                // What a foreign assignor wrote may be in another form; then there is nothing to show.
                assignment: Some(member.member_assignment)
                    .filter(|bytes| consumers && !bytes.is_empty())
                    .and_then(|bytes| protocol::decode_assignment(bytes).ok())
                    .map(by_topic)
                    .unwrap_or_default(),
            })
            .collect();
        Ok(GroupDescription {
            group: described.group_id.to_string(),
            state: described.group_state.to_string(),
            protocol_type: described.protocol_type.to_string(),
            assignor: described.protocol_data.to_string(),
            members,
        })
    }

    /// Deletes an empty group and its offsets.
    pub async fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        self.retry(async |client| {
            let answer = client.coordinator(group).await?.call(&request).await?;
            for result in answer.results {
                ClientError::check(result.error_code, None, || {
                    format!("deleting group {group}")
                })?;
            }
            Ok(())
        })
        .await
    }
}

pub(crate) fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn by_topic(assignment: ConsumerProtocolAssignment) -> BTreeMap<String, Vec<i32>> {
    assignment
        .assigned_partitions
        .into_iter()
        .map(|topic| {
            let mut partitions = topic.partitions;
            partitions.sort_unstable();
            (topic.topic.to_string(), partitions)
        })
        .collect()
}
