//! ListGroups, filtered by state (v4+, KIP-518) and type (v5+, KIP-848).

use ottla_codec::StrBytes;
use ottla_codec::messages::list_groups_response::ListedGroup as WireGroup;
use ottla_codec::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use ottla_coordinator::groups::GroupState;

use crate::context::RequestContext;
use crate::reply::Reply;

/// The one type of group there is.
const CLASSIC: &str = "classic";

const STATES: [GroupState; 5] = [
    GroupState::Empty,
    GroupState::PreparingRebalance,
    GroupState::CompletingRebalance,
    GroupState::Stable,
    GroupState::Dead,
];

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ListGroupsRequest,
) -> Reply<ListGroupsResponse> {
    let is_named = |name: &str, filter: &[StrBytes]| {
        filter.iter().any(|f| f.as_str().eq_ignore_ascii_case(name))
    };
    let states: Vec<GroupState> = STATES
        .into_iter()
        .filter(|state| is_named(state.name(), &request.states_filter))
        .collect();
    // A filter that names nothing there is lets nothing through.
    let none = (!request.states_filter.is_empty() && states.is_empty())
        || (!request.types_filter.is_empty() && !is_named(CLASSIC, &request.types_filter));
    if none {
        return Reply::Now(ListGroupsResponse::default());
    }
    let answer = ctx
        .broker
        .groups
        .read_all(move |machine| machine.list(&states));
    Reply::later(async move {
        let listed = match answer.await {
            Ok(listed) => listed,
            Err(error) => return ListGroupsResponse::default().with_error_code(error.code()),
        };
        let groups = listed.into_iter().map(|group| {
            WireGroup::default()
                .with_group_id(GroupId(StrBytes::from_string(group.group_id)))
                .with_protocol_type(StrBytes::from_string(group.protocol_type))
                .with_group_state(StrBytes::from_static_str(group.state.name()))
                .with_group_type(StrBytes::from_static_str(CLASSIC))
        });
        ListGroupsResponse::default().with_groups(groups.collect())
    })
}
