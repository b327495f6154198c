//! CreatePartitions: topics grow, never shrink.

use std::collections::BTreeSet;

use ottla_codec::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_codec::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::config_changes::invalid_request;
use crate::context::RequestContext;
use crate::durable::all_kept;
use crate::errors::Refusal;
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
        .map(|(_, outcome)| match outcome {
            Ok(commit) => *commit,
            // The partitions that are there may still be on their way to the disk, and come to nothing.
            Err(refusal) if has_them(refusal) => ctx.broker.store.unsettled(),
            Err(_) => None,
        })
        .collect();
    let kept = all_kept(&ctx.broker.store, commits, request.timeout_ms);
    Reply::later(async move {
        let kept = kept.await;
        let results = results
            .into_iter()
            .map(|(name, outcome)| {
                let result = CreatePartitionsTopicResult::default().with_name(name);
                let outcome = match (&kept, outcome) {
                    (Err(lost), Ok(Some(_))) => Err(lost.clone()),
                    (Err(lost), Err(refusal)) if has_them(&refusal) => Err(lost.clone()),
                    (_, outcome) => outcome,
                };
                match outcome {
                    Ok(_) => result,
                    Err(refusal) => result
                        .with_error_code(refusal.error.code())
                        .with_error_message(Some(StrBytes::from_string(refusal.message))),
                }
            })
            .collect();
        CreatePartitionsResponse::default().with_results(results)
    })
}

/// Whether a topic cannot grow for the partitions it has.
fn has_them(refusal: &Refusal) -> bool {
    refusal.error == ResponseError::InvalidPartitions
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use kafka_protocol::protocol::{Encodable, Request};
    use ottla_codec::messages::create_partitions_request::CreatePartitionsTopic;
    use ottla_codec::messages::create_topics_request::CreatableTopic;
    use ottla_codec::messages::{CreateTopicsRequest, TopicName};

    use super::*;
    use crate::simulated::{Connection, Simulated};

    /// Asks in a flexible version; the answer, once what waits for the disk has come about.
    fn ask<R: Request + Encodable>(
        broker: &mut Simulated,
        connection: &mut Connection,
        version: i16,
        request: &R,
    ) -> R::Response {
        connection.send_request(version, request);
        broker.settle();
        broker.enter(|| connection.take_response::<R>(version))
    }

    #[test]
    fn partitions_whose_sync_failed_are_not_said_to_be_there() {
        let mut broker = Simulated::start(1, &[]).unwrap();
        let mut connection = broker.connect();
        let name = TopicName(StrBytes::from_static_str("t"));
        let topic = CreatableTopic::default()
            .with_name(name.clone())
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let made = ask(&mut broker, &mut connection, 5, &request);
        assert_eq!(made.topics[0].error_code, 0);

        broker.fail_next_sync();
        let topic = CreatePartitionsTopic::default()
            .with_name(name)
            .with_count(3)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        for _ in 0..2 {
            let grown = ask(&mut broker, &mut connection, 2, &request);
            let error = ResponseError::KafkaStorageError.code();
            assert_eq!(grown.results[0].error_code, error);
        }
    }
}
