//! What AlterConfigs and IncrementalAlterConfigs share: which resources there are, and how a change of one is carried out.

use std::collections::BTreeSet;

use ottla_codec::{ResponseError, StrBytes};
use ottla_storage::Commit;

use crate::durable::all_kept;
use crate::errors::Refusal;
use crate::log_levels::{self, Change, LevelError, LogLevels};
use crate::settings::{ADVERTISED_LISTENERS, Alteration, BrokerTarget, Changes};
use crate::state::BrokerState;
use crate::topics::{refusal, validate_name};

/// A resource type's number in the protocol.
pub(crate) mod resource {
    pub const TOPIC: i8 = 2;
    pub const BROKER: i8 = 4;
    pub const BROKER_LOGGER: i8 = 8;
    pub const CLIENT_METRICS: i8 = 16;
    pub const GROUP: i8 = 32;

    /// The name that Kafka's messages use.
    pub fn name(kind: i8) -> String {
        match kind {
            TOPIC => "TOPIC".to_owned(),
            BROKER => "BROKER".to_owned(),
            BROKER_LOGGER => "BROKER_LOGGER".to_owned(),
            CLIENT_METRICS => "CLIENT_METRICS".to_owned(),
            GROUP => "GROUP".to_owned(),
            other => format!("UNKNOWN({other})"),
        }
    }
}

pub(crate) fn invalid_request(message: impl Into<String>) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, message)
}

/// What a request asks of one resource.
pub(crate) struct Asked<'a> {
    /// The resource's type, a number of [`resource`].
    pub kind: i8,
    pub name: &'a StrBytes,
    /// Each setting that is named, and whether it lacks a value that it needs.
    pub settings: Vec<(&'a str, bool)>,
    /// The changes, or why they are none that can be made.
    pub changes: Result<Changes, Refusal>,
}

/// What a resource is answered: its type, its name, the error code and message.
pub(crate) type Answer = (i8, StrBytes, i16, Option<StrBytes>);

/// Changes each resource by itself, at once. What is returned waits until the changes are kept, and says what each resource is
/// answered, in order.
pub(crate) fn change_each(
    broker: &BrokerState,
    asked: Vec<Asked<'_>>,
    validate_only: bool,
) -> impl Future<Output = Vec<Answer>> + Send + 'static + use<> {
    let repeated = repeated(asked.iter().map(|asked| (asked.kind, &**asked.name)));
    let outcomes: Vec<(i8, StrBytes, Result<Option<Commit>, Refusal>)> = asked
        .into_iter()
        .map(|asked| {
            let (kind, name) = (asked.kind, asked.name);
            let outcome = check_shape(repeated.contains(&(kind, &**name)), asked.settings)
                .and(asked.changes)
                .and_then(|changes| change(broker, kind, name, &changes, validate_only));
            (kind, name.clone(), outcome)
        })
        .collect();
    let commits = outcomes
        .iter()
        .map(|(_, _, outcome)| *outcome.as_ref().unwrap_or(&None))
        .collect();
    let kept = all_kept(&broker.store, commits, 0);
    async move {
        let kept = kept.await;
        outcomes
            .into_iter()
            .map(
                |(kind, name, outcome)| match outcome.and_then(|_| kept.clone()) {
                    Ok(()) => (kind, name, 0, None),
                    Err(refusal) => {
                        let message = StrBytes::from_string(refusal.message);
                        (kind, name, refusal.error.code(), Some(message))
                    }
                },
            )
            .collect()
    }
}

/// The resources that a request names more than once. None of them is changed.
fn repeated<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> BTreeSet<(i8, &'a str)> {
    let mut seen = BTreeSet::new();
    resources
        .filter(|resource| !seen.insert(*resource))
        .collect()
}

/// Checks what holds for both calls: a resource appears once, a setting once in it, and values are not null where one is needed.
fn check_shape(is_repeated: bool, settings: Vec<(&str, bool)>) -> Result<(), Refusal> {
    if is_repeated {
        return Err(invalid_request("Each resource must appear at most once."));
    }
    let mut names = BTreeSet::new();
    let mut nulls = Vec::new();
    let mut duplicate = false;
    for (name, lacks_value) in settings {
        duplicate |= !names.insert(name);
        if lacks_value {
            nulls.push(name);
        }
    }
    if duplicate {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    if !nulls.is_empty() {
        return Err(invalid_request(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        )));
    }
    Ok(())
}

/// Checks a change of `advertised.listeners` against the listeners that there are.
fn check_advertised(broker: &BrokerState, changes: &Changes) -> Result<(), Refusal> {
    let value = match changes {
        Changes::All(values) => values.get(ADVERTISED_LISTENERS),
        Changes::Some(changes) => {
            let change = changes
                .iter()
                .find(|(name, _)| name == ADVERTISED_LISTENERS);
            match change.map(|(_, alteration)| alteration) {
                Some(Alteration::Set(value)) => Some(value),
                Some(Alteration::Append(_) | Alteration::Subtract(_)) => {
                    return Err(invalid_request(format!(
                        "{ADVERTISED_LISTENERS} is set as a whole, or deleted"
                    )));
                }
                Some(Alteration::Delete) | None => None,
            }
        }
    };
    let Some(value) = value else {
        return Ok(());
    };
    match broker.cluster.readvertised(value) {
        Ok(_) => Ok(()),
        Err(reason) => Err(invalid_request(format!(
            "Invalid value {value} for configuration {ADVERTISED_LISTENERS}: {reason}"
        ))),
    }
}

