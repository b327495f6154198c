//! DescribeConfigs: every setting of a topic, a broker, a group, a subscription of client metrics or the log, with where its value comes from (KIP-133, KIP-226, KIP-569).

use ottla_codec::messages::describe_configs_request::DescribeConfigsResource;
use ottla_codec::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_codec::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::config_changes::{broker_target, invalid_request, resource, the_log};
use crate::context::RequestContext;
use crate::errors::Refusal;
use crate::reply::Reply;
use crate::settings::{BrokerTarget, Described};
use crate::state::BrokerState;
use crate::topics::validate_name;

/// What is shown beside name and value.
#[derive(Clone, Copy)]
struct Shown {
    synonyms: bool,
    types: bool,
    documentation: bool,
}

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeConfigsRequest,
) -> Reply<DescribeConfigsResponse> {
    let shown = Shown {
        synonyms: request.include_synonyms,
        types: ctx.version >= 3,
        documentation: ctx.version >= 3 && request.include_documentation,
    };
    let results = request
        .resources
        .into_iter()
        .map(|asked| describe(&ctx.broker, asked, shown))
        .collect();
    Reply::Now(DescribeConfigsResponse::default().with_results(results))
}

fn describe(
    broker: &BrokerState,
    asked: DescribeConfigsResource,
    shown: Shown,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default().with_resource_type(asked.resource_type);
    let entries = match asked.resource_type {
        resource::BROKER_LOGGER => levels(broker, &asked.resource_name),
        kind => settings_of(broker, kind, &asked.resource_name)
            .map(|rows| rows.into_iter().map(|row| entry(row, shown)).collect()),
    };
    let result = match entries {
        Ok(mut entries) => {
            // Kafka takes an empty list of names like none at all: everything.
            if let Some(keys) = asked.configuration_keys.filter(|keys| !keys.is_empty()) {
                entries.retain(|entry| keys.contains(&entry.name));
            }
            result.with_configs(entries)
        }
        Err(refusal) => result
            .with_error_code(refusal.error.code())
            .with_error_message(Some(StrBytes::from_string(refusal.message))),
    };
    result.with_resource_name(asked.resource_name)
}

fn settings_of(broker: &BrokerState, kind: i8, name: &str) -> Result<Vec<Described>, Refusal> {
    match kind {
        resource::TOPIC => {
            validate_name(name)?;
            let topic = broker.topics.by_name(name).ok_or_else(|| {
                Refusal::new(
                    ResponseError::UnknownTopicOrPartition,
                    format!("The topic '{name}' does not exist."),
                )
            })?;
            Ok(broker.settings.describe_topic(&topic.configs))
        }
        resource::BROKER => Ok(match broker_target(broker, name)? {
            BrokerTarget::Default => broker.settings.describe_broker_defaults(),
            BrokerTarget::This => broker.settings.describe_broker(),
        }),
        resource::GROUP if name.is_empty() => Err(invalid_request("Group name must not be empty")),
        resource::GROUP => Ok(broker.settings.describe_group(name)),
        resource::CLIENT_METRICS if name.is_empty() => Err(invalid_request(
            "Client metrics subscription name must not be empty",
        )),
        resource::CLIENT_METRICS => Ok(broker.settings.describe_client_metrics(name)),
        other => Err(invalid_request(format!(
            "Unsupported resource type: {}",
            resource::name(other)
        ))),
    }
}

/// The loggers, each with its level.
fn levels(broker: &BrokerState, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    /// DYNAMIC_BROKER_LOGGER_CONFIG.
    const SOURCE: i8 = 6;
    let entries = the_log(broker, name)?.all().into_iter();
    let entries = entries.map(|(logger, level)| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(logger))
            .with_value(Some(StrBytes::from_string(level)))
            .with_config_source(SOURCE)
    });
    Ok(entries.collect())
}

fn entry(row: Described, shown: Shown) -> DescribeConfigsResourceResult {
    let sensitive = row.definition.is_sensitive();
    let documentation = shown
        .documentation
        .then(|| StrBytes::from_string(row.documentation()));
    let mut result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(row.definition.name))
        .with_value(row.value.map(StrBytes::from_string))
        .with_read_only(row.read_only)
        .with_config_source(row.source as i8)
        .with_is_sensitive(sensitive)
        .with_documentation(documentation);
    if shown.types {
        result = result.with_config_type(row.definition.kind as i8);
    }
    if shown.synonyms {
        let synonym = |given: crate::settings::Given| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_string(given.name))
                .with_value((!sensitive).then(|| StrBytes::from_string(given.value)))
                .with_source(given.source as i8)
        };
        result = result.with_synonyms(row.synonyms.into_iter().map(synonym).collect());
    }
    result
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use ottla_codec::api::Api;

    use super::*;
    use crate::settings::{BrokerConfig, Settings, Values};

    #[test]
    fn an_answer_can_be_encoded_in_every_version_and_shows_what_was_asked_for() {
        let config = BrokerConfig {
            data_dir: PathBuf::from("data"),
            values: Values::new(),
        };
        let settings = Settings::new(&config).expect("defaults are valid");
        for version in Api::DescribeConfigs.versions() {
            for asked in [false, true] {
                let shown = Shown {
                    synonyms: asked,
                    types: version >= 3,
                    documentation: asked && version >= 3,
                };
                let configs: Vec<_> = settings
                    .describe_broker()
                    .into_iter()
                    .map(|row| entry(row, shown))
                    .collect();
                let node = configs
                    .iter()
                    .find(|config| &*config.name == "node.id")
                    .expect("is listed");
                assert_eq!(
                    (node.value.as_deref(), node.config_source, node.read_only),
                    (Some("1"), 5, true)
                );
                assert_eq!(node.synonyms.len(), usize::from(asked));
                assert_eq!(node.config_type, if version >= 3 { 3 } else { 0 });
                assert_eq!(node.documentation.is_some(), asked && version >= 3);
                let result = DescribeConfigsResult::default().with_configs(configs);
                let response = DescribeConfigsResponse::default().with_results(vec![result]);
                response
                    .encode(&mut BytesMut::new(), version)
                    .expect("every field fits the version");
            }
        }
    }
}
