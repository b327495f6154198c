//! DescribeGroups.

use ottla_codec::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DescribeGroupsRequest,
) -> Reply<DescribeGroupsResponse> {
    todo!()
}
