//! DescribeConfigs.

use ottla_codec::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DescribeConfigsRequest,
) -> Reply<DescribeConfigsResponse> {
    todo!()
}
