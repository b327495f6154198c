//! A consumer that shares topics with the other members of its group.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::fetcher::{ConsumedRecord, ConsumerOptions, OffsetReset, PartitionConsumer};
use super::membership::{Assignment, Membership};
use super::offsets::OffsetSpec;
use crate::admin::{check_commit, commit_request, fetch_committed};
use crate::client::Client;
use crate::error::ClientError;

/// The most bytes of a nack's reason: brokers bound a commit's metadata (`offset.metadata.max.bytes`, 4096).
const MAX_REASON: usize = 1000;

/// How a group consumer behaves. The defaults are those of Kafka's Java consumer.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// The group's id.
    pub group: String,
    /// The topics.
    pub topics: Vec<String>,
    /// Makes this a static member (KIP-345).
    pub instance_id: Option<String>,
    /// How long a silent member stays.
    pub session_timeout: Duration,
    /// How long a rebalance waits for members.
    pub rebalance_timeout: Duration,
    /// The time between two heartbeats.
    pub heartbeat_interval: Duration,
}

impl GroupOptions {
    /// The defaults, for a group and its topics.
    pub fn new(group: impl Into<String>, topics: Vec<String>) -> GroupOptions {
        GroupOptions {
            group: group.into(),
            topics,
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
        }
    }
}

/// A member of a group. It heartbeats inside [`poll`](GroupConsumer::poll), so polls must come more often than the
/// session times out.
#[derive(Debug)]
pub struct GroupConsumer {
    group: String,
    heartbeat_interval: Duration,
    membership: Membership,
    consumer: PartitionConsumer,
    assignment: Assignment,
    joined: bool,
    next_heartbeat: Instant,
}

impl GroupConsumer {
    /// A consumer that joins at its first poll. `OffsetReset::Fail` makes a partition without a committed offset an
    /// error.
    pub fn new(client: Client, group: GroupOptions, options: ConsumerOptions) -> GroupConsumer {
        GroupConsumer {
            group: group.group.clone(),
            heartbeat_interval: group.heartbeat_interval,
            membership: Membership::new(group),
            consumer: PartitionConsumer::new(client, options),
            assignment: Assignment::new(),
            joined: false,
            next_heartbeat: Instant::now(),
        }
    }

    /// The partitions that this member holds, by topic.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Subscribes to other topics, or learns of new partitions: joins again with the next poll.
    pub fn subscribe(&mut self, topics: Vec<String>) {
        self.membership.subscribe(topics);
        self.joined = false;
    }

    /// The client, for metadata.
    pub fn client(&mut self) -> &mut Client {
        self.consumer.client()
    }

    /// Whether everything assigned was read to its end.
    pub fn at_end(&self) -> bool {
        self.joined && self.consumer.at_end()
    }

