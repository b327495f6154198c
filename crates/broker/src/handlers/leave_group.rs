//! LeaveGroup: one member before v3, any number of them since.

use ottla_codec::messages::leave_group_response::MemberResponse;
use ottla_codec::messages::{LeaveGroupRequest, LeaveGroupResponse};
use ottla_codec::{ResponseError, StrBytes};
use ottla_coordinator::groups::{Event, LeaveMember, Reply as GroupReply};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: LeaveGroupRequest,
) -> Reply<LeaveGroupResponse> {
    let version = ctx.version;
    let members = if version < 3 {
        vec![LeaveMember {
            member_id: request.member_id.to_string(),
            instance_id: None,
        }]
    } else {
        let members = request.members.into_iter().map(|m| LeaveMember {
            member_id: m.member_id.to_string(),
            instance_id: m.group_instance_id.map(|id| id.to_string()),
        });
        members.collect()
    };
    let group_id = request.group_id.to_string();
    let answer = ctx
        .broker
        .groups
        .submit(&request.group_id, |ticket| Event::Leave {
            ticket,
            group_id,
            members,
        });
    Reply::later(async move {
        match answer.await {
            Ok(GroupReply::Leave(Ok(results))) => response(version, results),
            Ok(GroupReply::Leave(Err(error))) | Err(error) => refusal(error),
            Ok(_) => refusal(ResponseError::UnknownServerError),
        }
    })
}

fn response(
    version: i16,
    results: Vec<(LeaveMember, Option<ResponseError>)>,
) -> LeaveGroupResponse {
    let code = |error: Option<ResponseError>| error.map_or(0, |e| e.code());
    if version < 3 {
        let only = results.into_iter().next().and_then(|(_, error)| error);
        return LeaveGroupResponse::default().with_error_code(code(only));
    }
    let members = results.into_iter().map(|(member, error)| {
        MemberResponse::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_group_instance_id(member.instance_id.map(StrBytes::from_string))
            .with_error_code(code(error))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

fn refusal(error: ResponseError) -> LeaveGroupResponse {
    LeaveGroupResponse::default().with_error_code(error.code())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;

    #[test]
    fn an_error_is_the_members_from_v3_and_the_answers_before() {
        for version in Api::LeaveGroup.versions() {
            let member = LeaveMember {
                member_id: "m".to_owned(),
                instance_id: None,
            };
            let error = ResponseError::UnknownMemberId;
            let response = response(version, vec![(member, Some(error))]);
            let code = match version {
                0..3 => response.error_code,
                _ => response.members[0].error_code,
            };
            assert_eq!(code, error.code(), "v{version}");
            let encoded = response.encode(&mut BytesMut::new(), version);
            encoded.unwrap_or_else(|e| panic!("v{version}: {e}"));
        }
    }
}
