//! DescribeCluster.

use ottla_codec::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DescribeClusterRequest,
) -> Reply<DescribeClusterResponse> {
    todo!()
}