    /// The end of a partition as the broker named it last.
    pub fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        self.consumer.end(topic, partition)
    }

    /// Records of the partitions assigned; joins first, and again after a rebalance. Waits up to `wait` for records.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        if !self.joined {
            self.join().await?;
        }
        if Instant::now() >= self.next_heartbeat && !self.heartbeat().await? {
            self.join().await?;
        }
        self.consumer.poll(wait.min(self.heartbeat_interval)).await
    }

    /// When [`keep_alive`](GroupConsumer::keep_alive) is due next.
    pub fn next_heartbeat(&self) -> Instant {
        self.next_heartbeat
    }

    /// Heartbeats if it is time to, for those who work on records longer than a session lasts. `Ok(false)` if the
    /// group rebalances: what is done may still be committed, the other records come again with the next poll. The
    /// error is the coordinator's, where joining again is no help.
    pub async fn keep_alive(&mut self) -> Result<bool, ClientError> {
        if Instant::now() < self.next_heartbeat {
            return Ok(self.joined);
        }
        self.next_heartbeat = Instant::now() + self.heartbeat_interval;
        if self.membership.generation < 0 {
            return Ok(false);
        }
        match self.membership.heartbeat(self.consumer.client()).await {
            Ok(()) => {}
            // The generation lasts until the members have joined again: commits of it are taken.
            Err(error) if error.broker_error() == Some(ResponseError::RebalanceInProgress) => {
                self.joined = false;
            }
            Err(error) if self.membership.may_repeat(&error) => {
                tracing::debug!(%error, group = self.group, "the group goes on without this member");
                self.joined = false;
            }
            Err(error) => return Err(error),
        }
        Ok(self.joined)
    }

    async fn join(&mut self) -> Result<(), ClientError> {
        self.joined = false;
        let deadline = self.consumer.client().retry_deadline();
        loop {
            self.consumer.unassign_all();
            self.assignment = self.membership.join(self.consumer.client()).await?;
            tracing::debug!(group = self.group, assignment = ?self.assignment, "joined");
            match self.seek_to_committed().await {
                Ok(()) => break,
                // The group may have moved on between joining and asking for its offsets.
                Err(error) if Instant::now() < deadline && self.membership.may_repeat(&error) => {
                    tracing::debug!(%error, group = self.group, "joining again");
                    let pause = self.consumer.client().options().retry_backoff;
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.next_heartbeat = Instant::now() + self.heartbeat_interval;
        self.joined = true;
        Ok(())
    }

    /// `false` if the group wants this member to join again.
    async fn heartbeat(&mut self) -> Result<bool, ClientError> {
        self.next_heartbeat = Instant::now() + self.heartbeat_interval;
        match self.membership.heartbeat(self.consumer.client()).await {
            Ok(()) => Ok(true),
            Err(error) if self.membership.may_repeat(&error) => {
                tracing::debug!(%error, group = self.group, "the group rebalances");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn seek_to_committed(&mut self) -> Result<(), ClientError> {
        if self.assignment.is_empty() {
            return Ok(());
        }
        let client = self.consumer.client();
        let node = self.membership.coordinator(client).await?;
        let committed = fetch_committed(node, &self.group, Some(&self.assignment)).await?;
        let mut missing = Vec::new();
        for (topic, partitions) in &self.assignment {
            for partition in partitions {
                let key = (topic.clone(), *partition);
                match committed.get(&key) {
                    Some(committed) => self.consumer.assign(topic, *partition, committed.offset),
                    None => missing.push(key),
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let options = self.consumer.options().clone();
        let spec = match options.reset {
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::Latest => OffsetSpec::Latest,
            OffsetReset::Fail => {
                let (topic, partition) = &missing[0];
                return Err(ClientError::Invalid(format!(
                    "group {} has no committed offset of {topic}-{partition}",
                    self.group
                )));
            }
        };
        let found = self
            .consumer
            .client()
            .list_offsets(&missing, spec, options.isolation)
            .await?;
        for ((topic, partition), offset) in found {
            self.consumer.assign(&topic, partition, offset.unwrap_or(0));
        }
        Ok(())
    }

    /// Commits offsets, each the next one to read. `Ok(false)` if the group has moved on without this member: then the
    /// records since the last commit come again, here or elsewhere.
    pub async fn commit(
        &mut self,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<bool, ClientError> {
        if offsets.is_empty() {
            return Ok(true);
        }
        self.send_commit(commit_request(&self.group, offsets)).await
    }

    /// Says that the record at `offset` failed, and goes on at the group's position, which is returned: the same offset
    /// again, or a later one if the broker moved the record away. All before `offset` counts as done. Other brokers
    /// than Ottla keep the position where it is. Records of this partition that were polled before come again.
    /// `reason` is text of any length, of which 1000 bytes are sent.
    ///
    /// `Ok(None)` if the group has moved on without this member, or its position is elsewhere by now: the next poll
    /// goes on there.
    pub async fn nack(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        reason: &str,
    ) -> Result<Option<i64>, ClientError> {
        let key = (topic.to_owned(), partition);
        let mut request = commit_request(&self.group, &BTreeMap::from([(key.clone(), offset)]));
        let metadata = format!(
            "!nack {}",
            &reason[..reason.floor_char_boundary(MAX_REASON)]
        );
        for partition in request.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            partition.committed_metadata = Some(StrBytes::from_string(metadata.clone()));
        }
        match self.send_commit(request).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // The position has passed the record, by another's hand.
            Err(error) if error.broker_error() == Some(ResponseError::OffsetOutOfRange) => {
                self.joined = false;
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let wanted = Assignment::from([(topic.to_owned(), vec![partition])]);
        let client = self.consumer.client();
        let committed = async {
            let node = self.membership.coordinator(client).await?;
            fetch_committed(node, &self.group, Some(&wanted)).await
        }
        .await;
        match committed {
            Ok(committed) => {
                let position = committed.get(&key).map_or(offset, |c| c.offset);
                self.consumer.assign(topic, partition, position);
                Ok(Some(position))
            }
            Err(error) if self.membership.may_repeat(&error) => {
                self.joined = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn send_commit(&mut self, request: OffsetCommitRequest) -> Result<bool, ClientError> {
        let request = request
            .with_generation_id_or_member_epoch(self.membership.generation)
            .with_member_id(self.membership.member_id.clone())
            .with_group_instance_id(self.membership.instance_id());
        let client = self.consumer.client();
        let result = async {
            let node = self.membership.coordinator(client).await?;
            let answer = node.call(&request).await?;
            check_commit(&self.group, &answer)
        }
        .await;
        match result {
            Ok(()) => Ok(true),
            Err(error) if self.membership.may_repeat(&error) => {
                tracing::debug!(%error, group = self.group, "commit refused, joining again");
                self.joined = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves the group.
    pub async fn leave(mut self) -> Result<(), ClientError> {
        self.membership.leave(self.consumer.client()).await
    }
}
