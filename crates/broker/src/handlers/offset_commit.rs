//! OffsetCommit.

use ottla_codec::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: OffsetCommitRequest,
) -> Reply<OffsetCommitResponse> {
    todo!()
}
