//! OffsetFetch.

use ottla_codec::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: OffsetFetchRequest,
) -> Reply<OffsetFetchResponse> {
    todo!()
}
