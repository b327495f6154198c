//! InitProducerId, for idempotent producers and transactional ones.

use ottla_codec::ResponseError;
use ottla_codec::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use ottla_coordinator::transactions::ProducerEpoch;

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::transactions::fencing;

/// From this version on a client knows PRODUCER_FENCED.
const FIRST_OF_FENCED: i16 = 4;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: InitProducerIdRequest,
) -> Reply<InitProducerIdResponse> {
    // Both or neither (KIP-360).
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return Reply::Now(refusal(ResponseError::InvalidRequest));
    }
    let groups = &ctx.broker.groups;
    let Some(id) = request.transactional_id.as_deref() else {
        let allocated = groups.allocate_producer_id();
        return Reply::later(async move {
            let epoch = |producer_id| ProducerEpoch {
                producer_id,
                epoch: 0,
            };
            answer(allocated.await.map(epoch))
        });
    };
    let expected = (request.producer_id.0 != -1).then_some(ProducerEpoch {
        producer_id: request.producer_id.0,
        epoch: request.producer_epoch,
    });
    let version = ctx.version;
    let initialised =
        groups.init_transactional_producer(id, request.transaction_timeout_ms, expected);
    Reply::later(async move {
        let knows_fenced = version >= FIRST_OF_FENCED;
        answer(
            initialised
                .await
                .map_err(|error| fencing(error, knows_fenced)),
        )
    })
}

fn answer(producer: Result<ProducerEpoch, ResponseError>) -> InitProducerIdResponse {
    match producer {
        Ok(producer) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(producer.epoch),
        Err(error) => refusal(error),
    }
}

fn refusal(error: ResponseError) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
