use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, MetadataRequest};

use crate::parity::both::Both;
use crate::parity::words::topic_name;

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

/// By names, without auto-creation where the version can say so.
fn by_name(names: &[&str], v: i16) -> MetadataRequest {
    MetadataRequest::default()
        .with_topics(Some(names.iter().map(|name| named(name)).collect()))
        .with_allow_auto_topic_creation(v < 4)
}

pub async fn topics_by_name_and_id(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 3, &[]).await?;
    let missing = both.name("missing");
    both.call_in_each_version::<MetadataRequest>("a topic", |_, v| by_name(&[&topic], v))
        .await;
    both.call_in_each_version::<MetadataRequest>("a topic twice", |_, v| {
        by_name(&[&topic, &topic], v)
    })
    .await;
    for v in 1..=both.latest::<MetadataRequest>() {
        both.call::<MetadataRequest>("no topics", v, |_| by_name(&[], v))
            .await;
    }
    for v in 4..=both.latest::<MetadataRequest>() {
        both.call::<MetadataRequest>("an unknown topic", v, |_| by_name(&[&missing, &topic], v))
            .await;
    }
    for name in ["", ".", "..", "a/b", "white space", &"x".repeat(250)] {
        both.call_in_each_version::<MetadataRequest>("an impossible name", |_, v| {
            by_name(&[name], v)
        })
        .await;
    }
    for v in 8..=both.latest::<MetadataRequest>() {
        both.call::<MetadataRequest>("authorised operations", v, |_| {
            by_name(&[&topic], v)
                .with_include_topic_authorized_operations(true)
                .with_include_cluster_authorized_operations(v <= 10)
        })
        .await;
    }
    for v in 12..=both.latest::<MetadataRequest>() {
        let by_id = |id: uuid::Uuid| {
            MetadataRequest::default()
                .with_topics(Some(vec![
                    MetadataRequestTopic::default()
                        .with_name(None)
                        .with_topic_id(id),
                ]))
                .with_allow_auto_topic_creation(false)
        };
        both.call::<MetadataRequest>("by id", v, |side| by_id(side.topic_id(&topic)))
            .await;
        both.call::<MetadataRequest>("by an unknown id", v, |_| by_id(uuid::Uuid::from_u128(5)))
            .await;
    }
    // Creation as a side effect: the first answer may say that the leader is not there yet.
    let created = both.name("created");
    both.eventually::<MetadataRequest>("an auto-created topic", 9, |_| {
        by_name(&[&created], 9).with_allow_auto_topic_creation(true)
    })
    .await;
    Ok(())
}

pub async fn described_partitions(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 5, &[]).await?;
    let other = both.topic("u", 2, &[]).await?;
    let missing = both.name("missing");
    let ask = |names: &[&str], limit: i32, cursor: Option<(&str, i32)>| {
        DescribeTopicPartitionsRequest::default()
            .with_topics(
                names
                    .iter()
                    .map(|name| TopicRequest::default().with_name(topic_name(name)))
                    .collect(),
            )
            .with_response_partition_limit(limit)
            .with_cursor(cursor.map(|(name, partition)| {
                Cursor::default()
                    .with_topic_name(topic_name(name))
                    .with_partition_index(partition)
            }))
    };
    let both_topics = [topic.as_str(), other.as_str()];
    for (step, request) in [
        ("two topics", ask(&both_topics, 2000, None)),
        ("an unknown topic", ask(&[&missing, &topic], 2000, None)),
        ("an impossible name", ask(&["a/b"], 2000, None)),
        ("a limit inside a topic", ask(&both_topics, 3, None)),
        ("a limit between topics", ask(&both_topics, 5, None)),
        ("a cursor", ask(&both_topics, 3, Some((&topic, 3)))),
        (
            "a cursor at the second topic",
            ask(&both_topics, 2000, Some((&other, 1))),
        ),
        (
            "a cursor past the partitions",
            ask(&both_topics, 2000, Some((&topic, 9))),
        ),
        (
            "a negative cursor",
            ask(&both_topics, 2000, Some((&topic, -1))),
        ),
        ("a limit of 0", ask(&[&topic], 0, None)),
    ] {
        both.call::<DescribeTopicPartitionsRequest>(step, 0, |_| request.clone())
            .await;
    }
    Ok(())
}
