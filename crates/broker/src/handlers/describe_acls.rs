//! DescribeAcls: answered as Kafka does where no authorizer is set, which is how clients know that there is nothing to look at.

use ottla_codec::messages::{DescribeAclsRequest, DescribeAclsResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::RequestContext;
use crate::reply::Reply;

/// What is wrong with every request about access control lists.
pub(super) const DISABLED: ResponseError = ResponseError::SecurityDisabled;
/// The same in words.
pub(super) const NO_AUTHORIZER: StrBytes =
    StrBytes::from_static_str("No authorizer is configured: everybody may do everything");

/// Handles one request.
pub(crate) fn handle(_: &RequestContext, _: DescribeAclsRequest) -> Reply<DescribeAclsResponse> {
    Reply::Now(
        DescribeAclsResponse::default()
            .with_error_code(DISABLED.code())
            .with_error_message(Some(NO_AUTHORIZER)),
    )
}
