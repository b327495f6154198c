//! DeleteTopics.

use ottla_codec::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DeleteTopicsRequest,
) -> Reply<DeleteTopicsResponse> {
    todo!()
}
