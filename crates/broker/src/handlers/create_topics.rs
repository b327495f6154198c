//! CreateTopics.

use ottla_codec::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: CreateTopicsRequest,
) -> Reply<CreateTopicsResponse> {
    todo!()
}
