//! ListGroups.

use ottla_codec::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: ListGroupsRequest,
) -> Reply<ListGroupsResponse> {
    todo!()
}
