//! ListOffsets.

use ottla_codec::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: ListOffsetsRequest,
) -> Reply<ListOffsetsResponse> {
    todo!()
}
