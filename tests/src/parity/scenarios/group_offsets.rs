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
    DeleteGroupsRequest, DescribeGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest,
};

use ottla_codec::newer;

use super::groups::one_member;
use crate::parity::both::{Both, Side};
use crate::parity::words::{group_id, s, topic_name};

/// From this version on topics are named by their id.
const FIRST_WITH_IDS: i16 = 10;

/// A commit as tools make it: no member, no generation.
fn commit(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    commit_to(topic_of_name(topic), group, partition, offset)
}

fn topic_of_name(topic: &str) -> OffsetCommitRequestTopic {
    OffsetCommitRequestTopic::default().with_name(topic_name(topic))
}

/// The same in a version that names the topic by its id.
fn commit_by_id(
    side: &Side,
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    let mut named = OffsetCommitRequestTopic::default();
    newer::set_topic_id(&mut named.unknown_tagged_fields, side.topic_id(topic));
    commit_to(named, group, partition, offset)
}

/// As `version` has it.
fn commit_in(
    side: &Side,
    version: i16,
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    match version {
        ..FIRST_WITH_IDS => commit(group, topic, partition, offset),
        _ => commit_by_id(side, group, topic, partition, offset),
    }
}

fn commit_to(
    topic: OffsetCommitRequestTopic,
    group: &str,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(s("some metadata")));
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![partition])])
}

/// `partitions: None` asks for everything (from version 2 on).
fn fetch(
    side: &Side,
    v: i16,
    group: &str,
    topic: &str,
    partitions: Option<&[i32]>,
) -> OffsetFetchRequest {
    let mut named = OffsetFetchRequestTopics::default();
    match v {
        ..FIRST_WITH_IDS => named.name = topic_name(topic),
        _ => newer::set_topic_id(&mut named.unknown_tagged_fields, side.topic_id(topic)),
    }
    match v {
        ..8 => OffsetFetchRequest::default()
            .with_group_id(group_id(group))
            .with_topics(partitions.map(|partitions| {
                vec![
                    OffsetFetchRequestTopic::default()
                        .with_name(topic_name(topic))
                        .with_partition_indexes(partitions.to_vec()),
                ]
            })),
        _ => OffsetFetchRequest::default().with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(group_id(group))
                .with_member_id(None)
                .with_member_epoch(-1)
                .with_topics(
                    partitions
                        .map(|partitions| vec![named.with_partition_indexes(partitions.to_vec())]),
                ),
        ]),
    }
}

pub async fn commits(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    let group = both.name("g");
    for v in both.versions::<OffsetFetchRequest>() {
        both.call::<OffsetFetchRequest>("before any commit", v, |side| {
            fetch(side, v, &group, &topic, Some(&[0, 1]))
        })
        .await;
    }
    for v in both.versions::<OffsetCommitRequest>() {
        let offset = 10 * i64::from(v);
        both.call::<OffsetCommitRequest>("commit", v, |side| {
            commit_in(side, v, &group, &topic, 0, offset)
        })
        .await;
        for v in both.versions::<OffsetFetchRequest>() {
            both.call::<OffsetFetchRequest>("fetch", v, |side| {
                fetch(side, v, &group, &topic, Some(&[0, 1, 7]))
            })
            .await;
        }
        both.call::<OffsetCommitRequest>("null metadata", v, |side| {
            let mut request = commit_in(side, v, &group, &topic, 1, 1);
            request.topics[0].partitions[0].committed_metadata = None;
            if v >= 6 {
                request.topics[0].partitions[0].committed_leader_epoch = 0;
            }
            request
        })
        .await;
    }
    for v in both.versions::<OffsetFetchRequest>() {
        if v >= 2 {
            both.call::<OffsetFetchRequest>("everything", v, |side| {
                fetch(side, v, &group, &topic, None)
            })
            .await;
            both.call::<OffsetFetchRequest>("everything of an unknown group", v, |side| {
                fetch(side, v, &missing, &topic, None)
            })
            .await;
        }
        if v >= 7 {
            both.call::<OffsetFetchRequest>("stable", v, |side| {
                fetch(side, v, &group, &topic, Some(&[0])).with_require_stable(true)
            })
            .await;
        }
        both.call::<OffsetFetchRequest>("an unknown topic", v, |side| {
            fetch(side, v, &group, &missing, Some(&[0]))
        })
        .await;
        both.call::<OffsetFetchRequest>("no partitions", v, |side| {
            fetch(side, v, &group, &topic, Some(&[]))
        })
        .await;
        both.call::<OffsetFetchRequest>("a group without a name", v, |side| {
            fetch(side, v, "", &topic, Some(&[0]))
        })
        .await;
    }
    both.call::<DescribeGroupsRequest>("a group of commits alone", 6, |_| {
        DescribeGroupsRequest::default().with_groups(vec![group_id(&group)])
    })
    .await;
    Ok(())
}

