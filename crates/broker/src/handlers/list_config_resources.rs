//! ListConfigResources (KIP-1142): names of what has settings. Version 0 lists client metrics alone.

use ottla_codec::messages::list_config_resources_response::ConfigResource;
use ottla_codec::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::config_changes::resource;
use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ListConfigResourcesRequest,
) -> Reply<ListConfigResourcesResponse> {
    const KNOWN: [i8; 5] = [
        resource::TOPIC,
        resource::BROKER,
        resource::BROKER_LOGGER,
        resource::CLIENT_METRICS,
        resource::GROUP,
    ];
    let types: &[i8] = match (ctx.version, request.resource_types.as_slice()) {
        (0, _) => &[resource::CLIENT_METRICS],
        (_, []) => &KNOWN,
        (_, types) => types,
    };
    if types.iter().any(|kind| !KNOWN.contains(kind)) {
        let response = ListConfigResourcesResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code());
        return Reply::Now(response);
    }
    let one = |kind, name: String| {
        ConfigResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name))
    };
    let mut resources = Vec::new();
    if types.contains(&resource::TOPIC) {
        resources.extend(
            ctx.broker
                .store
                .topics()
                .iter()
                .map(|topic| one(resource::TOPIC, topic.name.to_string())),
        );
    }
    if types.contains(&resource::BROKER) {
        resources.push(one(
            resource::BROKER,
            ctx.broker.cluster.node_id.to_string(),
        ));
    }
    if types.contains(&resource::BROKER_LOGGER) {
        resources.push(one(
            resource::BROKER_LOGGER,
            ctx.broker.cluster.node_id.to_string(),
        ));
    }
    if types.contains(&resource::CLIENT_METRICS) {
        // Version 0 has nothing else to tell apart, and no field for it.
        let kind = match ctx.version {
            0 => ConfigResource::default().resource_type,
            _ => resource::CLIENT_METRICS,
        };
        let subscriptions = ctx.broker.settings.client_metrics_names();
        resources.extend(subscriptions.iter().map(|name| one(kind, name.to_string())));
    }
    if types.contains(&resource::GROUP) {
        let groups = ctx.broker.settings.groups_with_settings();
        resources.extend(
            groups
                .iter()
                .map(|group| one(resource::GROUP, group.to_string())),
        );
    }
    Reply::Now(ListConfigResourcesResponse::default().with_config_resources(resources))
}
