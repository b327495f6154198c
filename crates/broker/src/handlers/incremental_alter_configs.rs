//! IncrementalAlterConfigs (KIP-339): single settings are set, put back, appended to or taken from.

use ottla_codec::messages::incremental_alter_configs_request::AlterableConfig;
use ottla_codec::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_codec::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::config_changes::{answers, change, check_shape, invalid_request, repeated};
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
    let repeated = repeated(
        request
            .resources
            .iter()
            .map(|r| (r.resource_type, &*r.resource_name)),
    );
    let outcomes: Vec<_> = request
        .resources
        .iter()
        .map(|resource| {
            let (kind, name) = (resource.resource_type, &*resource.resource_name);
            let settings = resource.configs.iter().map(|config| {
                (
                    &*config.name,
                    config.value.is_none() && config.config_operation != DELETE,
                )
            });
            let outcome = check_shape(repeated.contains(&(kind, name)), settings)
                .and_then(|()| {
                    resource
                        .configs
                        .iter()
                        .map(alteration)
                        .collect::<Result<Vec<_>, _>>()
                })
                .and_then(|changes| {
                    change(
                        &ctx.broker,
                        kind,
                        name,
                        &Changes::Some(changes),
                        request.validate_only,
                    )
                });
            (kind, resource.resource_name.clone(), outcome)
        })
        .collect();
    let answers = answers(&ctx.broker, outcomes);
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
