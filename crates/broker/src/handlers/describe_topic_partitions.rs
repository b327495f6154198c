//! DescribeTopicPartitions.

use ottla_codec::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DescribeTopicPartitionsRequest,
) -> Reply<DescribeTopicPartitionsResponse> {
    todo!()
}
