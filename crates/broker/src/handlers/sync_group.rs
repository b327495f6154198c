//! SyncGroup.

use ottla_codec::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: SyncGroupRequest,
) -> Reply<SyncGroupResponse> {
    todo!()
}
