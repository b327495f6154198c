//! CreatePartitions.

use ottla_codec::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: CreatePartitionsRequest,
) -> Reply<CreatePartitionsResponse> {
    todo!()
}
