//! AlterConfigs, the older call: what it names is set, everything else of the resource goes back to its default.

use ottla_codec::messages::alter_configs_request::AlterableConfig;
use ottla_codec::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_codec::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::config_changes::{Asked, change_each};
use crate::context::RequestContext;
use crate::reply::Reply;
use crate::settings::Changes;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: AlterConfigsRequest,
) -> Reply<AlterConfigsResponse> {
    let asked = request
        .resources
        .iter()
        .map(|resource| Asked {
            kind: resource.resource_type,
            name: &resource.resource_name,
            settings: resource
                .configs
                .iter()
                .map(|config| (&*config.name, config.value.is_none()))
                .collect(),
            changes: Ok(Changes::All(
                resource.configs.iter().filter_map(setting).collect(),
            )),
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
        AlterConfigsResponse::default().with_responses(responses.collect())
    })
}

fn setting(config: &AlterableConfig) -> Option<(String, String)> {
    Some((config.name.to_string(), config.value.as_ref()?.to_string()))
}
