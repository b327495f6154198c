//! Heartbeat.

use ottla_codec::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: HeartbeatRequest,
) -> Reply<HeartbeatResponse> {
    todo!()
}
