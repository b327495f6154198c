//! AlterConfigs.

use ottla_codec::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: AlterConfigsRequest,
) -> Reply<AlterConfigsResponse> {
    todo!()
}
