//! CreatePartitions: topics grow, never shrink.

use std::collections::BTreeSet;

use ottla_codec::StrBytes;
use ottla_codec::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_codec::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::config_changes::invalid_request;
use crate::context::RequestContext;
use crate::durable::all_kept;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: CreatePartitionsRequest,
) -> Reply<CreatePartitionsResponse> {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<String> = request
        .topics
        .iter()
        .map(|topic| topic.name.to_string())
        .filter(|name| !seen.insert(name.clone()))
        .collect();
    let mut answered = BTreeSet::new();
    let mut results = Vec::new();
    for topic in request.topics {
        let name = topic.name.to_string();
        if repeated.contains(&name) {
            if answered.insert(name) {
                results.push((topic.name, Err(invalid_request("Duplicate topic name."))));
            }
            continue;
        }
        let assignments: Option<Vec<Vec<i32>>> = topic.assignments.map(|all| {
            all.iter()
                .map(|one| one.broker_ids.iter().map(|id| id.0).collect())
                .collect()
        });
        let outcome = ctx.broker.topics.grow(
            &name,
            topic.count,
            assignments.as_deref(),
            request.validate_only,
        );
        results.push((topic.name, outcome));
    }
    let commits = results
        .iter()
        .map(|(_, outcome)| *outcome.as_ref().unwrap_or(&None))
        .collect();
    let kept = all_kept(&ctx.broker.store, commits, request.timeout_ms);
    Reply::later(async move {
        let kept = kept.await;
        let results = results
            .into_iter()
            .map(|(name, outcome)| {
                let result = CreatePartitionsTopicResult::default().with_name(name);
                match outcome.and_then(|_| kept.clone()) {
                    Ok(()) => result,
                    Err(refusal) => result
                        .with_error_code(refusal.error.code())
                        .with_error_message(Some(StrBytes::from_string(refusal.message))),
                }
            })
            .collect();
        CreatePartitionsResponse::default().with_results(results)
    })
}
