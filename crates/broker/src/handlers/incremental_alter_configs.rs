//! IncrementalAlterConfigs.

use ottla_codec::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: IncrementalAlterConfigsRequest,
) -> Reply<IncrementalAlterConfigsResponse> {
    todo!()
}
