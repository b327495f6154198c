//! A member of a consumer group, by hand: each request when the test wants it.

use std::time::Duration;

use bytes::{Buf, Bytes};
use ottla_client::Connection;
use ottla_codec::batch::BatchHeader;
use ottla_codec::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_codec::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_codec::messages::leave_group_request::MemberIdentity;
use ottla_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_codec::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_codec::messages::{
    CreateTopicsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use ottla_codec::records::{Record, iterate};
use ottla_codec::{StrBytes, newer};

use uuid::Uuid;

use super::{fetch_request, name};

pub fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

/// Creates a topic of so many partitions.
pub async fn create_topic(
    connection: &mut Connection,
    topic: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) {
    let configs = configs.iter().map(|(k, v)| {
        CreatableTopicConfig::default()
            .with_name(text(k))
            .with_value(Some(text(v)))
    });
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(name(topic))
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(configs.collect()),
        ]);
    let answer = connection.call(5, &request).await.unwrap();
    assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
}

/// The records of a fetch of one partition; the error, if there is one.
pub async fn fetch(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    offset: i64,
    wait: Duration,
) -> Result<Vec<Record>, i16> {
    let mut request = fetch_request(topic, offset, wait);
    request.topics[0].partitions[0].partition = partition;
    let answer = connection.call(11, &request).await.unwrap();
    let partition = &answer.responses[0].partitions[0];
    match partition.error_code {
        0 => Ok(records(partition.records.clone().unwrap_or_default())),
        code => Err(code),
    }
}

/// All records of some batches.
pub fn records(mut bytes: Bytes) -> Vec<Record> {
    let mut all = Vec::new();
    while bytes.has_remaining() {
        let size = BatchHeader::parse(&bytes).unwrap().size;
        let batch = bytes.split_to(size);
        all.extend(iterate(batch, 1 << 24).unwrap().map(Result::unwrap));
    }
    all
}

pub fn offsets(records: &[Record]) -> Vec<i64> {
    records.iter().map(|r| r.offset).collect()
}

/// A header of a record, as text.
pub fn header(record: &Record, key: &str) -> Option<String> {
    let header = record.headers.iter().find(|h| h.key == key.as_bytes())?;
    Some(String::from_utf8(header.value.clone()?.to_vec()).unwrap())
}

