//! Heartbeat.

use ottla_codec::ResponseError;
use ottla_codec::messages::{HeartbeatRequest, HeartbeatResponse};
use ottla_coordinator::groups::{Event, Reply as GroupReply};

use crate::context::RequestContext;
use crate::groups::error_code;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(ctx: &RequestContext, request: HeartbeatRequest) -> Reply<HeartbeatResponse> {
    let answer = ctx
        .broker
        .groups
        .submit(&request.group_id, |ticket| Event::Heartbeat {
            ticket,
            group_id: request.group_id.as_str().to_owned(),
            generation: request.generation_id,
            member_id: request.member_id.as_str().to_owned(),
            instance_id: request
                .group_instance_id
                .as_ref()
                .map(|id| id.as_str().to_owned()),
        });
    Reply::later(async move {
        let result = match answer.await {
            Ok(GroupReply::Heartbeat(result)) => result,
            Ok(_) => Err(ResponseError::UnknownServerError),
            Err(error) => Err(error),
        };
        HeartbeatResponse::default().with_error_code(error_code(&result))
    })
}
