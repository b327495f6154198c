//! Settings from environment variables, for containers and CI.

use std::collections::BTreeMap;
use std::ffi::OsString;

use ottla_broker::settings::is_broker_setting;

const PREFIX: &str = "OTTLA_";

/// The settings among `variables`: `OTTLA_NUM_PARTITIONS` is `num.partitions`, in the way of Kafka's images: one `_` for a dot,
/// two for a `_`, three for a `-`. Ottla's own go without their second `ottla`: `OTTLA_DURABILITY` is `ottla.durability`.
///
/// Variables that name no setting are left alone: others share the prefix (`OTTLA_BOOTSTRAP_SERVER`, those of the scripts). A
/// misspelt one of dead letters is handed on, so that the broker warns of it.
pub(super) fn settings(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, String> {
    variables
        .filter_map(|(name, value)| {
            let name = setting(name.to_str()?.strip_prefix(PREFIX)?)?;
            Some((name, value.into_string().ok()?))
        })
        .collect()
}

fn setting(variable: &str) -> Option<String> {
    // The longest first; what stands for them in between is in no variable's name.
    let name = variable
        .to_lowercase()
        .replace("___", "-")
        .replace("__", "\0")
        .replace('_', ".")
        .replace('\0', "_");
    let own = format!("ottla.{name}");
    if is_broker_setting(&own) {
        return Some(own);
    }
    (is_broker_setting(&name) || name.starts_with("dlq.")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_settings_by_the_rule_of_kafkas_images() {
        let given = [
            ("OTTLA_DLQ_MODE", "enforce"),
            ("OTTLA_DLQ_MAX_ATTEMPTS", "3"),
            ("OTTLA_NUM_PARTITIONS", "6"),
            ("OTTLA_DURABILITY", "os"),
            ("OTTLA_LISTENERS", "PLAINTEXT://:1"),
            ("OTTLA_DLQ_MOD", "off"),
            ("OTTLA_PORT", "9093"),
            ("OTTLA_BOOTSTRAP_SERVER", "elsewhere:9092"),
            ("OTTLA_SIM_SEED", "1"),
            ("OTTLA_", ""),
            ("NUM_PARTITIONS", "7"),
        ];
        let given = given.map(|(name, value)| (name.into(), value.into()));
        let expected = [
            ("dlq.max.attempts", "3"),
            ("dlq.mod", "off"),
            ("dlq.mode", "enforce"),
            ("listeners", "PLAINTEXT://:1"),
            ("num.partitions", "6"),
            ("ottla.durability", "os"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings(given.into_iter()), BTreeMap::from(expected));
    }
}
