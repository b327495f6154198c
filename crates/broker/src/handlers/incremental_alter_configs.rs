//! IncrementalAlterConfigs (KIP-339): single settings are set, put back, appended to or taken from.

use ottla_codec::messages::incremental_alter_configs_request::AlterableConfig;
use ottla_codec::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_codec::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::config_changes::{Asked, change_each, invalid_request};
use crate::context::RequestContext;
use crate::errors::Refusal;
use crate::reply::Reply;
use crate::settings::{Alteration, Changes};

const DELETE: i8 = 1;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> Reply<IncrementalAlterConfigsResponse> {
    let asked = request
        .resources
        .iter()
        .map(|resource| Asked {
            kind: resource.resource_type,
            name: &resource.resource_name,
            settings: resource
                .configs
                .iter()
                .map(|config| {
                    let needs_value = config.config_operation != DELETE;
                    (&*config.name, needs_value && config.value.is_none())
                })
                .collect(),
            changes: resource
                .configs
                .iter()
                .map(alteration)
                .collect::<Result<_, _>>()
                .map(Changes::Some),
        })
        .collect();
    let answers = change_each(&ctx.broker, asked, request.validate_only);
    Reply::later(async move {
        let responses = answers
            .await
            .into_iter()
            .map(|(kind, name, code, message)| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_error_code(code)
                    .with_error_message(message)
            });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    })
}

fn alteration(config: &AlterableConfig) -> Result<(String, Alteration), Refusal> {
    let value = config
        .value
        .as_ref()
        .map(|value| value.to_string())
        .unwrap_or_default();
    let alteration = match config.config_operation {
        0 => Alteration::Set(value),
        DELETE => Alteration::Delete,
        2 => Alteration::Append(value),
        3 => Alteration::Subtract(value),
        other => return Err(invalid_request(format!("Unknown operations type {other}"))),
    };
    Ok((config.name.to_string(), alteration))
}
