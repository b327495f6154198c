//! Changing settings.

use ottla_client::Client;
use ottla_client::admin::{ConfigChange, ConfigResource};

use super::Problem;
use super::entities::{Entities, EntityType};
use crate::cluster;
use crate::errors::Failure;
use crate::options::Parsed;
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) async fn run(
    client: &mut Client,
    parsed: &Parsed,
    entities: &Entities,
) -> Result<(), Problem> {
    let kind = entities.entity_type;
    let name = entities.name.as_deref().unwrap_or_default();
    let deleted: Vec<ConfigChange> = parsed
        .values("delete-config")
        .iter()
        .flat_map(|names| names.split(','))
        .map(|name| ConfigChange::Delete(name.trim().to_owned()))
        .collect();
    let set = to_set(parsed)?
        .into_iter()
        .map(|(name, value)| ConfigChange::Set(name, value));
    let changes: Vec<ConfigChange> = deleted.into_iter().chain(set).collect();
    let resource = resource(kind, name)?;
    if let ConfigResource::BrokerLogger(_) = resource {
        check_loggers(client, &resource, &changes).await?;
    }
    client.alter_configs(&resource, &changes).await?;
    if name.is_empty() {
        print_line!(
            "Completed updating default config for {} in the cluster.",
            kind.name()
        );
    } else {
        print_line!("Completed updating config for {} {name}.", kind.singular());
    }
    Ok(())
}

/// The resource that an entity is to the protocol.
pub(super) fn resource(kind: EntityType, name: &str) -> Result<ConfigResource, Problem> {
    let id = || {
        name.parse().map_err(|_| {
            Problem::Argument(format!(
                "The entity name for {} must be a valid integer broker id, found: {name}",
                kind.name()
            ))
        })
    };
    Ok(match kind {
        EntityType::Topics => ConfigResource::Topic(name.to_owned()),
        EntityType::Brokers if name.is_empty() => ConfigResource::BrokerDefault,
        EntityType::Brokers => ConfigResource::Broker(id()?),
        EntityType::BrokerLoggers => ConfigResource::BrokerLogger(id()?),
        EntityType::ClientMetrics => ConfigResource::ClientMetrics(name.to_owned()),
        EntityType::Groups => ConfigResource::Group(name.to_owned()),
        EntityType::Clients | EntityType::Users | EntityType::Ips => {
            return Err(Problem::Argument(format!(
                "Unsupported entity type: {}",
                kind.name()
            )));
        }
    })
}

/// What `--add-config` or `--add-config-file` sets.
fn to_set(parsed: &Parsed) -> Result<Vec<(String, String)>, Problem> {
    let mut settings: Vec<(String, String)> = match parsed.value("add-config-file") {
        Ok(file) => cluster::read_properties(file)
            .map_err(failure)?
            .into_iter()
            .collect(),
        Err(stop) => return Err(failure(stop)),
    };
    settings.sort();
    if let Some(text) = parsed.value("add-config").map_err(failure)? {
        settings.extend(parse(text).map_err(Problem::Argument)?);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "$._-".contains(c);
    match settings.iter().find(|(name, _)| !name.chars().all(allowed)) {
        Some((name, _)) => Err(Problem::Argument(format!(
            "Invalid character found for config key: {name}"
        ))),
        None => Ok(settings),
    }
}

/// `a=1,b=[x,y]`; a name that is given twice has the last value.
fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for setting in split_outside_brackets(text, ',') {
        let parts = split_outside_brackets(setting, '=');
        let [name, value] = parts[..] else {
            return Err("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.".to_owned());
        };
        let name = name.trim();
        settings.retain(|(known, _)| known != name);
        settings.push((
            name.to_owned(),
            value.replace(['[', ']'], "").trim().to_owned(),
        ));
    }
    Ok(settings)
}

/// Splits where no closing bracket follows before an opening one.
fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(separator) {
        let behind = &text[at + 1..];
        let inside = behind
            .find(['[', ']'])
            .is_some_and(|next| behind[next..].starts_with(']'));
        if !inside {
            parts.push(&text[start..at]);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

async fn check_loggers(
    client: &mut Client,
    resource: &ConfigResource,
    changes: &[ConfigChange],
) -> Result<(), Problem> {
    let known = client.describe_configs(resource).await?;
    let unknown: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            ConfigChange::Set(name, _) | ConfigChange::Delete(name) => &**name,
        })
        .filter(|name| known.iter().all(|entry| entry.name != *name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Problem::Argument(format!(
        "Invalid broker logger(s): {}",
        unknown.join(",")
    )))
}

fn failure(stop: Stop) -> Problem {
    match stop {
        Stop::Failed(message) | Stop::Usage { message, .. } => {
            Problem::Failure(Failure::new(message))
        }
        Stop::Exit(code) => Problem::Failure(Failure::new(format!("exit code {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_a_value_with_commas_together() {
        let parsed = |text: &str| -> Vec<String> {
            parse(text)
                .unwrap()
                .into_iter()
                .map(|(name, value)| format!("{name}:{value}"))
                .collect()
        };
        assert_eq!(
            parsed("cleanup.policy=[compact,delete], retention.ms = 5"),
            ["cleanup.policy:compact,delete", "retention.ms:5"]
        );
        assert_eq!(parsed("a=[x=1,y=2],b=3"), ["a:x=1,y=2", "b:3"]);
        assert_eq!(parsed("a=1,b=2,a=3"), ["b:2", "a:3"]);
        assert_eq!(parsed("a="), ["a:"]);
    }

    #[test]
    fn a_setting_without_a_value_is_refused() {
        for wrong in ["a", "a=1,b", "a=b=c", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
