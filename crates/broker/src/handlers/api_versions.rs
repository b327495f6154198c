//! ApiVersions (KIP-35, KIP-511): the table of APIs, as the codec has it.

use ottla_codec::api::Api;
use ottla_codec::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_codec::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::{ClientSoftware, RequestContext};
use crate::dispatch::encode;
use crate::features::{self, FEATURES, Feature};
use crate::reply::{Outcome, Reply};

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ApiVersionsRequest,
) -> Reply<ApiVersionsResponse> {
    // Names are checked from version 3 on, in which they came.
    if ctx.version >= 3
        && !(is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version))
    {
        return Reply::Now(
            ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code()),
        );
    }
    if ctx.version >= 3 {
        // A second one on the same connection says the same.
        let _ = ctx.connection.software.set(ClientSoftware {
            name: request.client_software_name,
            version: request.client_software_version,
        });
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

/// As KIP-511 has it: letters and digits at both ends, `-` and `.` between.
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends_well = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_client_software_are_checked_as_in_kip_511() {
        for good in ["a", "apache-kafka-java", "librdkafka", "2.3.0-RC1"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }

    #[test]
    fn produce_is_shown_from_version_0() {
        let produce = row(&Api::Produce);
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
}
