//! JoinGroup.

use ottla_codec::messages::join_group_response::JoinGroupResponseMember;
use ottla_codec::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_codec::{ResponseError, StrBytes};
use ottla_coordinator::groups::member::Protocol;
use ottla_coordinator::groups::{Event, JoinReply, JoinRequest, Reply as GroupReply};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(ctx: &RequestContext, request: JoinGroupRequest) -> Reply<JoinGroupResponse> {
    let version = ctx.version;
    let member_id = request.member_id.to_string();
    let join = JoinRequest {
        group_id: request.group_id.to_string(),
        member_id: member_id.clone(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        client_id: ctx.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: format!("/{}", ctx.connection.peer.ip()),
        session_timeout_ms: request.session_timeout_ms,
        // v0 has one time for both.
        rebalance_timeout_ms: match version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|p| Protocol {
                name: p.name.to_string(),
                metadata: p.metadata,
            })
            .collect(),
        require_known_member_id: version >= 4,
        supports_skip_assignment: version >= 9,
        new_member_suffix: Uuid::new_v4().to_string(),
    };
    let group_id = join.group_id.clone();
    let answer = ctx
        .broker
        .groups
        .submit(&group_id, |ticket| Event::Join(ticket, join));
    Reply::later(async move {
        let reply = match answer.await {
            Ok(GroupReply::Join(reply)) => reply,
            Ok(_) => JoinReply::error(&member_id, ResponseError::UnknownServerError),
            Err(error) => JoinReply::error(&member_id, error),
        };
        response(version, reply)
    })
}

fn response(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let members = reply.members.into_iter().map(|m| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(m.member_id))
            .with_group_instance_id(m.instance_id.map(StrBytes::from_string))
            .with_metadata(m.metadata)
    });
    let protocol_name = reply.protocol_name.map(StrBytes::from_string);
    JoinGroupResponse::default()
        .with_error_code(reply.error.map_or(0, |e| e.code()))
        .with_generation_id(reply.generation)
        .with_protocol_type(reply.protocol_type.map(StrBytes::from_string))
        // Before v7 the name cannot be null.
        .with_protocol_name(match version {
            0..7 => Some(protocol_name.unwrap_or_default()),
            _ => protocol_name,
        })
        .with_leader(StrBytes::from_string(reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(StrBytes::from_string(reply.member_id))
        .with_members(members.collect())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;

    #[test]
    fn a_refusal_can_be_encoded_in_every_version() {
        for version in Api::JoinGroup.versions() {
            let reply = JoinReply::error("m", ResponseError::MemberIdRequired);
            let response = response(version, reply);
            assert_eq!(response.protocol_name.is_none(), version >= 7, "{version}");
            let encoded = response.encode(&mut BytesMut::new(), version);
            encoded.unwrap_or_else(|e| panic!("v{version}: {e}"));
        }
    }
}
