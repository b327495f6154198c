//! ListOffsets: where a partition begins, ends, or was at a time.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};

use super::Isolation;
use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::topic_name;

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset that is still there.
    Earliest,
    /// The end: the offset that the next record gets.
    Latest,
    /// The first record at or after this time, in milliseconds since the epoch.
    Timestamp(i64),
    /// The record with the greatest timestamp (KIP-734).
    MaxTimestamp,
}

impl OffsetSpec {
    fn code(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(ms) => ms.max(0),
        }
    }
}

impl Client {
    /// The offset of `spec` in each partition; `None` where no record is at or after the time.
    pub async fn list_offsets(
        &mut self,
        partitions: &[(String, i32)],
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<BTreeMap<(String, i32), Option<i64>>, ClientError> {
        self.retry(async |client| {
            let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
            for (topic, partition) in partitions {
                let leader = client.leader(topic, *partition).await?;
                let topics = by_leader.entry(leader).or_default();
                topics.entry(topic).or_default().push(*partition);
            }
            let mut offsets = BTreeMap::new();
            for (leader, topics) in by_leader {
                let request = request(&topics, spec, isolation);
                let answer = client.node(leader).await?.call(&request).await?;
                for topic in answer.topics {
                    for partition in topic.partitions {
                        let key = (topic.name.to_string(), partition.partition_index);
                        ClientError::check(partition.error_code, None, || {
                            format!("looking up offsets of {}-{}", key.0, key.1)
                        })?;
                        let offset = Some(partition.offset).filter(|offset| *offset >= 0);
                        offsets.insert(key, offset);
                    }
                }
            }
            Ok(offsets)
        })
        .await
    }
}

fn request(
    topics: &BTreeMap<&str, Vec<i32>>,
    spec: OffsetSpec,
    isolation: Isolation,
) -> ListOffsetsRequest {
    let partition = |index: &i32| {
        ListOffsetsPartition::default()
            .with_partition_index(*index)
            .with_current_leader_epoch(-1)
            .with_timestamp(spec.code())
    };
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation.code())
        .with_topics(
            topics
                .iter()
                .map(|(topic, partitions)| {
                    ListOffsetsTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(partitions.iter().map(partition).collect())
                })
                .collect(),
        )
}
