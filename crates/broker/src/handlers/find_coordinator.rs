//! FindCoordinator.

use ottla_codec::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: FindCoordinatorRequest,
) -> Reply<FindCoordinatorResponse> {
    todo!()
}
