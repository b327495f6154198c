//! Produce: checks each batch, appends, answers when it is kept as asked.

use ottla_codec::messages::ProduceResponse;
use ottla_codec::produce::ProduceRequest;

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(_ctx: &RequestContext, _request: ProduceRequest) -> Reply<ProduceResponse> {
    todo!()
}
