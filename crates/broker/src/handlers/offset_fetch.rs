//! OffsetFetch: one group up to v7, any number of groups since v8.
//!
//! With `require_stable` (KIP-447) a position that an open transaction may change is UNSTABLE_OFFSET_COMMIT.

use ottla_codec::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla_codec::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_codec::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use ottla_codec::{ResponseError, StrBytes, newer};
use ottla_coordinator::groups::CommittedOffset;
use ottla_storage::Topics;

use crate::context::RequestContext;
use crate::dead_letters::watch::Reader;
use crate::groups::Machine;
use crate::reply::Reply;

/// From this version on topics are named by id alone.
const FIRST_WITH_IDS: i16 = 10;

/// What to fetch of one group; `None` for all there is.
type Wanted = (GroupId, Option<Vec<OffsetFetchRequestTopics>>);

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: OffsetFetchRequest,
) -> Reply<OffsetFetchResponse> {
    let version = ctx.version;
    let require_stable = request.require_stable;
    let members = request.groups.iter().map(|g| g.member_id.clone());
    let members: Vec<_> = members.map(Option::unwrap_or_default).collect();
    let wanted = wanted(version, request);
    let names: Vec<GroupId> = wanted.iter().map(|(group, _)| group.clone()).collect();
    let ids: Vec<&str> = names.iter().map(|group| &***group).collect();
    let topics = ctx.broker.store.topics();
    let reader = Reader {
        connection: ctx.connection.clone(),
        client_id: ctx.client_id.clone(),
    };
    let answer = ctx
        .broker
        .groups
        .read_positions(&ids, &members, &reader, |machine| {
            let groups = wanted
                .into_iter()
                .map(|w| fetch(machine, &topics, version, w, require_stable));
            groups.collect::<Vec<_>>()
        });
    Reply::later(async move {
        match answer.await {
            Ok(groups) => response(version, named_as_asked(version, groups)),
            Err(error) => refusal(version, names, error),
        }
    })
}

/// Topics bear their name or their id, not both. Within the broker they have both.
fn named_as_asked(
    version: i16,
    mut groups: Vec<OffsetFetchResponseGroup>,
) -> Vec<OffsetFetchResponseGroup> {
    for topic in groups.iter_mut().flat_map(|group| &mut group.topics) {
        match version {
            ..FIRST_WITH_IDS => topic.topic_id = uuid::Uuid::nil(),
            _ => topic.name = TopicName::default(),
        }
    }
    groups
}

fn wanted(version: i16, request: OffsetFetchRequest) -> Vec<Wanted> {
    if version >= 8 {
        let groups = request.groups.into_iter().map(|g| (g.group_id, g.topics));
        return groups.collect();
    }
    // Before v2 there is no way to ask for all: an empty list means none.
    let topics = request.topics.map(|topics| {
        topics
            .into_iter()
            .map(|t| {
                OffsetFetchRequestTopics::default()
                    .with_name(t.name)
                    .with_partition_indexes(t.partition_indexes)
            })
            .collect()
    });
    vec![(request.group_id, topics)]
}

fn fetch(
    machine: &Machine,
    existing: &Topics,
    version: i16,
    (group, topics): Wanted,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let is_unstable =
        |topic: &str, partition| require_stable && machine.is_unstable(&group, topic, partition);
    let topics = match topics {
        Some(topics) => topics
            .into_iter()
            .map(|t| {
                let id = newer::topic_id(&t.unknown_tagged_fields);
                let name = match version {
                    ..FIRST_WITH_IDS => Some(t.name.to_string()),
                    _ => existing.by_id(&id).map(|topic| topic.name.to_string()),
                };
                let partitions = t.partition_indexes.into_iter().map(|p| {
                    let Some(name) = &name else {
                        let error = ResponseError::UnknownTopicId;
                        return partition(p, None).with_error_code(error.code());
                    };
                    if is_unstable(name, p) {
                        return unstable(p);
                    }
                    let committed = machine
                        .committed(&group, name, p)
                        .filter(|c| is_current(existing, name, c));
                    partition(p, committed)
                });
                let partitions = partitions.collect();
                let name = name.map_or(t.name, |name| TopicName(StrBytes::from_string(name)));
                OffsetFetchResponseTopics::default()
                    .with_partitions(partitions)
                    .with_name(name)
                    .with_topic_id(id)
            })
            .collect(),
        None => all(machine, existing, &group, is_unstable),
    };
    OffsetFetchResponseGroup::default()
        .with_group_id(group)
        .with_topics(topics)
}

