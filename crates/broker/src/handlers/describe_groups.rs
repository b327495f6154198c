//! DescribeGroups.

use ottla_codec::messages::describe_groups_response::{
    DescribedGroup as WireGroup, DescribedGroupMember,
};
use ottla_codec::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use ottla_codec::{ResponseError, StrBytes};
use ottla_coordinator::groups::{DescribedGroup, GroupState};

use crate::context::RequestContext;
use crate::reply::Reply;

/// Operations on a group as a bit set: read (3), delete (6), describe (8), describe configs (10), alter configs (11).
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// From this version on an unknown group is an error (KIP-1043); before that it is dead.
const FIRST_WITH_ERRORS: i16 = 6;
/// Not asked for.
const NO_OPERATIONS: i32 = i32::MIN;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeGroupsRequest,
) -> Reply<DescribeGroupsResponse> {
    let version = ctx.version;
    let operations = match request.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => NO_OPERATIONS,
    };
    let groups = request.groups;
    let ids: Vec<&str> = groups.iter().map(|group| &***group).collect();
    let answer = ctx.broker.groups.read(&ids, |machine| {
        let described = ids.iter().map(|id| machine.describe(id));
        described.collect::<Vec<_>>()
    });
    Reply::later(async move {
        let described = answer.await;
        let answers = groups
            .iter()
            .enumerate()
            .map(|(i, group)| match &described {
                Ok(all) => match &all[i] {
                    Some(found) => describe(group, found).with_authorized_operations(operations),
                    // Where an unknown group is an error, it has no operations either.
                    None if version >= FIRST_WITH_ERRORS => unknown(version, group),
                    None => unknown(version, group).with_authorized_operations(operations),
                },
                Err(error) => WireGroup::default()
                    .with_group_id(group.clone())
                    .with_error_code(error.code()),
            });
        DescribeGroupsResponse::default().with_groups(answers.collect())
    })
}

fn describe(group: &GroupId, described: &DescribedGroup) -> WireGroup {
    let string = |s: &str| StrBytes::from_string(s.to_owned());
    let members = described.members.iter().map(|m| {
        DescribedGroupMember::default()
            .with_member_id(string(&m.member_id))
            .with_group_instance_id(m.instance_id.as_deref().map(string))
            .with_client_id(string(&m.client_id))
            .with_client_host(string(&m.client_host))
            .with_member_metadata(m.metadata.clone())
            .with_member_assignment(m.assignment.clone())
    });
    WireGroup::default()
        .with_group_id(group.clone())
        .with_group_state(StrBytes::from_static_str(described.state.name()))
        .with_protocol_type(string(&described.protocol_type))
        .with_protocol_data(string(&described.protocol))
        .with_members(members.collect())
}

fn unknown(version: i16, group: &GroupId) -> WireGroup {
    let dead = WireGroup::default()
        .with_group_id(group.clone())
        .with_group_state(StrBytes::from_static_str(GroupState::Dead.name()));
    if version < FIRST_WITH_ERRORS {
        return dead;
    }
    let message = format!("Group {} not found.", &***group);
    dead.with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;

    #[test]
    fn an_unknown_group_is_dead_and_from_v6_an_error() {
        for version in Api::DescribeGroups.versions() {
            let group = GroupId(StrBytes::from_static_str("g"));
            let answer = unknown(version, &group);
            assert_eq!(answer.group_state.as_str(), "Dead");
            assert_eq!(answer.error_code == 69, version >= 6, "v{version}");
            let response = DescribeGroupsResponse::default().with_groups(vec![answer]);
            let encoded = response.encode(&mut BytesMut::new(), version);
            encoded.unwrap_or_else(|e| panic!("v{version}: {e}"));
        }
    }
}
