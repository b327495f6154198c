//! From an API to its handler, and from its answer to the wire. The match is exhaustive over the one API table
//! ([`ottla_codec::api`]), so an API cannot be advertised without a handler.

use bytes::BytesMut;
use ottla_codec::api::Api;
use ottla_codec::request::RequestError;
use ottla_codec::response::ResponseBuf;
use ottla_storage::FileSlice;

use kafka_protocol::protocol::{Decodable, Encodable, Request};

use crate::context::RequestContext;
use crate::handlers::*;
use crate::reply::Reply;

/// A reply as it goes onto the wire.
pub(crate) type WireReply = Reply<ResponseBuf<FileSlice>>;

/// Decodes `body`, runs the handler's synchronous part, and says how the answer comes. An error closes the connection.
pub(crate) fn dispatch(ctx: &RequestContext, body: BytesMut) -> Result<WireReply, RequestError> {
    match ctx.api {
        Api::Produce => produce(ctx, body),
        Api::Fetch => fetch(ctx, body),
        Api::ListOffsets => typed(ctx, body, list_offsets::handle),
        Api::Metadata => typed(ctx, body, metadata::handle),
        Api::OffsetCommit => typed(ctx, body, offset_commit::handle),
        Api::OffsetFetch => typed(ctx, body, offset_fetch::handle),
        Api::FindCoordinator => typed(ctx, body, find_coordinator::handle),
        Api::JoinGroup => typed(ctx, body, join_group::handle),
        Api::Heartbeat => typed(ctx, body, heartbeat::handle),
        Api::LeaveGroup => typed(ctx, body, leave_group::handle),
        Api::SyncGroup => typed(ctx, body, sync_group::handle),
        Api::DescribeGroups => typed(ctx, body, describe_groups::handle),
        Api::ListGroups => typed(ctx, body, list_groups::handle),
        Api::ApiVersions => typed(ctx, body, api_versions::handle),
        Api::CreateTopics => typed(ctx, body, create_topics::handle),
        Api::DeleteTopics => typed(ctx, body, delete_topics::handle),
        Api::DeleteRecords => typed(ctx, body, delete_records::handle),
        Api::InitProducerId => typed(ctx, body, init_producer_id::handle),
        Api::OffsetForLeaderEpoch => typed(ctx, body, offset_for_leader_epoch::handle),
        Api::DescribeConfigs => typed(ctx, body, describe_configs::handle),
        Api::AlterConfigs => typed(ctx, body, alter_configs::handle),
        Api::DescribeLogDirs => typed(ctx, body, describe_log_dirs::handle),
        Api::CreatePartitions => typed(ctx, body, create_partitions::handle),
        Api::DeleteGroups => typed(ctx, body, delete_groups::handle),
        Api::IncrementalAlterConfigs => typed(ctx, body, incremental_alter_configs::handle),
        Api::OffsetDelete => typed(ctx, body, offset_delete::handle),
        Api::DescribeCluster => typed(ctx, body, describe_cluster::handle),
        Api::ListConfigResources => typed(ctx, body, list_config_resources::handle),
        Api::DescribeTopicPartitions => typed(ctx, body, describe_topic_partitions::handle),
    }
}

fn typed<R>(
    _ctx: &RequestContext,
    _body: BytesMut,
    _handler: impl Fn(&RequestContext, R) -> Reply<R::Response>,
) -> Result<WireReply, RequestError>
where
    R: Request + Decodable,
    R::Response: Encodable + Send + 'static,
{
    todo!()
}

fn produce(_ctx: &RequestContext, _body: BytesMut) -> Result<WireReply, RequestError> {
    todo!()
}

fn fetch(_ctx: &RequestContext, _body: BytesMut) -> Result<WireReply, RequestError> {
    todo!()
}
