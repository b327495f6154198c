//! LeaveGroup.

use ottla_codec::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: LeaveGroupRequest,
) -> Reply<LeaveGroupResponse> {
    todo!()
}