pub async fn refused_commits(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let missing = both.name("missing");
    let group = both.name("g");
    both.call_in_each_version::<OffsetCommitRequest>("unknown topic", |side, v| {
        commit_in(side, v, &group, &missing, 0, 1)
    })
    .await;
    both.call_in_each_version::<OffsetCommitRequest>("unknown partition", |side, v| {
        commit_in(side, v, &group, &topic, 5, 1)
    })
    .await;
    for size in [4096, 4097] {
        both.call_in_each_version::<OffsetCommitRequest>("much metadata", |side, v| {
            let mut request = commit_in(side, v, &group, &topic, 0, 1);
            request.topics[0].partitions[0].committed_metadata = Some(s("m".repeat(size)));
            request
        })
        .await;
    }
    for (step, generation, member) in [
        ("a generation without members", 3, ""),
        ("a member of an unknown group", 3, "nobody"),
        ("a member without a generation", -1, "nobody"),
    ] {
        for group in [&group, &missing] {
            both.call_in_each_version::<OffsetCommitRequest>(step, |side, v| {
                commit_in(side, v, group, &topic, 0, 1)
                    .with_generation_id_or_member_epoch(generation)
                    .with_member_id(s(member))
            })
            .await;
        }
    }
    both.call_in_each_version::<OffsetCommitRequest>("a group without a name", |side, v| {
        commit_in(side, v, "", &topic, 0, 1)
    })
    .await;
    both.call_in_each_version::<OffsetCommitRequest>("a negative offset", |side, v| {
        commit_in(side, v, &group, &topic, 0, -1)
    })
    .await;
    both.call_in_each_version::<OffsetCommitRequest>("no topics", |side, v| {
        commit_in(side, v, &group, &topic, 0, 1).with_topics(vec![])
    })
    .await;
    Ok(())
}

fn delete(group: &str, topic: &str, partitions: &[i32]) -> OffsetDeleteRequest {
    let partitions = partitions
        .iter()
        .map(|index| OffsetDeleteRequestPartition::default().with_partition_index(*index))
        .collect();
    OffsetDeleteRequest::default()
        .with_group_id(group_id(group))
        .with_topics(vec![
            OffsetDeleteRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions),
        ])
}

pub async fn deletion(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    let group = both.name("g");
    for partition in [0, 1] {
        both.call::<OffsetCommitRequest>("commit", 9, |_| commit(&group, &topic, partition, 5))
            .await;
    }
    for (step, group, topic, partitions) in [
        ("one of two", &group, &topic, &[0][..]),
        ("what is not committed", &group, &topic, &[0]),
        ("an unknown partition", &group, &topic, &[9]),
        ("an unknown topic", &group, &missing, &[0]),
        ("an unknown group", &missing, &topic, &[0]),
    ] {
        both.call::<OffsetDeleteRequest>(step, 0, |_| delete(group, topic, partitions))
            .await;
    }
    both.call::<OffsetDeleteRequest>("a group without a name", 0, |_| delete("", &topic, &[0]))
        .await;
    both.call::<OffsetFetchRequest>("what is left", 9, |side| {
        fetch(side, 9, &group, &topic, None)
    })
    .await;
    for v in both.versions::<DeleteGroupsRequest>() {
        both.call::<OffsetCommitRequest>("commit", 9, |_| commit(&group, &topic, 0, 5))
            .await;
        for step in ["delete the group", "delete it again"] {
            both.call::<DeleteGroupsRequest>(step, v, |_| {
                DeleteGroupsRequest::default().with_groups_names(vec![group_id(&group)])
            })
            .await;
        }
        both.call::<OffsetFetchRequest>("nothing is left", 9, |side| {
            fetch(side, 9, &group, &topic, None)
        })
        .await;
    }
    Ok(())
}

pub async fn members(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let group = both.name("g");
    one_member(both, 9, &group).await;
    for v in both.versions::<OffsetCommitRequest>() {
        for (step, generation, member) in [
            ("by its member", 1, None),
            ("of another generation", 2, None),
            ("by nobody", 1, Some("nobody")),
            ("from outside while it has members", -1, Some("")),
        ] {
            both.call::<OffsetCommitRequest>(step, v, |side| {
                let member = member.map_or_else(|| side.note("a"), str::to_owned);
                commit_in(side, v, &group, &topic, 0, 3)
                    .with_generation_id_or_member_epoch(generation)
                    .with_member_id(s(member))
            })
            .await;
        }
        if v >= 7 {
            both.call::<OffsetCommitRequest>("an unknown instance", v, |side| {
                commit_in(side, v, &group, &topic, 0, 3)
                    .with_generation_id_or_member_epoch(1)
                    .with_member_id(s(side.note("a")))
                    .with_group_instance_id(Some(s("nobody")))
            })
            .await;
        }
    }
    both.call::<OffsetDeleteRequest>("delete with an unreadable subscription", 0, |_| {
        delete(&group, &topic, &[0])
    })
    .await;
    for v in 9..=both.latest::<OffsetFetchRequest>() {
        for (step, member, epoch) in [
            ("fetch as a member", None, 1),
            ("fetch as nobody", Some("nobody"), 1),
        ] {
            both.call::<OffsetFetchRequest>(step, v, |side| {
                let mut request = fetch(side, v, &group, &topic, Some(&[0]));
                let member = member.map_or_else(|| side.note("a"), str::to_owned);
                request.groups[0].member_id = Some(s(member));
                request.groups[0].member_epoch = epoch;
                request
            })
            .await;
        }
    }
    Ok(())
}
