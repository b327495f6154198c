//! ApiVersions.

use ottla_codec::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: ApiVersionsRequest,
) -> Reply<ApiVersionsResponse> {
    todo!()
}
