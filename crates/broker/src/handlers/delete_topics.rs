//! DeleteTopics: by name, or by id (KIP-516). Committed offsets of a deleted topic go with it.

use std::collections::BTreeSet;

use ottla_codec::messages::delete_topics_response::DeletableTopicResult;
use ottla_codec::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use ottla_codec::{ResponseError, StrBytes};
use ottla_storage::{Commit, TopicId};

use crate::config_changes::invalid_request;
use crate::context::RequestContext;
use crate::durable::all_kept;
use crate::errors::Refusal;
use crate::reply::Reply;

/// What a request asks to delete.
#[derive(Debug, Clone)]
struct Asked {
    name: Option<TopicName>,
    id: TopicId,
}

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DeleteTopicsRequest,
) -> Reply<DeleteTopicsResponse> {
    let asked = request
        .topics
        .into_iter()
        .map(|topic| Asked {
            name: topic.name,
            id: topic.topic_id,
        })
        .chain(request.topic_names.into_iter().map(|name| Asked {
            name: Some(name),
            id: TopicId::nil(),
        }));
    let results = delete_all(ctx, asked.collect());
    let commits = results
        .iter()
        .map(|(_, outcome)| match outcome {
            Ok(commit) => *commit,
            // A deletion that is still on its way to the disk may come to nothing.
            Err(refusal) if is_gone(refusal) => ctx.broker.store.unsettled(),
            Err(_) => None,
        })
        .collect();
    let kept = all_kept(&ctx.broker.store, commits, request.timeout_ms);
    let version = ctx.version;
    Reply::later(async move {
        let kept = kept.await;
        let responses = results
            .into_iter()
            .map(|(asked, outcome)| {
                let outcome = match outcome {
                    Err(refusal) if !is_gone(&refusal) => Err(refusal),
                    outcome => kept.clone().and_then(|()| outcome.map(|_| ())),
                };
                answer(version, asked, outcome)
            })
            .collect();
        DeleteTopicsResponse::default().with_responses(responses)
    })
}

fn is_gone(refusal: &Refusal) -> bool {
    matches!(
        refusal.error,
        ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId
    )
}

fn delete_all(
    ctx: &RequestContext,
    asked: Vec<Asked>,
) -> Vec<(Asked, Result<Option<Commit>, Refusal>)> {
    if !ctx.broker.settings.current().delete_topic_enable {
        let refusal = if ctx.version < 3 {
            invalid_request("Topic deletion is disabled.")
        } else {
            Refusal::new(
                ResponseError::TopicDeletionDisabled,
                "Topic deletion is disabled.",
            )
        };
        return asked
            .into_iter()
            .map(|asked| (asked, Err(refusal.clone())))
            .collect();
    }
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    let key = |asked: &Asked| (asked.name.as_ref().map(|name| name.to_string()), asked.id);
    for one in &asked {
        if !seen.insert(key(one)) {
            repeated.insert(key(one));
        }
    }
    let mut answered = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    asked
        .into_iter()
        .filter_map(|one| {
            // What is there twice is answered once, and not deleted.
            if repeated.contains(&key(&one)) {
                let what = if one.name.is_some() { "name" } else { "id" };
                let refusal = invalid_request(format!("Duplicate topic {what}."));
                return answered.insert(key(&one)).then_some((one, Err(refusal)));
            }
            Some(delete_one(ctx, one, &mut deleted))
        })
        .collect()
}

fn delete_one(
    ctx: &RequestContext,
    mut asked: Asked,
    deleted: &mut BTreeSet<TopicId>,
) -> (Asked, Result<Option<Commit>, Refusal>) {
    let topics = &ctx.broker.topics;
    let found = match (&asked.name, asked.id.is_nil()) {
        (None, true) => {
            return (
                asked,
                Err(invalid_request("Neither topic name nor id were specified.")),
            );
        }
        (Some(_), false) => {
            return (
                asked,
                Err(invalid_request(
                    "You may not specify both topic name and topic id.",
                )),
            );
        }
        (Some(name), true) => topics.by_name(name).ok_or((
            ResponseError::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        )),
        (None, false) => topics.by_id(&asked.id).ok_or((
            ResponseError::UnknownTopicId,
            "This server does not host this topic ID.",
        )),
    };
    let topic = match found {
        Ok(topic) => topic,
        Err((error, message)) => return (asked, Err(Refusal::new(error, message))),
    };
    asked = Asked {
        name: Some(TopicName(StrBytes::from_string(topic.name.to_string()))),
        id: topic.id,
    };
    if !deleted.insert(topic.id) {
        return (
            asked,
            Err(invalid_request(
                "The provided topic name maps to an ID that was already supplied.",
            )),
        );
    }
    let outcome = topics.delete(&topic.id);
    if outcome.is_ok() {
        ctx.broker.groups.topic_deleted(&topic.name);
    }
    (asked, outcome)
}

fn answer(version: i16, asked: Asked, outcome: Result<(), Refusal>) -> DeletableTopicResult {
    let mut result = DeletableTopicResult::default().with_name(asked.name);
    if version >= 6 {
        result = result.with_topic_id(asked.id);
    }
    match outcome {
        Ok(()) => result,
        Err(refusal) => {
            let result = result.with_error_code(refusal.error.code());
            if version >= 5 {
                result.with_error_message(Some(StrBytes::from_string(refusal.message)))
            } else {
                result
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;

    #[test]
    fn an_answer_can_be_encoded_in_every_version() {
        for version in Api::DeleteTopics.versions() {
            let asked = Asked {
                name: Some(TopicName(StrBytes::from_static_str("t"))),
                id: TopicId::from_u128(1),
            };
            let refused = Err(Refusal::new(ResponseError::UnknownTopicOrPartition, "why"));
            let responses = vec![
                answer(version, asked.clone(), Ok(())),
                answer(version, asked, refused),
            ];
            assert_eq!(responses[1].error_message.is_some(), version >= 5);
            let response = DeleteTopicsResponse::default().with_responses(responses);
            response
                .encode(&mut BytesMut::new(), version)
                .expect("every field fits the version");
        }
    }
}
