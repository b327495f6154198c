//! FindCoordinator: this node, for groups and for transactions.

use ottla_codec::messages::find_coordinator_response::Coordinator;
use ottla_codec::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::RequestContext;
use crate::reply::Reply;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: FindCoordinatorRequest,
) -> Reply<FindCoordinatorResponse> {
    let found = coordinator(ctx, request.key_type);
    if ctx.version >= 4 {
        // v4 asks for many keys at once (KIP-699).
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| found.clone().with_key(key)).collect();
        return Reply::Now(FindCoordinatorResponse::default().with_coordinators(coordinators));
    }
    // Kafka spells success out here, and only here.
    let message = match found.error_code {
        0 => Some(StrBytes::from_static_str("NONE")),
        _ => found.error_message,
    };
    Reply::Now(
        FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

/// Share groups (key type 2) are not supported, other types do not exist: an invalid request, as in Kafka.
fn coordinator(ctx: &RequestContext, key_type: i8) -> Coordinator {
    if key_type != GROUP && key_type != TRANSACTION {
        let message = format!("coordinator key type {key_type} is not supported");
        return Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_string(message)));
    }
    let (host, port) = ctx.broker.advertised(&ctx.connection.listener);
    Coordinator::default()
        .with_node_id(BrokerId(ctx.broker.cluster.node_id))
        .with_host(host)
        .with_port(port)
        .with_error_message(Some(StrBytes::default()))
}
