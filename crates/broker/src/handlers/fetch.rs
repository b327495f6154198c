//! Fetch: reads from the partitions of the request or its session, waits for data if asked to.

use ottla_codec::fetch::FetchResponse;
use ottla_codec::messages::FetchRequest;
use ottla_storage::FileSlice;

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: FetchRequest,
) -> Reply<FetchResponse<FileSlice>> {
    todo!()
}
