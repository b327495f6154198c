//! Changing settings while the broker runs: the rules, and where dynamic broker settings are kept.

use bytes::Bytes;
use ottla_storage::{Commit, MetaOp, Store, StoreError, Tree};

use super::definition::{Definition, Kind, Update, list};
use super::layers::{Layers, Values};
use super::{Settings, table};

/// One change of one setting (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Alteration {
    Set(String),
    /// Back to the default.
    Delete,
    /// Elements added to a list, if they are not in it.
    Append(String),
    /// Elements taken out of a list.
    Subtract(String),
}

/// The changes of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changes {
    /// These settings change, the others stay (IncrementalAlterConfigs).
    Some(Vec<(String, Alteration)>),
    /// These are all that is set afterwards (AlterConfigs).
    All(Values),
}

/// The one setting of listeners that can change while the broker runs, for the broker by its id.
pub(crate) const ADVERTISED_LISTENERS: &str = "advertised.listeners";

/// Which dynamic broker settings change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerTarget {
    /// The defaults of all brokers: the resource with the empty name.
    Default,
    /// This broker.
    This,
}

/// Why a change is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum AlterError {
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    InvalidRequest(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Settings {
    /// A topic's own settings after `changes`, checked; the values as they are to be stored.
    pub(crate) fn altered_topic(
        &self,
        current: &Values,
        changes: &Changes,
    ) -> Result<Values, AlterError> {
        let changed = apply(current, changes, table::topic_setting)?;
        self.checked_topic(&changed)
    }

    /// Checks all of a topic's own settings, and gives them back as they are to be stored.
    pub(crate) fn checked_topic(&self, own: &Values) -> Result<Values, AlterError> {
        let mut checked = Values::new();
        for (name, value) in own {
            let Some(definition) = table::topic_setting(name) else {
                return Err(AlterError::InvalidConfig(unknown_name("topic", name)));
            };
            definition.check(value).map_err(AlterError::InvalidConfig)?;
            checked.insert(name.clone(), definition.normalize(value));
        }
        if checked
            .get("remote.storage.enable")
            .is_some_and(|value| value == "true")
        {
            return Err(AlterError::InvalidConfig(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                    .to_owned(),
            ));
        }
        let layers = self.layers();
        let number = |name| -> Option<i64> {
            layers
                .topic_value(table::topic_setting(name)?, &checked)?
                .parse()
                .ok()
        };
        if let (Some(min), Some(max)) = (
            number("min.compaction.lag.ms"),
            number("max.compaction.lag.ms"),
        ) && min > max
        {
            return Err(AlterError::InvalidConfig(format!(
                "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
            )));
        }
        Ok(checked)
    }

    /// Changes dynamic broker settings: checked, committed, in force when this returns. `None` if only validated.
    pub(crate) fn alter_broker(
        &self,
        store: &Store,
        target: BrokerTarget,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<Option<Commit>, AlterError> {
        let _one_at_a_time = self.changing.lock();
        let layers = self.layers();
        let current = match target {
            BrokerTarget::Default => &layers.cluster,
            BrokerTarget::This => &layers.per_broker,
        };
        let changed = checked_broker(&apply(current, changes, table::broker_setting)?, target)?;
        if validate_only {
            return Ok(None);
        }
        let key = self.key_of(target);
        let op = if changed.is_empty() {
            MetaOp::Delete {
                tree: Tree::Configs,
                key,
            }
        } else {
            let value = serde_json::to_vec(&changed).expect("a map of strings is JSON");
            MetaOp::Put {
                tree: Tree::Configs,
                key,
                value: Bytes::from(value),
            }
        };
        let commit = store.commit(vec![op])?;
        let mut new = Layers::clone(&layers);
        match target {
            BrokerTarget::Default => new.cluster = changed,
            BrokerTarget::This => new.per_broker = changed,
        }
        self.replace(new);
        store.refresh_log_configs();
        Ok(Some(commit))
    }

    /// Puts the stored dynamic settings in force. Called once, when the store is open. Values that this version does not take
    /// (any more) are left out with a warning.
    pub(crate) fn load_dynamic(&self, store: &Store) -> Result<(), StoreError> {
        let _one_at_a_time = self.changing.lock();
        let read = |target: BrokerTarget| -> Result<Values, StoreError> {
            let Some(bytes) = store.get(Tree::Configs, &self.key_of(target))? else {
                return Ok(Values::new());
            };
            let stored: Values = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "stored dynamic broker settings cannot be read and are left out");
                Values::new()
            });
            Ok(stored
                .into_iter()
                .filter(|(name, value)| {
                    let single = Values::from([(name.clone(), value.clone())]);
                    checked_broker(&single, target)
                        .inspect_err(
                            |error| tracing::warn!(%name, %error, "stored setting is left out"),
                        )
                        .is_ok()
                })
                .collect())
        };
        self.load_groups(store)?;
        self.load_client_metrics(store)?;
        let mut layers = Layers::clone(&self.layers());
        layers.cluster = read(BrokerTarget::Default)?;
        layers.per_broker = read(BrokerTarget::This)?;
        if !layers.cluster.is_empty() || !layers.per_broker.is_empty() {
            self.replace(layers);
            store.refresh_log_configs();
        }
        Ok(())
    }
}

