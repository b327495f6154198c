//! GetTelemetrySubscriptions (KIP-714): what a client is to push.

use ottla_codec::StrBytes;
use ottla_codec::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};

use crate::client_telemetry::Client;
use crate::clock::wall_ms;
use crate::context::RequestContext;
use crate::reply::Reply;

/// zstd, lz4, gzip, snappy: the best first.
const COMPRESSION_TYPES: [i8; 4] = [4, 3, 1, 2];

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: GetTelemetrySubscriptionsRequest,
) -> Reply<GetTelemetrySubscriptionsResponse> {
    let broker = &ctx.broker;
    let told = broker
        .client_telemetry
        .get(request.client_instance_id, client(ctx), wall_ms());
    let response = GetTelemetrySubscriptionsResponse::default();
    Reply::Now(match told {
        Err(error) => response.with_error_code(error.code()),
        Ok(told) => response
            .with_client_instance_id(told.instance)
            .with_subscription_id(told.subscription_id)
            .with_accepted_compression_types(COMPRESSION_TYPES.to_vec())
            .with_push_interval_ms(told.interval_ms)
            .with_telemetry_max_bytes(broker.settings.current().telemetry_max_bytes)
            .with_delta_temporality(true)
            .with_requested_metrics(
                told.metrics
                    .into_iter()
                    .map(StrBytes::from_string)
                    .collect(),
            ),
    })
}

/// Who asks, as subscriptions choose clients.
pub(super) fn client(ctx: &RequestContext) -> Client {
    let software = ctx.connection.software.get();
    Client {
        id: ctx.client_id.as_deref().unwrap_or_default().to_owned(),
        software_name: software.map(|s| s.name.to_string()),
        software_version: software.map(|s| s.version.to_string()),
        peer: ctx.connection.peer,
        connection: ctx.connection.id,
    }
}
