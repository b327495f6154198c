//! JoinGroup.

use ottla_codec::messages::{JoinGroupRequest, JoinGroupResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: JoinGroupRequest,
) -> Reply<JoinGroupResponse> {
    todo!()
}
