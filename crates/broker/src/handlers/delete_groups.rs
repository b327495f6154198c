//! DeleteGroups.

use ottla_codec::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DeleteGroupsRequest,
) -> Reply<DeleteGroupsResponse> {
    todo!()
}
