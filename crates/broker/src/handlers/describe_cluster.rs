//! DescribeCluster: the one broker, at the address of the listener that was asked (KIP-700, KIP-919, KIP-1073).

use ottla_codec::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_codec::messages::{DescribeClusterRequest, DescribeClusterResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::RequestContext;
use crate::reply::Reply;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// What may be done with a cluster, as bits of Kafka's operation codes: create 5, alter 7, describe 8, cluster action 9,
/// describe configs 10, alter configs 11, idempotent write 12. Without an authorizer everybody may.
pub(super) const CLUSTER_OPERATIONS: i32 =
    1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeClusterRequest,
) -> Reply<DescribeClusterResponse> {
    if request.endpoint_type != BROKERS {
        let (error, message) = if request.endpoint_type == CONTROLLERS {
            (
                ResponseError::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_owned(),
            )
        } else {
            (
                ResponseError::UnsupportedEndpointType,
                format!("Unsupported endpoint type {}", request.endpoint_type),
            )
        };
        return Reply::Now(
            DescribeClusterResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        );
    }
    let cluster = &ctx.broker.cluster;
    let (host, port) = ctx.broker.advertised(&ctx.connection.listener);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(cluster.node_id.into())
        .with_host(host)
        .with_port(port)
        .with_rack(
            ctx.broker
                .settings
                .current()
                .rack
                .clone()
                .map(StrBytes::from_string),
        );
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(cluster.cluster_id.clone())
        .with_controller_id(cluster.node_id.into())
        .with_brokers(vec![broker]);
    if request.include_cluster_authorized_operations {
        response = response.with_cluster_authorized_operations(CLUSTER_OPERATIONS);
    }
    Reply::Now(response)
}
