//! DescribeTopicPartitions (KIP-966): topics in the order of their names, a bounded number of partitions at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_codec::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_codec::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use ottla_codec::{ResponseError, StrBytes};
use ottla_storage::Topic;

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::topics::validate_name;

/// What may be done with a topic, as bits of Kafka's operation codes: read 3, write 4, create 5, delete 6, alter 7, describe 8,
/// describe configs 10, alter configs 11. Without an authorizer everybody may.
pub(super) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> Reply<DescribeTopicPartitionsResponse> {
    let broker = &*ctx.broker;
    let topics = broker.store.topics();
    let all = request.topics.is_empty();
    let names: BTreeSet<String> = if all {
        topics.iter().map(|topic| topic.name.to_string()).collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    };
    if let Some(cursor) = &request.cursor
        && cursor.partition_index < 0
    {
        let refused = names
            .iter()
            .map(|name| missing(name, ResponseError::InvalidRequest))
            .collect();
        return Reply::Now(DescribeTopicPartitionsResponse::default().with_topics(refused));
    }
    let cursor = request
        .cursor
        .as_ref()
        .map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
    let limit = broker
        .settings
        .current()
        .max_request_partition_size_limit
        .min(request.response_partition_limit)
        .max(1);
    Reply::Now(page(
        |name| topics.by_name(name).cloned(),
        names,
        cursor,
        limit,
        broker.cluster.node_id,
    ))
}

fn page(
    topic_named: impl Fn(&str) -> Option<Arc<Topic>>,
    names: BTreeSet<String>,
    cursor: Option<(String, i32)>,
    limit: i32,
    node_id: i32,
) -> DescribeTopicPartitionsResponse {
    let mut remaining = limit;
    let mut answered = Vec::new();
    let mut next = None;
    for name in names {
        let first = match &cursor {
            Some((topic, _)) if name < *topic => continue,
            Some((topic, partition)) if name == *topic => *partition,
            _ => 0,
        };
        let Some(topic) = topic_named(&name) else {
            let error = match validate_name(&name) {
                Ok(()) => ResponseError::UnknownTopicOrPartition,
                Err(refusal) => refusal.error,
            };
            answered.push(missing(&name, error));
            continue;
        };
        let end = topic.partitions.min(first.saturating_add(remaining));
        if remaining == 0 || end < topic.partitions {
            let from = if remaining == 0 { first } else { end };
            next = Some(
                Cursor::default()
                    .with_topic_name(topic_name(&name))
                    .with_partition_index(from),
            );
        }
        if remaining == 0 {
            break;
        }
        answered.push(describe(&topic, first..end, node_id));
        remaining -= (end - first).max(0);
        if next.is_some() {
            break;
        }
    }
    DescribeTopicPartitionsResponse::default()
        .with_topics(answered)
        .with_next_cursor(next)
}

fn describe(
    topic: &Topic,
    partitions: std::ops::Range<i32>,
    node_id: i32,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = partitions
        .map(|index| {
            DescribeTopicPartitionsResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(node_id.into())
                .with_leader_epoch(0)
                .with_replica_nodes(vec![node_id.into()])
                .with_isr_nodes(vec![node_id.into()])
                .with_eligible_leader_replicas(Some(Vec::new()))
                .with_last_known_elr(Some(Vec::new()))
        })
        .collect();
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_partitions(partitions)
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn missing(name: &str, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name(name)))
        .with_error_code(error.code())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Topics with their partitions, and where to go on.
    type Page = (Vec<(String, Vec<i32>)>, Option<(String, i32)>);

    /// Pages through topics `a` with 3 partitions, `b` with none of that name, and `c` with 2.
    fn paged(cursor: Option<(&str, i32)>, limit: i32) -> Page {
        let topic = |name: &str, partitions| {
            Arc::new(Topic {
                id: uuid::Uuid::from_u128(1),
                name: Arc::from(name),
                partitions,
                configs: BTreeMap::new(),
                created_ms: 0,
            })
        };
        let response = page(
            |name| match name {
                "a" => Some(topic("a", 3)),
                "c" => Some(topic("c", 2)),
                _ => None,
            },
            ["a", "b", "c"].map(str::to_owned).into(),
            cursor.map(|(name, partition)| (name.to_owned(), partition)),
            limit,
            1,
        );
        let topics = response
            .topics
            .iter()
            .map(|topic| {
                let name = topic
                    .name
                    .as_ref()
                    .map(|name| name.to_string())
                    .unwrap_or_default();
                (
                    name,
                    topic.partitions.iter().map(|p| p.partition_index).collect(),
                )
            })
            .collect();
        (
            topics,
            response
                .next_cursor
                .map(|next| (next.topic_name.to_string(), next.partition_index)),
        )
    }

    #[test]
    fn a_page_ends_at_the_limit_and_the_cursor_goes_on_from_there() {
        let topic = |name: &str, partitions: &[i32]| (name.to_owned(), partitions.to_vec());
        let next = |name: &str, partition| Some((name.to_owned(), partition));
        let (a, b, c) = (topic("a", &[0, 1, 2]), topic("b", &[]), topic("c", &[0, 1]));
        assert_eq!(
            paged(None, 10),
            (vec![a.clone(), b.clone(), c.clone()], None)
        );
        assert_eq!(paged(None, 2), (vec![topic("a", &[0, 1])], next("a", 2)));
        assert_eq!(
            paged(Some(("a", 2)), 2),
            (
                vec![topic("a", &[2]), b.clone(), topic("c", &[0])],
                next("c", 1)
            )
        );
        assert_eq!(paged(Some(("c", 1)), 2), (vec![topic("c", &[1])], None));
        assert_eq!(paged(None, 3), (vec![a, b.clone()], next("c", 0)));
        assert_eq!(paged(Some(("b", 0)), 5), (vec![b, c], None));
        assert_eq!(paged(Some(("a", 9)), 5).0[0], topic("a", &[]));
    }
}
