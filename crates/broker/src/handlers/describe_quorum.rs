//! DescribeQuorum (KIP-595, KIP-836, KIP-853): a quorum of one, whose log is that of the store's commits.

use ottla_codec::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use ottla_codec::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName};
use ottla_codec::{ResponseError, StrBytes};

use crate::clock::wall_ms;
use crate::context::RequestContext;
use crate::reply::Reply;
use crate::topics::CLUSTER_METADATA;

/// The epoch of a leader that nobody ever took over from.
const LEADER_EPOCH: i32 = 1;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeQuorumRequest,
) -> Reply<DescribeQuorumResponse> {
    let is_the_log = match request.topics.as_slice() {
        [topic] => {
            &*topic.topic_name.0 == CLUSTER_METADATA
                && matches!(topic.partitions.as_slice(), [p] if p.partition_index == 0)
        }
        _ => false,
    };
    let topics = request.topics.into_iter().map(|asked| {
        let partitions = asked.partitions.iter().map(|p| {
            if is_the_log {
                the_log(ctx)
            } else {
                unknown(ctx.version, p.partition_index)
            }
        });
        topic(asked.topic_name, partitions.collect())
    });
    let mut response = DescribeQuorumResponse::default().with_topics(topics.collect());
    if is_the_log && ctx.version >= 2 {
        response.nodes = vec![node(ctx)];
    }
    Reply::Now(response)
}

fn topic(name: TopicName, partitions: Vec<PartitionData>) -> TopicData {
    TopicData::default()
        .with_topic_name(name)
        .with_partitions(partitions)
}

fn the_log(ctx: &RequestContext) -> PartitionData {
    let node_id = BrokerId(ctx.broker.cluster.node_id);
    let end = i64::try_from(ctx.broker.store.stats().commits).unwrap_or(i64::MAX);
    let mut voter = ReplicaState::default()
        .with_replica_id(node_id)
        .with_log_end_offset(end);
    if ctx.version >= 1 {
        let now = wall_ms();
        voter.last_fetch_timestamp = now;
        voter.last_caught_up_timestamp = now;
    }
    PartitionData::default()
        .with_leader_id(node_id)
        .with_leader_epoch(LEADER_EPOCH)
        .with_high_watermark(end)
        .with_current_voters(vec![voter])
}

fn unknown(version: i16, index: i32) -> PartitionData {
    let error = ResponseError::UnknownTopicOrPartition;
    let message = "The one quorum is that of __cluster_metadata, partition 0.";
    let message = (version >= 2).then(|| StrBytes::from_static_str(message));
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error.code())
        .with_error_message(message)
}

/// This node, where the client reached it: there is no listener for controllers alone.
fn node(ctx: &RequestContext) -> Node {
    let (host, port) = ctx.broker.advertised(&ctx.connection.listener);
    let listener = Listener::default()
        .with_name(StrBytes::from_string(ctx.connection.listener.to_string()))
        .with_host(host)
        .with_port(u16::try_from(port).unwrap_or_default());
    Node::default()
        .with_node_id(BrokerId(ctx.broker.cluster.node_id))
        .with_listeners(vec![listener])
}
