//! AlterConfigs, the older call: what it names is set, everything else of the resource goes back to its default.

use ottla_codec::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_codec::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::config_changes::{answers, change, check_shape, repeated};
use crate::context::RequestContext;
use crate::reply::Reply;
use crate::settings::Changes;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: AlterConfigsRequest,
) -> Reply<AlterConfigsResponse> {
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
            let settings = resource
                .configs
                .iter()
                .map(|config| (&*config.name, config.value.is_none()));
            let outcome = check_shape(repeated.contains(&(kind, name)), settings).and_then(|()| {
                let values = resource
                    .configs
                    .iter()
                    .filter_map(|config| {
                        Some((config.name.to_string(), config.value.as_ref()?.to_string()))
                    })
                    .collect();
                change(
                    &ctx.broker,
                    kind,
                    name,
                    &Changes::All(values),
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
        AlterConfigsResponse::default().with_responses(responses.collect())
    })
}
