//! FindCoordinator: this node, for groups and transactions.

use std::sync::atomic::Ordering::Relaxed;

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
    let found = match request.key_type {
        GROUP | TRANSACTION => this_node(ctx),
        other => refusal(
            ResponseError::InvalidRequest,
            format!("coordinator key type {other} is not supported"),
        ),
    };
    if request.key_type == GROUP && !ctx.connection.has_asked_coordinator.swap(true, Relaxed) {
        announce(ctx, &request);
    }
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

/// Who asks about one group may be a consumer that is going to join. On the same connection it only asks again.
fn announce(ctx: &RequestContext, request: &FindCoordinatorRequest) {
    let group_id = match request.coordinator_keys.as_slice() {
        [] if ctx.version < 4 => &request.key,
        [key] => key,
        _ => return,
    };
    ctx.broker.groups.asked(group_id);
}

fn refusal(error: ResponseError, message: String) -> Coordinator {
    Coordinator::default()
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}

fn this_node(ctx: &RequestContext) -> Coordinator {
    let (host, port) = ctx.broker.advertised(&ctx.connection.listener);
    Coordinator::default()
        .with_node_id(BrokerId(ctx.broker.cluster.node_id))
        .with_host(host)
        .with_port(port)
        .with_error_message(Some(StrBytes::default()))
}
