//! SyncGroup.

use ottla_codec::messages::{SyncGroupRequest, SyncGroupResponse};
use ottla_codec::{ResponseError, StrBytes};
use ottla_coordinator::groups::{Event, Reply as GroupReply, SyncRequest};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(ctx: &RequestContext, request: SyncGroupRequest) -> Reply<SyncGroupResponse> {
    let sync = SyncRequest {
        group_id: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        protocol_type: request.protocol_type.map(|s| s.to_string()),
        protocol_name: request.protocol_name.map(|s| s.to_string()),
        assignments: request
            .assignments
            .into_iter()
            .map(|a| (a.member_id.to_string(), a.assignment))
            .collect(),
    };
    // From v5 both are part of the request (KIP-559).
    if ctx.version >= 5 && (sync.protocol_type.is_none() || sync.protocol_name.is_none()) {
        return Reply::Now(refusal(ResponseError::InconsistentGroupProtocol));
    }
    let group_id = sync.group_id.clone();
    let answer = ctx
        .broker
        .groups
        .submit(&group_id, |ticket| Event::Sync(ticket, sync));
    Reply::later(async move {
        match answer.await {
            Ok(GroupReply::Sync(Ok(reply))) => SyncGroupResponse::default()
                .with_protocol_type(reply.protocol_type.map(StrBytes::from_string))
                .with_protocol_name(reply.protocol_name.map(StrBytes::from_string))
                .with_assignment(reply.assignment),
            Ok(GroupReply::Sync(Err(error))) | Err(error) => refusal(error),
            Ok(_) => refusal(ResponseError::UnknownServerError),
        }
    })
}

fn refusal(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}
