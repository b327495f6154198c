//! FindCoordinator: this node, for groups. There is none for transactions, which are not supported yet.

use ottla_codec::messages::find_coordinator_response::Coordinator;
use ottla_codec::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::RequestContext;
use crate::reply::Reply;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// librdkafka stops at version 2, Java clients since 2.4 begin at 3.
const FIRST_OF_JAVA: i16 = 3;
/// What a user reads.
const NO_TRANSACTIONS: &str = "transactions are not supported by this broker: leave transactional.id out (enable.idempotence works without it)";

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: FindCoordinatorRequest,
) -> Reply<FindCoordinatorResponse> {
    let found = match request.key_type {
        GROUP => this_node(ctx),
        TRANSACTION => no_transactions(ctx.version),
        other => refusal(
            ResponseError::InvalidRequest,
            format!("coordinator key type {other} is not supported"),
        ),
    };
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

/// The error with which a transactional producer stops at once, and shows the message. From what a producer asks first,
/// nothing else does: librdkafka (versions 0 to 2) tries everything but a failed authorisation again until its time is
/// over, and the Java client (version 3 and later) shows our message with any error but that one.
fn no_transactions(version: i16) -> Coordinator {
    let error = match version {
        ..FIRST_OF_JAVA => ResponseError::TransactionalIdAuthorizationFailed,
        _ => ResponseError::UnsupportedVersion,
    };
    refusal(error, NO_TRANSACTIONS.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transactional_producer_is_refused_with_an_error_that_it_does_not_retry() {
        for (version, error) in [
            (0, ResponseError::TransactionalIdAuthorizationFailed),
            (2, ResponseError::TransactionalIdAuthorizationFailed),
            (3, ResponseError::UnsupportedVersion),
            (6, ResponseError::UnsupportedVersion),
        ] {
            let refused = no_transactions(version);
            assert_eq!(refused.error_code, error.code(), "v{version}");
            assert!(!error.is_retriable());
            assert!(
                refused
                    .error_message
                    .is_some_and(|m| m.contains("transactional.id"))
            );
        }
    }
}
