//! OffsetFetch, OffsetCommit and OffsetDelete on behalf of a group without being its member.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::groups::group_id;
use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::topic_name;
use crate::node::Node;

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The epoch of the record before it, -1 if unknown.
    pub leader_epoch: i32,
    /// What the committer left with it.
    pub metadata: String,
}

/// Committed offsets by topic and partition.
pub type CommittedOffsets = BTreeMap<(String, i32), CommittedOffset>;

impl Client {
    /// Every offset that `group` has committed.
    pub async fn committed_offsets(
        &mut self,
        group: &str,
    ) -> Result<CommittedOffsets, ClientError> {
        self.retry(async |client| {
            let mut node = client.coordinator(group).await?;
            fetch_committed(&mut node, group, None).await
        })
        .await
    }

    /// Commits offsets for a group that has no members.
    pub async fn commit_offsets(
        &mut self,
        group: &str,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<(), ClientError> {
        let request = commit_request(group, offsets);
        self.retry(async |client| {
            let answer = client.coordinator(group).await?.call(&request).await?;
            check_commit(group, &answer)
        })
        .await
    }

    /// Forgets a group's offsets of these partitions; the first refusal is the answer.
    pub async fn delete_offsets(
        &mut self,
        group: &str,
        partitions: &[(String, i32)],
    ) -> Result<(), ClientError> {
        let results = self.delete_each_offset(group, partitions).await?;
        results.into_values().collect()
    }

    /// The same, with a result for each partition.
    pub async fn delete_each_offset(
        &mut self,
        group: &str,
        partitions: &[(String, i32)],
    ) -> Result<BTreeMap<(String, i32), Result<(), ClientError>>, ClientError> {
        let entries = partitions.iter().map(|(topic, partition)| {
            let entry = OffsetDeleteRequestPartition::default().with_partition_index(*partition);
            (&**topic, entry)
        });
        let topics = by_topic(entries, |name, partitions| {
            OffsetDeleteRequestTopic::default()
                .with_name(name)
                .with_partitions(partitions)
        });
        let request = OffsetDeleteRequest::default()
            .with_group_id(group_id(group))
            .with_topics(topics);
        self.retry(async |client| {
            let answer = client.coordinator(group).await?.call(&request).await?;
            let what = || format!("deleting offsets of group {group}");
            ClientError::check(answer.error_code, None, what)?;
            let mut results = BTreeMap::new();
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let key = (topic.name.to_string(), partition.partition_index);
                    results.insert(key, ClientError::check(partition.error_code, None, what));
                }
            }
            Ok(results)
        })
        .await
    }
}

/// Asks a coordinator for the offsets of `partitions`, or of all. Partitions without one are left out.
pub(crate) async fn fetch_committed(
    node: &mut Node,
    group: &str,
    partitions: Option<&BTreeMap<String, Vec<i32>>>,
) -> Result<CommittedOffsets, ClientError> {
    let version = node.version::<OffsetFetchRequest>()?;
    // Version 8 asks for several groups at once (KIP-709).
    let request = if version >= 8 {
        let topics = each_topic(partitions, |name, indexes| {
            OffsetFetchRequestTopics::default()
                .with_name(name)
                .with_partition_indexes(indexes)
        });
        OffsetFetchRequest::default().with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(group_id(group))
                .with_topics(topics),
        ])
    } else {
        let topics = each_topic(partitions, |name, indexes| {
            OffsetFetchRequestTopic::default()
                .with_name(name)
                .with_partition_indexes(indexes)
        });
        OffsetFetchRequest::default()
            .with_group_id(group_id(group))
            .with_topics(topics)
    };
    let answer = node.connection().call(version, &request).await?;
    let what = || format!("offsets of group {group}");
    ClientError::check(answer.error_code, None, what)?;
    let mut offsets = CommittedOffsets::new();
    let mut keep = |topic: &str, index, code, offset, leader_epoch, metadata: Option<&StrBytes>| {
        ClientError::check(code, None, what)?;
        if offset >= 0 {
            let metadata = metadata.map(|m| m.to_string()).unwrap_or_default();
            offsets.insert(
                (topic.to_owned(), index),
                CommittedOffset {
                    offset,
                    leader_epoch,
                    metadata,
                },
            );
        }
        Ok::<(), ClientError>(())
    };
    for topic in &answer.topics {
        for p in &topic.partitions {
            keep(
                &topic.name,
                p.partition_index,
                p.error_code,
                p.committed_offset,
                p.committed_leader_epoch,
                p.metadata.as_ref(),
            )?;
        }
    }
    for group in &answer.groups {
        ClientError::check(group.error_code, None, what)?;
        for topic in &group.topics {
            for p in &topic.partitions {
                keep(
                    &topic.name,
                    p.partition_index,
                    p.error_code,
                    p.committed_offset,
                    p.committed_leader_epoch,
                    p.metadata.as_ref(),
                )?;
            }
        }
    }
    Ok(offsets)
}

/// A commit by nobody: generation -1 and no member, which is allowed while the group is empty.
pub(crate) fn commit_request(
    group: &str,
    offsets: &BTreeMap<(String, i32), i64>,
) -> OffsetCommitRequest {
    let entries = offsets.iter().map(|((topic, partition), offset)| {
        let entry = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(StrBytes::default()));
        (&**topic, entry)
    });
    let topics = by_topic(entries, |name, partitions| {
        OffsetCommitRequestTopic::default()
            .with_name(name)
            .with_partitions(partitions)
    });
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics)
}

/// Gathers what is asked of partitions under their topics, each of which `topic` makes.
fn by_topic<'a, E, T>(
    entries: impl Iterator<Item = (&'a str, E)>,
    topic: impl Fn(TopicName, Vec<E>) -> T,
) -> Vec<T> {
    let mut gathered: BTreeMap<&str, Vec<E>> = BTreeMap::new();
    for (name, entry) in entries {
        gathered.entry(name).or_default().push(entry);
    }
    gathered
        .into_iter()
        .map(|(name, entries)| topic(topic_name(name), entries))
        .collect()
}

/// The same where they are gathered already; `None`, all topics, stays that.
fn each_topic<T>(
    partitions: Option<&BTreeMap<String, Vec<i32>>>,
    topic: impl Fn(TopicName, Vec<i32>) -> T,
) -> Option<Vec<T>> {
    let make = |(name, indexes): (&String, &Vec<i32>)| topic(topic_name(name), indexes.clone());
    Some(partitions?.iter().map(make).collect())
}

pub(crate) fn check_commit(group: &str, answer: &OffsetCommitResponse) -> Result<(), ClientError> {
    for topic in &answer.topics {
        for partition in &topic.partitions {
            ClientError::check(partition.error_code, None, || {
                let (topic, index) = (topic.name.as_str(), partition.partition_index);
                format!("committing {topic}-{index} for group {group}")
            })?;
        }
    }
    Ok(())
}