impl Settings {
    fn key_of(&self, target: BrokerTarget) -> Bytes {
        broker_key(match target {
            BrokerTarget::Default => None,
            BrokerTarget::This => Some(self.current().node_id),
        })
    }
}

/// Where dynamic broker settings are kept: one value for each broker id, and one for the defaults.
fn broker_key(id: Option<i32>) -> Bytes {
    Bytes::from(id.map_or_else(|| "broker/".to_owned(), |id| format!("broker/{id}")))
}

fn checked_broker(own: &Values, target: BrokerTarget) -> Result<Values, AlterError> {
    let mut fixed = Vec::new();
    let mut checked = Values::new();
    for (name, value) in own {
        match table::broker_setting(name) {
            None if is_own(name) => {
                return Err(AlterError::InvalidConfig(unknown_name("broker", name)));
            }
            None => {
                return Err(AlterError::InvalidRequest(unknown_name("broker", name)));
            }
            // The listener's names are the caller's to check: which listeners there are is not known here.
            Some(definition) if name == ADVERTISED_LISTENERS => {
                if target == BrokerTarget::Default {
                    return Err(AlterError::InvalidRequest(format!(
                        "Cannot update these configs at default cluster level, broker id must be specified: {name}"
                    )));
                }
                checked.insert(name.clone(), definition.normalize(value));
            }
            // Listeners and their certificates: Kafka can change them while it runs, Ottla cannot.
            Some(definition) if definition.update != Update::ClusterWide => {
                fixed.push(name.as_str())
            }
            Some(definition) => {
                // Kafka answers INVALID_REQUEST for brokers, and INVALID_CONFIG for topics and groups.
                definition.check(value).map_err(if is_own(name) {
                    AlterError::InvalidConfig
                } else {
                    AlterError::InvalidRequest
                })?;
                checked.insert(name.clone(), definition.normalize(value));
            }
        }
    }
    if !fixed.is_empty() {
        return Err(AlterError::InvalidRequest(format!(
            "Cannot update these configs dynamically: {}",
            fixed.join(", ")
        )));
    }
    Ok(checked)
}

/// Whether a setting is one of dead letters, which Kafka does not have: what is wrong with it is INVALID_CONFIG at every level.
fn is_own(name: &str) -> bool {
    name.starts_with("dlq.")
}

/// What is said of a name that is in no table of this level (`topic`, `group`, `broker`).
pub(super) fn unknown_name(level: &str, name: &str) -> String {
    let mut message = format!("Unknown {level} config name: {name}");
    if is_own(name) {
        let mut known: Vec<_> = table::rows()
            .filter(|row| is_own(row.name) && row.scope.name() == level)
            .map(|row| row.name)
            .collect();
        known.sort_unstable();
        message.push_str(". Settings of dead letters are: ");
        message.push_str(&known.join(", "));
    }
    message
}

