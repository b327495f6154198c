//! DescribeLogDirs.

use ottla_codec::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DescribeLogDirsRequest,
) -> Reply<DescribeLogDirsResponse> {
    todo!()
}
