//! OffsetDelete.

use ottla_codec::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: OffsetDeleteRequest,
) -> Reply<OffsetDeleteResponse> {
    todo!()
}