pub(super) fn apply(
    current: &Values,
    changes: &Changes,
    definition: fn(&str) -> Option<&'static Definition>,
) -> Result<Values, AlterError> {
    let changes = match changes {
        Changes::All(values) => return Ok(values.clone()),
        Changes::Some(changes) => changes,
    };
    let mut values = current.clone();
    for (name, alteration) in changes {
        match alteration {
            Alteration::Set(value) => {
                values.insert(name.clone(), value.clone());
            }
            Alteration::Delete => {
                values.remove(name);
            }
            Alteration::Append(elements) | Alteration::Subtract(elements) => {
                let appends = matches!(alteration, Alteration::Append(_));
                let definition = definition(name)
                    .filter(|definition| definition.kind == Kind::List)
                    .ok_or_else(|| {
                        AlterError::InvalidConfig(format!(
                            "Can't {} to key {name} because its type is not LIST.",
                            if appends { "APPEND" } else { "SUBTRACT" }
                        ))
                    })?;
                let old = current
                    .get(name)
                    .map(String::as_str)
                    .or(definition.default)
                    .unwrap_or("");
                let mut result: Vec<&str> = list(old).collect();
                for element in list(elements) {
                    if appends && !result.contains(&element) {
                        result.push(element);
                    } else if !appends {
                        result.retain(|present| *present != element);
                    }
                }
                values.insert(name.clone(), result.join(","));
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::BrokerConfig;

    fn settings() -> Settings {
        Settings::new(&BrokerConfig {
            data_dir: PathBuf::from("data"),
            values: Values::new(),
        })
        .expect("defaults are valid")
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn alterations_of_a_topic_give_its_new_settings_or_say_why_not() {
        use Alteration::{Append, Delete, Set, Subtract};
        let set = |value: &str| Set(value.to_owned());
        for (current, name, alteration, expected) in [
            (
                &[][..],
                "retention.ms",
                set(" -1 "),
                Ok(&[("retention.ms", "-1")][..]),
            ),
            (&[("retention.ms", "5")], "retention.ms", Delete, Ok(&[])),
            (
                &[],
                "cleanup.policy",
                Append("compact".into()),
                Ok(&[("cleanup.policy", "delete,compact")]),
            ),
            (
                &[("cleanup.policy", "compact")],
                "cleanup.policy",
                Append("compact,delete".into()),
                Ok(&[("cleanup.policy", "compact,delete")]),
            ),
            (
                &[("cleanup.policy", "compact,delete")],
                "cleanup.policy",
                Subtract("delete".into()),
                Ok(&[("cleanup.policy", "compact")]),
            ),
            (
                &[],
                "retention.ms",
                Append("5".into()),
                Err("Can't APPEND to key retention.ms because its type is not LIST."),
            ),
            (
                &[],
                "no.such",
                set("1"),
                Err("Unknown topic config name: no.such"),
            ),
            (
                &[],
                "retention.ms",
                set("-2"),
                Err("Invalid value -2 for configuration retention.ms: Value must be at least -1"),
            ),
            (
                &[("max.compaction.lag.ms", "5")],
                "min.compaction.lag.ms",
                set("6"),
                Err(
                    "conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)",
                ),
            ),
            (
                &[],
                "remote.storage.enable",
                set("TRUE"),
                Err(
                    "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
                ),
            ),
        ] {
            let changes = Changes::Some(vec![(name.to_owned(), alteration)]);
            let result = settings().altered_topic(&values(current), &changes);
            assert_eq!(
                result.map_err(|error| error.to_string()),
                expected.map(values).map_err(str::to_owned),
                "{name}"
            );
        }
    }

    #[test]
    fn only_settings_that_can_change_while_running_are_taken_for_brokers() {
        for (name, value, expected) in [
            ("message.max.bytes", "5", Ok(())),
            (
                "node.id",
                "2",
                Err("Cannot update these configs dynamically: node.id"),
            ),
            (
                "listeners",
                "PLAINTEXT://:1",
                Err("Cannot update these configs dynamically: listeners"),
            ),
            (
                "message.max.bytes",
                "x",
                Err(
                    "Invalid value x for configuration message.max.bytes: Not a number of type INT",
                ),
            ),
            ("no.such", "x", Err("Unknown broker config name: no.such")),
            (
                "advertised.listeners",
                "PLAINTEXT://kafka:1",
                Err(
                    "Cannot update these configs at default cluster level, broker id must be specified: advertised.listeners",
                ),
            ),
        ] {
            let result = checked_broker(&values(&[(name, value)]), BrokerTarget::Default)
                .map(drop)
                .map_err(|error| error.to_string());
            assert_eq!(result, expected.map_err(str::to_owned));
        }
    }
}
