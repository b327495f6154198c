//! UpdateFeatures (KIP-584): each feature has one level, so nothing is ever changed.

use ottla_codec::messages::update_features_request::FeatureUpdateKey;
use ottla_codec::messages::update_features_response::UpdatableFeatureResult;
use ottla_codec::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use ottla_codec::{ResponseError, StrBytes};

use crate::context::RequestContext;
use crate::features;
use crate::reply::Reply;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Handles one request. As in Kafka, one update that cannot be made is an error of the whole.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: UpdateFeaturesRequest,
) -> Reply<UpdateFeaturesResponse> {
    let updates = &request.feature_updates;
    let refused = updates.iter().find_map(|update| {
        let reason = reason_against(update, ctx.version)?;
        Some(format!(
            "Invalid update version {} for feature {}. {reason}",
            update.max_version_level, &*update.feature
        ))
    });
    let response = UpdateFeaturesResponse::default().with_error_message(None);
    if let Some(message) = refused {
        return Reply::Now(
            response
                .with_error_code(ResponseError::InvalidUpdateVersion.code())
                .with_error_message(Some(StrBytes::from_string(format!(
                    "The update failed for all features since the following feature had an error: {message}"
                )))),
        );
    }
    if ctx.version >= 2 {
        return Reply::Now(response);
    }
    let results = updates
        .iter()
        .map(|update| UpdatableFeatureResult::default().with_feature(update.feature.clone()));
    Reply::Now(response.with_results(results.collect()))
}

/// Why a feature cannot have that level; `None` if it has it.
fn reason_against(update: &FeatureUpdateKey, version: i16) -> Option<String> {
    let upgrade = match (version, update.allow_downgrade) {
        (0, true) => SAFE_DOWNGRADE,
        (0, false) => UPGRADE,
        _ => update.upgrade_type,
    };
    let asked = update.max_version_level;
    if !matches!(upgrade, UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE) {
        return Some("The controller does not support the given upgrade type.".to_owned());
    }
    if asked < 0 {
        return Some("A feature version cannot be less than 0.".to_owned());
    }
    match features::by_name(&update.feature) {
        None => Some("This broker does not support this feature.".to_owned()),
        Some(feature) if asked != feature.level => Some(format!(
            "This broker only supports version {}.",
            feature.level
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_stays_at_its_level() {
        let reason = |name: &'static str, level, upgrade_type| {
            let update = FeatureUpdateKey::default()
                .with_feature(StrBytes::from_static_str(name))
                .with_max_version_level(level)
                .with_upgrade_type(upgrade_type);
            reason_against(&update, 1)
        };
        let feature = features::FEATURES[0];
        assert_eq!(reason(feature.name, feature.level, UPGRADE), None);
        for (name, level, upgrade_type, said) in [
            (feature.name, feature.level + 1, UPGRADE, "only supports"),
            (
                feature.name,
                feature.level - 1,
                UNSAFE_DOWNGRADE,
                "only supports",
            ),
            (feature.name, -1, UPGRADE, "less than 0"),
            (feature.name, feature.level, 9, "upgrade type"),
            ("no.such.feature", 1, UPGRADE, "not support this feature"),
        ] {
            let reason = reason(name, level, upgrade_type).unwrap_or_default();
            assert!(reason.contains(said), "{name} {level}: {reason}");
        }
    }
}
