//! DeleteRecords.

use ottla_codec::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: DeleteRecordsRequest,
) -> Reply<DeleteRecordsResponse> {
    todo!()
}
