//! ListConfigResources.

use ottla_codec::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: ListConfigResourcesRequest,
) -> Reply<ListConfigResourcesResponse> {
    todo!()
}
