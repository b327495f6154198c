//! Membership of a group in the classic protocol: join, sync, heartbeat, leave.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::group::GroupOptions;
use super::{assignor, protocol};
use crate::admin::group_id;
use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::Topics;
use crate::node::Node;

const RANGE: &str = "range";

/// Partitions by topic.
pub(super) type Assignment = BTreeMap<String, Vec<i32>>;

/// A member's standing with its coordinator.
#[derive(Debug)]
pub(super) struct Membership {
    options: GroupOptions,
    pub(super) coordinator: Option<Node>,
    pub(super) member_id: StrBytes,
    pub(super) generation: i32,
}

impl Membership {
    pub(super) fn new(options: GroupOptions) -> Membership {
        Membership {
            options,
            coordinator: None,
            member_id: StrBytes::default(),
            generation: -1,
        }
    }

    /// Changes what the next join subscribes to.
    pub(super) fn subscribe(&mut self, topics: Vec<String>) {
        self.options.topics = topics;
    }

    /// The connection to the coordinator, which is looked up if need be.
    pub(super) async fn coordinator(
        &mut self,
        client: &mut Client,
    ) -> Result<&mut Node, ClientError> {
        if self.coordinator.is_none() {
            self.coordinator = Some(client.coordinator(&self.options.group).await?);
        }
        Ok(self
            .coordinator
            .as_mut()
            .expect("the coordinator was just found"))
    }

    /// Joins and waits for the assignment. Repeats what the protocol says is to be repeated.
    pub(super) async fn join(&mut self, client: &mut Client) -> Result<Assignment, ClientError> {
        let deadline = tokio::time::Instant::now() + self.options.rebalance_timeout * 2;
        loop {
            match self.try_join(client).await {
                Ok(assignment) => return Ok(assignment),
                Err(error) if tokio::time::Instant::now() < deadline && self.may_repeat(&error) => {
                    tracing::debug!(%error, "joining again");
                    tokio::time::sleep(client.options().retry_backoff).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether to join again after `error`; forgets what the error says is void.
    pub(super) fn may_repeat(&mut self, error: &ClientError) -> bool {
        match error.broker_error() {
            Some(ResponseError::UnknownMemberId) => {
                self.member_id = StrBytes::default();
                self.generation = -1;
                true
            }
            Some(ResponseError::IllegalGeneration | ResponseError::RebalanceInProgress) => {
                self.generation = -1;
                true
            }
            _ if error.is_retriable() => {
                self.coordinator = None;
                true
            }
            _ => false,
        }
    }

    async fn try_join(&mut self, client: &mut Client) -> Result<Assignment, ClientError> {
        let mut joined = self.send_join(client).await?;
        if joined.error_code == ResponseError::MemberIdRequired.code() {
            // The first try only gets an id, so that a lost answer leaves no ghost behind (KIP-394).
            self.member_id = joined.member_id.clone();
            joined = self.send_join(client).await?;
        }
        let what = || format!("joining group {}", self.options.group);
        ClientError::check(joined.error_code, None, what)?;
        self.member_id = joined.member_id.clone();
        self.generation = joined.generation_id;
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let assignments = if leads {
            assign(client, &joined).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(&self.options.group))
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(Some(StrBytes::from_static_str(protocol::CONSUMER)))
            .with_protocol_name(joined.protocol_name)
            .with_assignments(assignments);
        let wait = self.options.rebalance_timeout;
        let node = self.coordinator(client).await?;
        let synced = node.call_waiting(wait, &request).await?;
        ClientError::check(synced.error_code, None, || {
            format!("syncing with group {}", self.options.group)
        })?;
        if synced.assignment.is_empty() {
            return Ok(Assignment::new());
        }
        let assignment = protocol::decode_assignment(synced.assignment)?;
        Ok(assignment
            .assigned_partitions
            .into_iter()
            .map(|topic| (topic.topic.to_string(), topic.partitions))
            .collect())
    }

    async fn send_join(&mut self, client: &mut Client) -> Result<JoinGroupResponse, ClientError> {
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(&self.options.group))
            .with_session_timeout_ms(millis(self.options.session_timeout))
            .with_rebalance_timeout_ms(millis(self.options.rebalance_timeout))
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(StrBytes::from_static_str(protocol::CONSUMER))
            .with_protocols(vec![
                JoinGroupRequestProtocol::default()
                    .with_name(StrBytes::from_static_str(RANGE))
                    .with_metadata(protocol::encode_subscription(&self.options.topics)?),
            ]);
        let wait = self.options.rebalance_timeout;
        let node = self.coordinator(client).await?;
        node.call_waiting(wait, &request).await
    }

    /// Tells the coordinator that this member lives.
    pub(super) async fn heartbeat(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(&self.options.group))
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance_id());
        let answer = self.coordinator(client).await?.call(&request).await?;
        ClientError::check(answer.error_code, None, || {
            format!("heartbeat to group {}", self.options.group)
        })
    }

    /// Leaves, so that the others need not wait for the session to end. A static member stays, as its return is what
    /// it is static for (KIP-345).
    pub(super) async fn leave(mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.member_id.is_empty() || self.options.instance_id.is_some() {
            return Ok(());
        }
        let member_id = self.member_id.clone();
        let group = self.options.group.clone();
        let node = self.coordinator(client).await?;
        let version = node.version::<LeaveGroupRequest>()?;
        let request = LeaveGroupRequest::default().with_group_id(group_id(&group));
        // Version 3 takes several members (KIP-345).
        let request = if version >= 3 {
            request.with_members(vec![MemberIdentity::default().with_member_id(member_id)])
        } else {
            request.with_member_id(member_id)
        };
        let answer = node.connection().call(version, &request).await?;
        ClientError::check(answer.error_code, None, || format!("leaving group {group}"))
    }

    pub(super) fn instance_id(&self) -> Option<StrBytes> {
        self.options.instance_id.clone().map(StrBytes::from_string)
    }
}

/// The leader's part: who gets what.
async fn assign(
    client: &mut Client,
    joined: &JoinGroupResponse,
) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
    let mut members = Vec::new();
    for member in &joined.members {
        let topics = protocol::decode_subscription(member.metadata.clone())?;
        members.push((member.member_id.to_string(), topics));
    }
    let mut topics: Vec<&str> = members
        .iter()
        .flat_map(|(_, topics)| topics.iter().map(String::as_str))
        .collect();
    topics.sort_unstable();
    topics.dedup();
    let metadata = client.metadata(Topics::Named(&topics), true).await?;
    let partitions = metadata
        .topics
        .into_iter()
        .filter(|topic| topic.error.is_none())
        .map(|topic| {
            let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            (topic.name, count)
        })
        .collect();
    assignor::range(&members, &partitions)
        .into_iter()
        .map(|(member, assignment)| {
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member))
                .with_assignment(protocol::encode_assignment(assignment)?))
        })
        .collect()
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
