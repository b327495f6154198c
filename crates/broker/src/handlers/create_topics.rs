//! CreateTopics: each topic is checked and made by itself; the answer waits until what was made is durable.

use std::collections::BTreeMap;

use ottla_codec::messages::create_topics_request::CreatableTopic;
use ottla_codec::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_codec::messages::{CreateTopicsRequest, CreateTopicsResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::config_changes::invalid_request;
use crate::context::RequestContext;
use crate::durable::all_kept;
use crate::errors::Refusal;
use crate::reply::Reply;
use crate::settings::Settings;
use crate::topics::{
    CLUSTER_METADATA, Created, Layout, MAX_NEW_PARTITIONS, TopicSpec, too_many_partitions,
};

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: CreateTopicsRequest,
) -> Reply<CreateTopicsResponse> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.to_string()).or_default() += 1;
    }
    let asked: i64 = request
        .topics
        .iter()
        .map(|topic| i64::from(topic.num_partitions.max(1)))
        .sum();
    let mut results = Vec::new();
    for topic in &request.topics {
        let name = topic.name.to_string();
        let outcome = match times.get_mut(&name) {
            // A name that is there twice is answered once.
            None | Some(0) => continue,
            Some(count) if *count > 1 => {
                *count = 0;
                Err(invalid_request("Duplicate topic name."))
            }
            Some(_) if asked > MAX_NEW_PARTITIONS => Err(too_many_partitions()),
            Some(_) => create(ctx, topic, request.validate_only),
        };
        results.push((topic.name.clone(), outcome));
    }
    let commits = results
        .iter()
        .map(|(_, outcome)| match outcome {
            Ok(created) => created.commit,
            // What is there may still be on its way to the disk, and come to nothing.
            Err(refusal) if is_there(refusal) => ctx.broker.store.unsettled(),
            Err(_) => None,
        })
        .collect();
    let kept = all_kept(&ctx.broker.store, commits, request.timeout_ms);
    let (settings, version) = (ctx.broker.settings.clone(), ctx.version);
    Reply::later(async move {
        let kept = kept.await;
        let topics = results
            .into_iter()
            .map(|(name, outcome)| {
                let waited = match &outcome {
                    Ok(created) => created.commit.is_some(),
                    Err(refusal) => is_there(refusal),
                };
                let outcome = match &kept {
                    Err(refusal) if waited => Err(refusal.clone()),
                    _ => outcome,
                };
                match outcome {
                    Ok(created) => success(&settings, version, &created).with_name(name),
                    Err(refusal) => failure(&refusal).with_name(name),
                }
            })
            .collect();
        CreateTopicsResponse::default().with_topics(topics)
    })
}

fn create(
    ctx: &RequestContext,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<Created, Refusal> {
    if &**topic.name == CLUSTER_METADATA {
        return Err(invalid_request(format!(
            "Creation of internal topic {CLUSTER_METADATA} is prohibited."
        )));
    }
    let nulls: Vec<&str> = topic
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| &*config.name)
        .collect();
    if !nulls.is_empty() {
        let message = format!(
            "Null value not supported for topic configs: {}",
            nulls.join(",")
        );
        return Err(Refusal::new(ResponseError::InvalidConfig, message));
    }
    let layout = if topic.assignments.is_empty() {
        Layout::Counts {
            partitions: topic.num_partitions,
            replication_factor: topic.replication_factor,
        }
    } else if topic.replication_factor != -1 {
        return Err(invalid_request(
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    } else if topic.num_partitions != -1 {
        return Err(invalid_request(
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    } else {
        let brokers = |ids: &[ottla_codec::messages::BrokerId]| ids.iter().map(|id| id.0).collect();
        Layout::Manual(
            topic
                .assignments
                .iter()
                .map(|a| (a.partition_index, brokers(&a.broker_ids)))
                .collect(),
        )
    };
    let configs = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    ctx.broker.topics.create(
        TopicSpec {
            name: topic.name.to_string(),
            layout,
            configs,
        },
        validate_only,
    )
}

fn is_there(refusal: &Refusal) -> bool {
    refusal.error == ResponseError::TopicAlreadyExists
}

fn failure(refusal: &Refusal) -> CreatableTopicResult {
    // The Java AdminClient reads the list of settings without asking whether it is there.
    CreatableTopicResult::default()
        .with_error_code(refusal.error.code())
        .with_error_message(Some(StrBytes::from_string(refusal.message.clone())))
        .with_configs(Some(Vec::new()))
}

fn success(settings: &Settings, version: i16, created: &Created) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_error_message(None);
    if version < 5 {
        return result;
    }
    let configs = settings
        .describe_topic(&created.configs)
        .into_iter()
        .map(|row| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_static_str(row.definition.name))
                .with_value(row.value.map(StrBytes::from_string))
                .with_read_only(row.read_only)
                .with_config_source(row.source as i8)
                .with_is_sensitive(row.definition.is_sensitive())
        })
        .collect();
    result
        .with_topic_id(created.id)
        .with_num_partitions(created.partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;
    use crate::settings::{BrokerConfig, Values};

    #[test]
    fn an_answer_can_be_encoded_in_every_version_and_lists_settings_from_5_on() {
        let config = BrokerConfig {
            data_dir: PathBuf::from("data"),
            values: Values::new(),
        };
        let settings = Settings::new(&config).expect("defaults are valid");
        let configs = Values::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let created = Created {
            id: uuid::Uuid::from_u128(7),
            partitions: 3,
            configs,
            commit: None,
        };
        for version in Api::CreateTopics.versions() {
            let made = success(&settings, version, &created);
            if version >= 5 {
                let configs = made.configs.as_ref().expect("is there");
                let policy = configs
                    .iter()
                    .find(|config| &*config.name == "cleanup.policy")
                    .expect("is listed");
                assert_eq!(
                    (policy.value.as_deref(), policy.config_source),
                    (Some("compact"), 1)
                );
                assert_eq!((made.num_partitions, made.replication_factor), (3, 1));
            }
            let refused = failure(&Refusal::new(ResponseError::InvalidConfig, "why"));
            let response = CreateTopicsResponse::default().with_topics(vec![made, refused]);
            response
                .encode(&mut BytesMut::new(), version)
                .expect("every field fits the version");
        }
    }
}
