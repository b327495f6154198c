//! The settings of dead letters: what is in force, and changing it. The same settings as `kafka-configs` changes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use ottla_codec::{ResponseError, StrBytes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Shared;
use super::answer::ApiError;
use super::ask::{Asked, Body};
use crate::config_changes::{self, change_each, resource};
use crate::settings::{Alteration, Changes, Described, Source};
use crate::state::BrokerState;

/// All of these settings begin so.
const PREFIX: &str = "dlq.";

/// For which topic and group. Neither: the broker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Level {
    topic: Option<String>,
    group: Option<String>,
}

/// What is in force.
#[derive(Debug, Serialize)]
pub(super) struct ConfigView {
    #[serde(flatten)]
    level: Level,
    settings: Vec<SettingView>,
}

/// One setting.
#[derive(Debug, Serialize)]
struct SettingView {
    name: &'static str,
    value: Option<String>,
    /// Who says so: `group`, `topic`, `broker` (set while it runs), `file` (or flags, at the start), `default`.
    source: &'static str,
    doc: &'static str,
}

/// What is in force for a topic, a group, or a group on a topic.
pub(super) async fn show(
    State(shared): State<Shared>,
    Asked(level): Asked<Level>,
) -> Result<Json<ConfigView>, ApiError> {
    view(&shared.broker, level).map(Json)
}

/// Sets settings of a topic, of a group, or of the broker; null takes a setting back.
pub(super) async fn change(
    State(shared): State<Shared>,
    Asked(level): Asked<Level>,
    Body(wanted): Body<BTreeMap<String, Value>>,
) -> Result<Json<ConfigView>, ApiError> {
    let (kind, name) = match &level {
        Level {
            topic: Some(_),
            group: Some(_),
        } => {
            return Err(ApiError::bad_request(
                "bad_parameter",
                "a setting belongs to a topic or to a group: give one of them",
            ));
        }
        Level {
            topic: Some(topic), ..
        } => (resource::TOPIC, topic.clone()),
        Level {
            group: Some(group), ..
        } => (resource::GROUP, group.clone()),
        Level { .. } => (resource::BROKER, String::new()),
    };
    let changes = wanted
        .into_iter()
        .map(alteration)
        .collect::<Result<Vec<_>, _>>()?;
    if changes.is_empty() {
        return Err(ApiError::bad_request(
            "bad_body",
            "nothing to change: send {\"dlq.mode\": \"enforce\"}, or null to take a setting back",
        ));
    }
    let name = StrBytes::from_string(name);
    let asked = config_changes::Asked {
        kind,
        name: &name,
        settings: Vec::new(),
        changes: Ok(Changes::Some(changes)),
    };
    let answers = change_each(&shared.broker, vec![asked], false).await;
    for (_, _, code, message) in answers {
        if code != 0 {
            return Err(refused(code, message.map(|m| m.to_string())));
        }
    }
    view(&shared.broker, level).map(Json)
}

fn alteration((name, value): (String, Value)) -> Result<(String, Alteration), ApiError> {
    if !name.starts_with(PREFIX) {
        return Err(ApiError::bad_request(
            "unknown_setting",
            format!("{name} is no setting of dead letters: their names begin with {PREFIX}"),
        ));
    }
    let alteration = match value {
        Value::Null => Alteration::Delete,
        Value::String(text) => Alteration::Set(text),
        Value::Number(number) => Alteration::Set(number.to_string()),
        _ => {
            return Err(ApiError::bad_request(
                "bad_body",
                format!("{name}: expected text, a number or null"),
            ));
        }
    };
    Ok((name, alteration))
}

fn refused(code: i16, message: Option<String>) -> ApiError {
    let message = message.unwrap_or_else(|| format!("error {code} of the protocol"));
    match ResponseError::try_from_code(code) {
        Some(ResponseError::UnknownTopicOrPartition) => {
            ApiError::not_found("no_such_topic", message)
        }
        Some(ResponseError::InvalidConfig) => ApiError::bad_request("bad_setting", message),
        Some(ResponseError::KafkaStorageError | ResponseError::RequestTimedOut) => {
            ApiError::unavailable(message)
        }
        _ => ApiError::bad_request("bad_request", message),
    }
}

/// The broker's, and over them the topic's, and over them the group's.
fn view(broker: &BrokerState, level: Level) -> Result<ConfigView, ApiError> {
    let mut found: BTreeMap<&'static str, SettingView> = BTreeMap::new();
    let mut put = |rows: Vec<Described>, only: Option<Source>| {
        for row in rows {
            let name = row.definition.name;
            if name.starts_with(PREFIX) && only.is_none_or(|source| row.source == source) {
                found.insert(name, setting(row));
            }
        }
    };
    put(broker.settings.describe_broker(), None);
    if let Some(name) = &level.topic {
        let topic = broker.topics.by_name(name).ok_or_else(|| {
            ApiError::not_found(
                "no_such_topic",
                format!("there is no topic {name}: see ottla topic list"),
            )
        })?;
        let own = broker.settings.describe_topic(&topic.configs);
        put(own, Some(Source::Topic));
    }
    if let Some(group) = &level.group {
        put(broker.settings.describe_group(group), Some(Source::Group));
    }
    Ok(ConfigView {
        level,
        settings: found.into_values().collect(),
    })
}

fn setting(row: Described) -> SettingView {
    SettingView {
        name: row.definition.name,
        source: match row.source {
            Source::Group => "group",
            Source::Topic => "topic",
            Source::DynamicBroker | Source::DynamicDefault => "broker",
            Source::Static => "file",
            Source::Default => "default",
            Source::ClientMetrics => "client metrics",
        },
        value: row.value,
        doc: row.definition.doc,
    }
}
