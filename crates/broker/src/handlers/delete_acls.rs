//! DeleteAcls: there is none.

use ottla_codec::messages::delete_acls_response::DeleteAclsFilterResult;
use ottla_codec::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::describe_acls::{DISABLED, NO_AUTHORIZER};
use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(_: &RequestContext, request: DeleteAclsRequest) -> Reply<DeleteAclsResponse> {
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(DISABLED.code())
        .with_error_message(Some(NO_AUTHORIZER));
    let results = vec![refused; request.filters.len()];
    Reply::Now(DeleteAclsResponse::default().with_filter_results(results))
}
