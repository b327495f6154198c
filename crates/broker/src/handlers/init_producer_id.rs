//! InitProducerId, for idempotent producers.
//!
//! Transactions are not supported. A transactional id is answered UNSUPPORTED_VERSION: the Java client and librdkafka
//! take that as fatal and name it to the application, where the coordinator's errors would have them retry for ever.

use ottla_codec::ResponseError;
use ottla_codec::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: InitProducerIdRequest,
) -> Reply<InitProducerIdResponse> {
    // Both or neither (KIP-360).
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return Reply::Now(refusal(ResponseError::InvalidRequest));
    }
    match request.transactional_id.as_deref() {
        None => {}
        Some(id) if id.is_empty() => return Reply::Now(refusal(ResponseError::InvalidRequest)),
        Some(_) => return Reply::Now(refusal(ResponseError::UnsupportedVersion)),
    }
    let allocated = ctx.broker.groups.allocate_producer_id();
    Reply::later(async move {
        match allocated.await {
            Ok(id) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(id))
                .with_producer_epoch(0),
            Err(error) => refusal(error),
        }
    })
}

fn refusal(error: ResponseError) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
