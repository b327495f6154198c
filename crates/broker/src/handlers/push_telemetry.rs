//! PushTelemetry (KIP-714): what a client measured. It is checked, counted, logged at level DEBUG, and not kept.

use ottla_codec::messages::{PushTelemetryRequest, PushTelemetryResponse};

use super::get_telemetry_subscriptions::client;
use crate::client_telemetry::{Push, kafka_text};
use crate::clock::wall_ms;
use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: PushTelemetryRequest,
) -> Reply<PushTelemetryResponse> {
    let broker = &ctx.broker;
    let max_bytes = broker.settings.current().telemetry_max_bytes;
    let push = Push {
        instance: request.client_instance_id,
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        compression: request.compression_type,
        metrics: &request.metrics,
        max_bytes: usize::try_from(max_bytes).unwrap_or_default(),
    };
    let pushed = broker.client_telemetry.push(push, client(ctx), wall_ms());
    let response = PushTelemetryResponse::default();
    let measured = match pushed {
        Err(error) => return Reply::Now(response.with_error_code(error.code())),
        Ok(measured) => measured,
    };
    let counted = &broker.metrics.client_telemetry;
    counted.pushes.add(1);
    counted.metrics.add(measured.metrics);
    counted.points.add(measured.points);
    let instance = kafka_text(request.client_instance_id);
    for (metric, value) in &measured.shown {
        tracing::debug!(
            target: "ottla_broker::client_telemetry",
            client = %ctx.client_name(),
            %instance,
            %metric,
            value,
            "client metric"
        );
    }
    Reply::Now(response)
}
