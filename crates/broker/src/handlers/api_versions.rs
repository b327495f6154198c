//! ApiVersions (KIP-35, KIP-511): the table of APIs, as the codec has it.

use ottla_codec::api::Api;
use ottla_codec::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_codec::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::client_software::ClientSoftware;
use crate::context::RequestContext;
use crate::dispatch::encode;
use crate::features::{self, FEATURES, Feature};
use crate::reply::{Outcome, Reply};

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ApiVersionsRequest,
) -> Reply<ApiVersionsResponse> {
    // From version 3 on, in which the names came.
    if ctx.version >= 3 {
        let (name, version) = (
            request.client_software_name,
            request.client_software_version,
        );
        let Some(software) = ClientSoftware::new(name, version) else {
            return Reply::Now(
                ApiVersionsResponse::default()
                    .with_error_code(ResponseError::InvalidRequest.code()),
            );
        };
        // A second one on the same connection says the same.
        let _ = ctx.connection.software.set(software);
    }
    let shown = |api: &&Api| match api {
        // Clients that see these ask what to push as soon as they connect, so that they are there once there is something to.
        Api::GetTelemetrySubscriptions | Api::PushTelemetry => {
            ctx.broker.client_telemetry.is_wanted()
        }
        _ => true,
    };
    let rows = Api::ALL.iter().filter(shown).map(row);
    let response = ApiVersionsResponse::default().with_api_keys(rows.collect());
    if ctx.version < 3 {
        return Reply::Now(response);
    }
    Reply::Now(
        response
            .with_supported_features(FEATURES.iter().map(supported).collect())
            .with_finalized_features_epoch(features::EPOCH)
            .with_finalized_features(FEATURES.iter().map(finalized).collect()),
    )
}

/// The answer to a version that is too new: a body of version 0 with the range of ApiVersions alone, which tells the
/// client what to ask again (KIP-511). The connection lives on.
pub(crate) fn unsupported(correlation_id: i32) -> Outcome {
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(vec![row(&Api::ApiVersions)]);
    encode(Api::ApiVersions, 0, correlation_id, response)
}

fn supported(feature: &Feature) -> SupportedFeatureKey {
    SupportedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version(feature.level)
        .with_max_version(feature.level)
}

fn finalized(feature: &Feature) -> FinalizedFeatureKey {
    FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version_level(feature.level)
        .with_max_version_level(feature.level)
}

fn row(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(*api as i16)
        .with_min_version(api.advertised_min())
        .with_max_version(*api.versions().end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn produce_is_shown_from_version_0() {
        let produce = row(&Api::Produce);
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
}
