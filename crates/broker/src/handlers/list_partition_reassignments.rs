//! ListPartitionReassignments (KIP-455): nothing ever moves.

use ottla_codec::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request. As in Kafka, a topic that does not exist is no error either.
pub(crate) fn handle(
    _ctx: &RequestContext,
    _request: ListPartitionReassignmentsRequest,
) -> Reply<ListPartitionReassignmentsResponse> {
    Reply::Now(ListPartitionReassignmentsResponse::default().with_error_message(None))
}