/// A consumer's assignment of partitions of one topic.
fn assignment(topic: &str, partitions: &[i32]) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1];
    bytes.extend((topic.len() as i16).to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend((partitions.len() as i32).to_be_bytes());
    for partition in partitions {
        bytes.extend(partition.to_be_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    bytes.into()
}

fn subscription(topic: &str) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1];
    bytes.extend((topic.len() as i16).to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend((-1_i32).to_be_bytes());
    bytes.into()
}

/// A member with connections of its own, alone in its group.
pub struct Member {
    pub group: String,
    pub topic: String,
    pub id: StrBytes,
    pub generation: i32,
    pub instance: Option<StrBytes>,
    /// Asks for positions by this, as clients of version 10 do.
    pub topic_id: Option<Uuid>,
    /// To the coordinator.
    pub coordinator: Connection,
    /// For fetches.
    pub fetcher: Connection,
}

impl Member {
    /// Joins `group` and takes `partitions` of `topic`. The group must be empty, or its only member the one that this replaces.
    pub async fn join(
        connections: (Connection, Connection),
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Member {
        Member::join_as(connections, group, topic, partitions, None).await
    }

    /// The same with `group.instance.id`.
    pub async fn join_as(
        (coordinator, fetcher): (Connection, Connection),
        group: &str,
        topic: &str,
        partitions: &[i32],
        instance: Option<&str>,
    ) -> Member {
        let mut member = Member {
            group: group.to_owned(),
            topic: topic.to_owned(),
            id: StrBytes::default(),
            generation: -1,
            instance: instance.map(text),
            topic_id: None,
            coordinator,
            fetcher,
        };
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_session_timeout_ms(6_000)
            .with_rebalance_timeout_ms(6_000)
            .with_group_instance_id(member.instance.clone())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![
                JoinGroupRequestProtocol::default()
                    .with_name(text("range"))
                    .with_metadata(subscription(topic)),
            ]);
        let mut joined = member.coordinator.call(5, &request).await.unwrap();
        if joined.error_code == 79 {
            let request = request.with_member_id(joined.member_id);
            joined = member.coordinator.call(5, &request).await.unwrap();
        }
        assert_eq!(joined.error_code, 0);
        member.id = joined.member_id.clone();
        member.generation = joined.generation_id;
        let assigned = SyncGroupRequestAssignment::default()
            .with_member_id(member.id.clone())
            .with_assignment(assignment(topic, partitions));
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id(member.generation)
            .with_member_id(member.id.clone())
            .with_group_instance_id(member.instance.clone())
            .with_assignments(vec![assigned]);
        let synced = member.coordinator.call(3, &request).await.unwrap();
        assert_eq!(synced.error_code, 0);
        member
    }

    pub async fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone());
        self.coordinator.call(3, &request).await.unwrap().error_code
    }

    /// The committed position; -1 for none.
    pub async fn position(&mut self, partition: i32) -> i64 {
        if let Some(id) = self.topic_id {
            return self.position_by_id(id, partition).await;
        }
        committed(&mut self.coordinator, &self.group, &self.topic, partition)
            .await
            .0
    }

    async fn position_by_id(&mut self, id: Uuid, partition: i32) -> i64 {
        let mut topic = OffsetFetchRequestTopics::default().with_partition_indexes(vec![partition]);
        newer::set_topic_id(&mut topic.unknown_tagged_fields, id);
        let request = OffsetFetchRequest::default().with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text(&self.group)))
                .with_topics(Some(vec![topic])),
        ]);
        let answer = self.coordinator.call(10, &request).await.unwrap();
        let topic = &answer.groups[0].topics[0];
        assert_eq!((topic.topic_id, topic.name.len()), (id, 0));
        topic.partitions[0].committed_offset
    }

    /// Commits `offset` with `metadata`; the error code.
    pub async fn commit(&mut self, partition: i32, offset: i64, metadata: &str) -> i16 {
        self.commit_all(&[(partition, offset, metadata)]).await[0]
    }

    pub async fn commit_all(&mut self, offsets: &[(i32, i64, &str)]) -> Vec<i16> {
        let request = commit_request(&self.group, &self.topic, offsets)
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone());
        let answer = self.coordinator.call(8, &request).await.unwrap();
        let partitions = &answer.topics[0].partitions;
        partitions.iter().map(|p| p.error_code).collect()
    }

    /// Fetches from `offset`, waiting a moment at most.
    pub async fn fetch(&mut self, partition: i32, offset: i64) -> Vec<Record> {
        self.fetch_within(partition, offset, Duration::ZERO).await
    }

    pub async fn fetch_within(
        &mut self,
        partition: i32,
        offset: i64,
        wait: Duration,
    ) -> Vec<Record> {
        let topic = self.topic.clone();
        fetch(&mut self.fetcher, &topic, partition, offset, wait)
            .await
            .unwrap()
    }

    /// As a process that ends: its connections break. It says goodbye, so that the test need not wait for its session to end.
    pub async fn leave(mut self) {
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_members(vec![
                MemberIdentity::default()
                    .with_member_id(self.id.clone())
                    .with_group_instance_id(self.instance.clone()),
            ]);
        let left = self.coordinator.call(4, &request).await.unwrap();
        assert_eq!(left.error_code, 0);
    }
}

/// A commit as tools and simple consumers send it.
pub fn commit_request(
    group: &str,
    topic: &str,
    offsets: &[(i32, i64, &str)],
) -> OffsetCommitRequest {
    let partitions = offsets.iter().map(|(partition, offset, metadata)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text(metadata)))
    });
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(name(topic))
                .with_partitions(partitions.collect()),
        ])
}

/// Commits from outside of a group; the error codes.
pub async fn commit_outside(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    offsets: &[(i32, i64, &str)],
) -> Vec<i16> {
    let request = commit_request(group, topic, offsets);
    let answer = connection.call(8, &request).await.unwrap();
    let partitions = &answer.topics[0].partitions;
    partitions.iter().map(|p| p.error_code).collect()
}

/// A group's position and metadata.
pub async fn committed(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    partition: i32,
) -> (i64, String) {
    let request = OffsetFetchRequest::default().with_groups(vec![
        OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(vec![
                OffsetFetchRequestTopics::default()
                    .with_name(name(topic))
                    .with_partition_indexes(vec![partition]),
            ])),
    ]);
    let answer = connection.call(8, &request).await.unwrap();
    assert_eq!(answer.groups[0].error_code, 0);
    let found = &answer.groups[0].topics[0].partitions[0];
    let metadata = found.metadata.clone().unwrap_or_default().to_string();
    (found.committed_offset, metadata)
}
