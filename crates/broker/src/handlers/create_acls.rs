//! CreateAcls: nobody would heed them, so none is created.

use ottla_codec::messages::create_acls_response::AclCreationResult;
use ottla_codec::messages::{CreateAclsRequest, CreateAclsResponse};

use super::describe_acls::{DISABLED, NO_AUTHORIZER};
use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(_: &RequestContext, request: CreateAclsRequest) -> Reply<CreateAclsResponse> {
    let refused = AclCreationResult::default()
        .with_error_code(DISABLED.code())
        .with_error_message(Some(NO_AUTHORIZER));
    let results = vec![refused; request.creations.len()];
    Reply::Now(CreateAclsResponse::default().with_results(results))
}
