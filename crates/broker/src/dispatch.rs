//! From an API to its handler, and from its answer to the wire. The match is exhaustive over the one API table
//! ([`ottla_codec::api`]), so an API cannot be advertised without a handler.

use std::cell::RefCell;

use bytes::BytesMut;
use kafka_protocol::protocol::{Decodable, Encodable, Message, Request};
use ottla_codec::api::Api;
use ottla_codec::fetch::FetchResponse;
use ottla_codec::request::RequestError;
use ottla_codec::{request, response};
use ottla_storage::FileSlice;

use crate::context::RequestContext;
use crate::first_error::FirstError;
use crate::handlers::*;
use crate::reply::{Outcome, Reply, WireReply};

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
        Api::AddPartitionsToTxn => typed(ctx, body, add_partitions_to_txn::handle),
        Api::AddOffsetsToTxn => typed(ctx, body, add_offsets_to_txn::handle),
        Api::EndTxn => typed(ctx, body, end_txn::handle),
        Api::WriteTxnMarkers => typed(ctx, body, write_txn_markers::handle),
        Api::TxnOffsetCommit => typed(ctx, body, txn_offset_commit::handle),
        Api::DescribeAcls => typed(ctx, body, describe_acls::handle),
        Api::CreateAcls => typed(ctx, body, create_acls::handle),
        Api::DeleteAcls => typed(ctx, body, delete_acls::handle),
        Api::DescribeConfigs => typed(ctx, body, describe_configs::handle),
        Api::AlterConfigs => typed(ctx, body, alter_configs::handle),
        Api::AlterReplicaLogDirs => typed(ctx, body, alter_replica_log_dirs::handle),
        Api::DescribeLogDirs => typed(ctx, body, describe_log_dirs::handle),
        Api::CreatePartitions => typed(ctx, body, create_partitions::handle),
        Api::DeleteGroups => typed(ctx, body, delete_groups::handle),
        Api::ElectLeaders => typed(ctx, body, elect_leaders::handle),
        Api::IncrementalAlterConfigs => typed(ctx, body, incremental_alter_configs::handle),
        Api::AlterPartitionReassignments => typed(ctx, body, alter_partition_reassignments::handle),
        Api::ListPartitionReassignments => typed(ctx, body, list_partition_reassignments::handle),
        Api::OffsetDelete => typed(ctx, body, offset_delete::handle),
        Api::DescribeQuorum => typed(ctx, body, describe_quorum::handle),
        Api::UpdateFeatures => typed(ctx, body, update_features::handle),
        Api::DescribeCluster => typed(ctx, body, describe_cluster::handle),
        Api::DescribeProducers => typed(ctx, body, describe_producers::handle),
        Api::UnregisterBroker => typed(ctx, body, unregister_broker::handle),
        Api::DescribeTransactions => typed(ctx, body, describe_transactions::handle),
        Api::ListTransactions => typed(ctx, body, list_transactions::handle),
        Api::GetTelemetrySubscriptions => typed(ctx, body, get_telemetry_subscriptions::handle),
        Api::PushTelemetry => typed(ctx, body, push_telemetry::handle),
        Api::ListConfigResources => typed(ctx, body, list_config_resources::handle),
        Api::DescribeTopicPartitions => typed(ctx, body, describe_topic_partitions::handle),
    }
}

fn typed<R>(
    ctx: &RequestContext,
    body: BytesMut,
    handler: impl Fn(&RequestContext, R) -> Reply<R::Response>,
) -> Result<WireReply, RequestError>
where
    R: Request + Decodable,
    R::Response: Encodable + FirstError + Send + 'static,
{
    let request = request::decode::<R>(ctx.api, ctx.version, body.freeze())?;
    Ok(on_the_wire(ctx, handler(ctx, request), encode))
}

fn produce(ctx: &RequestContext, body: BytesMut) -> Result<WireReply, RequestError> {
    let request = ottla_codec::produce::decode(ctx.version, body)?;
    Ok(on_the_wire(ctx, produce::handle(ctx, request), encode))
}

fn fetch(ctx: &RequestContext, body: BytesMut) -> Result<WireReply, RequestError> {
    let request = request::decode(ctx.api, ctx.version, body.freeze())?;
    let encode = |_, version, correlation_id, response: FetchResponse<FileSlice>| {
        let error = response.first_error();
        let encoded = ottla_codec::fetch::encode(version, correlation_id, response);
        Outcome::Send(encoded, error)
    };
    Ok(on_the_wire(ctx, fetch::handle(ctx, request), encode))
}

fn on_the_wire<R: Send + 'static>(
    ctx: &RequestContext,
    reply: Reply<R>,
    encode: impl FnOnce(Api, i16, i32, R) -> Outcome + Send + 'static,
) -> WireReply {
    let (api, version, correlation_id) = (ctx.api, ctx.version, ctx.correlation_id);
    match reply {
        Reply::Now(response) => WireReply::Now(encode(api, version, correlation_id, response)),
        Reply::WithNext(response, hold) => {
            WireReply::WithNext(encode(api, version, correlation_id, response), hold)
        }
        Reply::Later(later) => WireReply::Later(Box::pin(async move {
            encode(api, version, correlation_id, later.await)
        })),
        Reply::Silent(later) => WireReply::Later(Box::pin(async move {
            match later.await {
                Ok(()) => Outcome::Nothing,
                Err(reason) => Outcome::Close(reason),
            }
        })),
    }
}

/// Encodes a response into this thread's scratch buffer. One that cannot be encoded is a defect of ours: the client
/// must not wait for it for ever, so its connection is closed.
pub(crate) fn encode<R: Encodable + Message + FirstError>(
    api: Api,
    version: i16,
    correlation_id: i32,
    response: R,
) -> Outcome {
    thread_local! {
        static SCRATCH: RefCell<BytesMut> = RefCell::new(BytesMut::new());
    }
    SCRATCH.with_borrow_mut(|scratch| {
        match response::encode(scratch, api, version, correlation_id, &response) {
            Ok(buf) => Outcome::Send(buf, response.first_error()),
            Err(e) => Outcome::Close(e.to_string()),
        }
    })
}
