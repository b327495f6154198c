//! Metadata: the one node, and topics by name or id; a topic that is asked for by name may be created (`auto.create.topics.enable`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ottla_codec::ResponseError;
use ottla_codec::StrBytes;
use ottla_codec::messages::metadata_request::MetadataRequestTopic;
use ottla_codec::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_codec::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use ottla_storage::{Commit, Topic, TopicId, Topics};

use super::describe_cluster::CLUSTER_OPERATIONS;
use super::describe_topic_partitions::TOPIC_OPERATIONS;
use crate::client_software::ClientSoftware;
use crate::context::RequestContext;
use crate::errors;
use crate::reply::Reply;
use crate::topics::is_internal;

/// Authorised operations that were not asked for, or are not known.
const NO_OPERATIONS: i32 = i32::MIN;
/// From this version on topics may be asked for by id.
const FIRST_WITH_IDS: i16 = 12;
/// The leader epoch of every partition: its one leader never changes.
const LEADER_EPOCH: i32 = 0;
/// The version of librdkafka since which it does not go on with a bootstrap connection.
const DROPS_SINCE: (u32, u32) = (2, 10);
/// How long nodes alone wait for the answer to the next request: nobody waits for them, and what a client wants of a new connection it asks
/// within a millisecond.
const HOLD_NODES: Duration = Duration::from_millis(3);
/// How long topics do, which a producer may wait for.
const HOLD_TOPICS: Duration = Duration::from_millis(1);

/// Handles one request.
pub(crate) fn handle(ctx: &RequestContext, request: MetadataRequest) -> Reply<MetadataResponse> {
    if ctx.version < FIRST_WITH_IDS
        && let Some(asked) = &request.topics
        && asked
            .iter()
            .any(|t| t.name.is_none() || !t.topic_id.is_nil())
    {
        return Reply::Now(refusal(asked));
    }
    let topics = ctx.broker.store.topics();
    let node = ctx.broker.cluster.node_id;
    let mut created = Vec::new();
    let is_first = !ctx.connection.has_asked_metadata.swap(true, Relaxed);
    let answers = match request.topics {
        None => topics.iter().map(|t| known(t, node)).collect(),
        // In version 0 there was no null.
        Some(asked) if asked.is_empty() && ctx.version == 0 => {
            topics.iter().map(|t| known(t, node)).collect()
        }
        Some(asked) => {
            let may_create = request.allow_auto_topic_creation
                && ctx.broker.settings.current().auto_create_topics_enable;
            let by_id = asked.iter().any(|t| !t.topic_id.is_nil());
            let mut seen = HashSet::new();
            asked
                .into_iter()
                // Once an id is there, Kafka looks at ids alone.
                .filter(|t| !by_id || !t.topic_id.is_nil())
                .filter(|t| seen.insert((t.topic_id, t.name.clone())))
                .map(|asked| match asked.name {
                    _ if by_id => with_id(&topics, asked.topic_id, node),
                    Some(name) => named(ctx, &topics, name.0, may_create, &mut created),
                    None => failed(None, asked.topic_id, ResponseError::InvalidRequest),
                })
                .collect()
        }
    };
    let mut answers: Vec<MetadataResponseTopic> = answers;
    if request.include_topic_authorized_operations {
        for topic in answers.iter_mut().filter(|topic| topic.error_code == 0) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let cluster_operations = match request.include_cluster_authorized_operations {
        true => CLUSTER_OPERATIONS,
        false => NO_OPERATIONS,
    };
    let (host, port) = ctx.broker.advertised(&ctx.connection.listener);
    let response = MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node))
                .with_host(host)
                .with_port(port)
                .with_rack(rack(ctx)),
        ])
        .with_cluster_id(Some(ctx.broker.cluster.cluster_id.clone()))
        .with_controller_id(BrokerId(node))
        .with_topics(answers)
        .with_cluster_authorized_operations(cluster_operations);
    match created.into_iter().max() {
        None if is_first && drops_its_first_connection(ctx) => {
            let hold = match response.topics.is_empty() {
                true => HOLD_NODES,
                false => HOLD_TOPICS,
            };
            Reply::WithNext(response, hold)
        }
        None => Reply::Now(response),
        Some(last) => Reply::later(when_created(ctx, last, response)),
    }
}

/// librdkafka asks for metadata as soon as it is connected, and at once for what it wants. From 2.10 on it drops the connection to a
/// bootstrap server when it knows a node, with all that is not answered, and connects again after `reconnect.backoff.ms` / 2 at
/// the earliest: 50 ms (`rd_kafka_metadata_decommission_unavailable_brokers`, `rd_kafka_connect_any`). Told both together, it has what it
/// wanted.
fn drops_its_first_connection(ctx: &RequestContext) -> bool {
    let software = ctx.connection.software.get();
    let version = software.and_then(ClientSoftware::librdkafka);
    version >= Some(DROPS_SINCE)
}