fn all(
    machine: &Machine,
    existing: &Topics,
    group: &str,
    is_unstable: impl Fn(&str, i32) -> bool,
) -> Vec<OffsetFetchResponseTopics> {
    let Some(committed) = machine.all_committed(group) else {
        return Vec::new();
    };
    let topics = committed.iter().filter_map(|(topic, partitions)| {
        let partitions: Vec<_> = partitions
            .iter()
            .filter(|(_, c)| is_current(existing, topic, c))
            .map(|(p, c)| match is_unstable(topic, *p) {
                true => unstable(*p),
                false => partition(*p, Some(c)),
            })
            .collect();
        let there = existing.by_name(topic)?;
        (!partitions.is_empty()).then(|| {
            OffsetFetchResponseTopics::default()
                .with_name(TopicName(StrBytes::from_string(topic.clone())))
                .with_topic_id(there.id)
                .with_partitions(partitions)
        })
    });
    topics.collect()
}

/// Whether the offset is of the topic that has this name now: a commit may come while a topic is deleted and made again.
fn is_current(existing: &Topics, topic: &str, committed: &CommittedOffset) -> bool {
    existing
        .by_name(topic)
        .is_some_and(|t| t.id.as_bytes() == &committed.topic_id)
}

/// A partition without an offset is -1, not an error.
fn partition(index: i32, committed: Option<&CommittedOffset>) -> OffsetFetchResponsePartitions {
    let metadata = committed.map_or_else(String::new, |c| c.metadata.clone());
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(committed.map_or(-1, |c| c.offset))
        .with_committed_leader_epoch(committed.map_or(-1, |c| c.leader_epoch))
        .with_metadata(Some(StrBytes::from_string(metadata)))
}

fn unstable(index: i32) -> OffsetFetchResponsePartitions {
    partition(index, None).with_error_code(ResponseError::UnstableOffsetCommit.code())
}

fn response(version: i16, mut groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    if version >= 8 {
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let topics = groups.pop().map(|group| group.topics).unwrap_or_default();
    let topics = topics.into_iter().map(|t| {
        let partitions = t.partitions.into_iter().map(|p| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_committed_offset(p.committed_offset)
                .with_committed_leader_epoch(p.committed_leader_epoch)
                .with_metadata(p.metadata)
                .with_error_code(p.error_code)
        });
        OffsetFetchResponseTopic::default()
            .with_name(t.name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn refusal(version: i16, groups: Vec<GroupId>, error: ResponseError) -> OffsetFetchResponse {
    if version < 8 {
        return OffsetFetchResponse::default().with_error_code(error.code());
    }
    let groups = groups.into_iter().map(|group| {
        OffsetFetchResponseGroup::default()
            .with_group_id(group)
            .with_error_code(error.code())
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;

    fn found() -> OffsetFetchResponseGroup {
        let committed = CommittedOffset {
            offset: 42,
            leader_epoch: 3,
            metadata: "note".to_owned(),
            commit_ms: 0,
            expire_ms: None,
            topic_id: [1; 16],
        };
        let partitions = vec![partition(0, Some(&committed)), partition(1, None)];
        let topic = OffsetFetchResponseTopics::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_topic_id(uuid::Uuid::from_u128(1))
            .with_partitions(partitions);
        OffsetFetchResponseGroup::default()
            .with_group_id(GroupId(StrBytes::from_static_str("g")))
            .with_topics(vec![topic])
    }

    #[test]
    fn offsets_can_be_encoded_in_every_version() {
        for version in Api::OffsetFetch.versions() {
            let response = response(version, named_as_asked(version, vec![found()]));
            let offsets: Vec<i64> = match version {
                0..8 => {
                    let partitions = &response.topics[0].partitions;
                    partitions.iter().map(|p| p.committed_offset).collect()
                }
                _ => {
                    let partitions = &response.groups[0].topics[0].partitions;
                    partitions.iter().map(|p| p.committed_offset).collect()
                }
            };
            assert_eq!(offsets, [42, -1], "v{version}");
            let encoded = response.encode(&mut BytesMut::new(), version);
            encoded.unwrap_or_else(|e| panic!("v{version}: {e}"));
        }
    }

    #[test]
    fn a_refusal_can_be_encoded_in_every_version() {
        for version in Api::OffsetFetch.versions() {
            let group = GroupId(StrBytes::from_static_str("g"));
            let response = refusal(version, vec![group], ResponseError::CoordinatorNotAvailable);
            let encoded = response.encode(&mut BytesMut::new(), version);
            encoded.unwrap_or_else(|e| panic!("v{version}: {e}"));
        }
    }
}
