//! DeleteGroups.

use std::collections::HashSet;

use ottla_codec::ResponseError;
use ottla_codec::messages::delete_groups_response::DeletableGroupResult;
use ottla_codec::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use ottla_coordinator::groups::{Event, Reply as GroupReply};

use crate::context::RequestContext;
use crate::groups::error_code;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DeleteGroupsRequest,
) -> Reply<DeleteGroupsResponse> {
    let mut seen = HashSet::new();
    let answers: Vec<_> = request
        .groups_names
        .into_iter()
        // Named twice, deleted and answered once.
        .filter(|group| seen.insert(group.clone()))
        .map(|group| {
            let group_id = group.to_string();
            let answer = ctx
                .broker
                .groups
                .submit(&group, |ticket| Event::DeleteGroup { ticket, group_id });
            (group, answer)
        })
        .collect();
    Reply::later(async move {
        let mut results = Vec::with_capacity(answers.len());
        for (group, answer) in answers {
            let result = match answer.await {
                Ok(GroupReply::DeleteGroup(result)) => result,
                Ok(_) => Err(ResponseError::UnknownServerError),
                Err(error) => Err(error),
            };
            results.push(
                DeletableGroupResult::default()
                    .with_group_id(group)
                    .with_error_code(error_code(&result)),
            );
        }
        DeleteGroupsResponse::default().with_results(results)
    })
}
