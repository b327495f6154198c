//! UnregisterBroker (KIP-500): there is one broker, and it runs.

use ottla_codec::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: UnregisterBrokerRequest,
) -> Reply<UnregisterBrokerResponse> {
    let id = request.broker_id.0;
    let (error, message) = if id == ctx.broker.cluster.node_id {
        (
            ResponseError::InvalidRequest,
            format!("Broker {id} runs, and is the only one: it cannot be unregistered"),
        )
    } else {
        (
            ResponseError::BrokerIdNotRegistered,
            format!("Broker ID {id} is not currently registered"),
        )
    };
    Reply::Now(
        UnregisterBrokerResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message))),
    )
}