/// Ids, or topics without a name, in versions whose answers have a name for each topic: refused as a whole, as by Kafka.
fn refusal(asked: &[MetadataRequestTopic]) -> MetadataResponse {
    let topics = asked.iter().map(|topic| {
        let name = topic.name.clone().unwrap_or_default();
        MetadataResponseTopic::default()
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_name(Some(name))
            .with_topic_id(topic.topic_id)
            .with_topic_authorized_operations(NO_OPERATIONS)
    });
    MetadataResponse::default()
        .with_topics(topics.collect())
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

fn rack(ctx: &RequestContext) -> Option<StrBytes> {
    let rack = ctx.broker.settings.current().rack.clone()?;
    Some(StrBytes::from_string(rack))
}

/// A topic that was created for this answer is told of once it is kept.
fn when_created(
    ctx: &RequestContext,
    last: Commit,
    mut response: MetadataResponse,
) -> impl Future<Output = MetadataResponse> + use<> {
    let store = ctx.broker.store.clone();
    async move {
        if let Err(e) = store.durable(last).await {
            let error = errors::store(&e).code();
            let topics = store.topics();
            for topic in &mut response.topics {
                let exists = topic
                    .name
                    .as_ref()
                    .is_some_and(|n| topics.by_name(&n.0).is_some());
                if topic.error_code == 0 && !exists {
                    topic.error_code = error;
                    topic.partitions.clear();
                }
            }
        }
        response
    }
}

fn named(
    ctx: &RequestContext,
    topics: &Topics,
    name: StrBytes,
    may_create: bool,
    created: &mut Vec<Commit>,
) -> MetadataResponseTopic {
    let node = ctx.broker.cluster.node_id;
    if let Some(topic) = topics.by_name(&name) {
        return known(topic, node);
    }
    let made = if may_create {
        ctx.broker.topics.auto_create(&name)
    } else {
        let refused = crate::topics::validate_name(&name).err();
        Err(refused.unwrap_or_else(|| {
            errors::Refusal::new(ResponseError::UnknownTopicOrPartition, "unknown topic")
        }))
    };
    match made {
        Ok((topic, commit)) => {
            created.extend(commit);
            known(&topic, node)
        }
        Err(refused) => failed(Some(TopicName(name)), TopicId::nil(), refused.error),
    }
}

fn with_id(topics: &Topics, id: TopicId, node: i32) -> MetadataResponseTopic {
    match topics.by_id(&id) {
        Some(topic) => known(topic, node),
        None => failed(None, id, ResponseError::UnknownTopicId),
    }
}

fn failed(name: Option<TopicName>, id: TopicId, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_is_internal(name.as_ref().is_some_and(|n| is_internal(&n.0)))
        .with_name(name)
        .with_topic_id(id)
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn known(topic: &Arc<Topic>, node: i32) -> MetadataResponseTopic {
    let replicas = vec![BrokerId(node)];
    let partitions = (0..topic.partitions)
        .map(|index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(node))
                .with_leader_epoch(LEADER_EPOCH)
                .with_replica_nodes(replicas.clone())
                .with_isr_nodes(replicas.clone())
        })
        .collect();
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(
            topic.name.to_string(),
        ))))
        .with_topic_id(topic.id)
        .with_is_internal(is_internal(&topic.name))
        .with_partitions(partitions)
        .with_topic_authorized_operations(NO_OPERATIONS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ottla_codec::messages::ApiVersionsRequest;

    use super::*;
    use crate::simulated::Simulated;

    #[test]
    fn the_first_metadata_of_a_new_librdkafka_alone_is_sent_with_the_next_answer() {
        let mut broker = Simulated::start(1, &[]).unwrap();
        for (software, version, is_held) in [
            ("librdkafka", "2.10.0", true),
            ("librdkafka", "2.9.1", false),
            ("apache-kafka-java", "4.3.1", false),
        ] {
            let mut connection = broker.connect();
            let text = StrBytes::from_static_str;
            let hello = ApiVersionsRequest::default()
                .with_client_software_name(text(software))
                .with_client_software_version(text(version));
            connection.send_request(3, &hello);
            for (nth, is_held) in [is_held, false].into_iter().enumerate() {
                let request = MetadataRequest::default().with_topics(Some(Vec::new()));
                connection.send_request(9, &request);
                assert_eq!(
                    connection.is_last_sent_with_next(),
                    is_held,
                    "{software} {version} {nth}"
                );
            }
            let answered = std::iter::from_fn(|| connection.take_answer());
            assert_eq!(answered.count(), 3);
        }
    }

    #[test]
    fn ids_and_topics_without_a_name_are_refused_where_an_answer_must_name_each_topic() {
        let mut broker = Simulated::start(1, &[]).unwrap();
        let mut connection = broker.connect();
        let by_id = MetadataRequestTopic::default()
            .with_name(None)
            .with_topic_id(TopicId::from_u128(7));
        let nameless = MetadataRequestTopic::default().with_name(None);
        for version in [10, 11] {
            for topic in [&by_id, &nameless] {
                let request = MetadataRequest::default().with_topics(Some(vec![topic.clone()]));
                connection.send_request(version, &request);
                let told = connection.take_response::<MetadataRequest>(version);
                assert_eq!(told.topics[0].topic_id, topic.topic_id);
                assert_eq!(told.topics[0].name, Some(TopicName::default()));
                assert_eq!(told.topics[0].error_code, 42);
                assert_eq!(told.brokers, []);
            }
        }
    }
}
