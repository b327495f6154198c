//! Metadata.

use ottla_codec::messages::{MetadataRequest, MetadataResponse};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(_ctx: &RequestContext, _request: MetadataRequest) -> Reply<MetadataResponse> {
    todo!()
}