/// Changes one resource. `None`: nothing had to be written.
fn change(
    broker: &BrokerState,
    kind: i8,
    name: &str,
    changes: &Changes,
    validate_only: bool,
) -> Result<Option<Commit>, Refusal> {
    let changed = match kind {
        resource::TOPIC if name.is_empty() => {
            Err(invalid_request("Default topic resources are not allowed."))
        }
        resource::TOPIC => {
            validate_name(name)?;
            broker.topics.alter_configs(name, changes, validate_only)
        }
        resource::BROKER => {
            let target = broker_target(broker, name)?;
            check_advertised(broker, changes)?;
            broker
                .settings
                .alter_broker(&broker.store, target, changes, validate_only)
                .map_err(refusal)
        }
        resource::GROUP => broker
            .settings
            .alter_group(&broker.store, name, changes, validate_only)
            .map_err(refusal),
        resource::CLIENT_METRICS => broker
            .settings
            .alter_client_metrics(&broker.store, name, changes, validate_only)
            .map_err(refusal),
        resource::BROKER_LOGGER => alter_log_levels(broker, name, changes, validate_only),
        other => Err(invalid_request(format!(
            "Unsupported resource type: {}",
            resource::name(other)
        ))),
    };
    if matches!(changed, Ok(Some(_))) {
        // Gates may open, or close.
        broker.groups.dead_letter_settings_changed();
    }
    changed
}

/// Changes levels of the log, which are in force when this returns.
fn alter_log_levels(
    broker: &BrokerState,
    name: &str,
    changes: &Changes,
    validate_only: bool,
) -> Result<Option<Commit>, Refusal> {
    let log = the_log(broker, name)?;
    let Changes::Some(changes) = changes else {
        return Err(invalid_request(
            "Levels of loggers are changed one by one: use IncrementalAlterConfigs",
        ));
    };
    let changes = changes
        .iter()
        .map(|(logger, alteration)| {
            let change = match alteration {
                Alteration::Set(level) => Change::Set(level.clone()),
                Alteration::Delete => Change::Remove,
                Alteration::Append(_) | Alteration::Subtract(_) => {
                    return Err(invalid_request(
                        "A level is no list: APPEND and SUBTRACT are not allowed for the BROKER_LOGGER resource",
                    ));
                }
            };
            Ok((logger.clone(), change))
        })
        .collect::<Result<Vec<_>, _>>()?;
    match log.alter(&changes, validate_only) {
        Ok(()) => Ok(None),
        Err(error @ (LevelError::NoSuchLogger(_) | LevelError::NoSuchLevel { .. })) => Err(
            Refusal::new(ResponseError::InvalidConfig, error.to_string()),
        ),
        Err(error @ LevelError::RootRemoved) => Err(invalid_request(error.to_string())),
        Err(error @ LevelError::NotApplied(_)) => Err(Refusal::new(
            ResponseError::UnknownServerError,
            error.to_string(),
        )),
    }
}

/// The log of this broker, named by its id.
pub(crate) fn the_log(broker: &BrokerState, name: &str) -> Result<&'static LogLevels, Refusal> {
    if name.is_empty() {
        return Err(invalid_request("Broker id must not be empty"));
    }
    broker_target(broker, name)?;
    log_levels::get().ok_or_else(|| {
        invalid_request(
            "The log belongs to the program that this broker is embedded in, which has not handed it over",
        )
    })
}

/// The broker resource of this name: empty, or this broker's id.
pub(crate) fn broker_target(broker: &BrokerState, name: &str) -> Result<BrokerTarget, Refusal> {
    if name.is_empty() {
        return Ok(BrokerTarget::Default);
    }
    let id: i32 = name
        .parse()
        .map_err(|_| invalid_request(format!("Node id must be an integer, but it is: {name}")))?;
    let expected = broker.cluster.node_id;
    if id != expected {
        return Err(invalid_request(format!(
            "Unexpected broker id, expected {expected}, but received {name}"
        )));
    }
    Ok(BrokerTarget::This)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_says_twice_is_refused() {
        let found = repeated([(2, "a"), (4, "a"), (2, "a"), (2, "b")].into_iter());
        assert_eq!(found, BTreeSet::from([(2, "a")]));
        for (is_repeated, settings, expected) in [
            (false, vec![("a", false), ("b", false)], None),
            (
                true,
                vec![],
                Some("Each resource must appear at most once."),
            ),
            (
                false,
                vec![("a", false), ("a", false)],
                Some("Error due to duplicate config keys"),
            ),
            (
                false,
                vec![("a", true), ("b", false)],
                Some("Null value not supported for : a"),
            ),
        ] {
            let result = check_shape(is_repeated, settings).map_err(|refusal| refusal.message);
            assert_eq!(result.err().as_deref(), expected);
        }
    }
}
