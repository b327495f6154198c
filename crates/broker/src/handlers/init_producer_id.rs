//! InitProducerId.

use ottla_codec::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: InitProducerIdRequest,
) -> Reply<InitProducerIdResponse> {
    todo!()
}
