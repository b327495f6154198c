//! Showing settings.

use ottla_client::admin::{
    ConfigEntry, ConfigResource, ConfigResourceType, ConfigSource, ConfigSynonym,
};
use ottla_client::{Client, Topics};

use super::entities::{Entities, EntityType};
use super::{Problem, alter};
use crate::java::{DEFAULT_CAPACITY, hash_order};
use crate::talk::print_line;

pub(super) async fn run(
    client: &mut Client,
    entities: &Entities,
    all: bool,
) -> Result<(), Problem> {
    let kind = entities.entity_type;
    let names = match &entities.name {
        Some(name) => {
            if !all && !exists(client, kind, name).await? {
                print_line!(
                    "The {} '{name}' doesn't exist and doesn't have dynamic config.",
                    kind.singular()
                );
                return Ok(());
            }
            vec![name.clone()]
        }
        None => names(client, kind).await?,
    };
    for name in names {
        if name.is_empty() {
            print_line!("Default configs for {} in the cluster are:", kind.name());
        } else {
            let which = if all { "All" } else { "Dynamic" };
            print_line!("{which} configs for {} {name} are:", kind.singular());
        }
        let resource = alter::resource(kind, &name)?;
        let entries = client.describe_configs(&resource).await?;
        let source = (!all).then(|| own_source(&resource)).flatten();
        for entry in entries {
            if source.is_none_or(|source| entry.source == source) {
                print_line!("{}", line(&entry));
            }
        }
    }
    Ok(())
}

/// Whether there is such an entity, or it has settings without being there.
async fn exists(client: &mut Client, kind: EntityType, name: &str) -> Result<bool, Problem> {
    Ok(match kind {
        EntityType::Brokers | EntityType::BrokerLoggers if name.is_empty() => true,
        _ => names(client, kind).await?.iter().any(|known| known == name),
    })
}

/// The names of all entities of the type; for brokers the default too, which has none.
async fn names(client: &mut Client, kind: EntityType) -> Result<Vec<String>, Problem> {
    Ok(match kind {
        EntityType::Topics => {
            let metadata = client.metadata(Topics::All, false).await?;
            let mut names: Vec<String> = metadata
                .topics
                .into_iter()
                .map(|topic| topic.name)
                .collect();
            hash_order(&mut names, DEFAULT_CAPACITY, String::clone);
            names
        }
        EntityType::Brokers | EntityType::BrokerLoggers => {
            let metadata = client.metadata(Topics::Named(&[]), false).await?;
            let ids = metadata.brokers.iter().map(|broker| broker.id.to_string());
            ids.chain([String::new()]).collect()
        }
        EntityType::ClientMetrics => {
            client
                .list_config_resources(ConfigResourceType::ClientMetrics)
                .await?
        }
        EntityType::Groups => {
            let mut names: Vec<String> = client
                .list_groups()
                .await?
                .into_iter()
                .map(|group| group.group)
                .collect();
            for name in client
                .list_config_resources(ConfigResourceType::Group)
                .await?
            {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        }
        EntityType::Clients | EntityType::Users | EntityType::Ips => Vec::new(),
    })
}

/// Where an entity's own settings come from; loggers are all shown.
fn own_source(resource: &ConfigResource) -> Option<ConfigSource> {
    match resource {
        ConfigResource::Topic(_) => Some(ConfigSource::Topic),
        ConfigResource::Broker(_) => Some(ConfigSource::DynamicBroker),
        ConfigResource::BrokerDefault => Some(ConfigSource::DynamicDefaultBroker),
        ConfigResource::BrokerLogger(_) => None,
        ConfigResource::ClientMetrics(_) => Some(ConfigSource::ClientMetrics),
        ConfigResource::Group(_) => Some(ConfigSource::Group),
    }
}

fn line(entry: &ConfigEntry) -> String {
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        or_null(entry.value.as_deref()),
        entry.sensitive,
        synonyms.join(", ")
    )
}

fn synonym(synonym: &ConfigSynonym) -> String {
    let source = match synonym.source {
        ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
        ConfigSource::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
        ConfigSource::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
        ConfigSource::Group => "DYNAMIC_GROUP_CONFIG",
        ConfigSource::Unknown => "UNKNOWN",
    };
    let value = or_null(synonym.value.as_deref());
    format!("{source}:{}={value}", synonym.name)
}

fn or_null(value: Option<&str>) -> &str {
    value.unwrap_or("null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_shown_with_its_synonyms_and_a_hidden_value_as_null() {
        let at = |source, name: &str, value: Option<&str>| ConfigSynonym {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            source,
        };
        let entry = ConfigEntry {
            name: "ssl.key.password".to_owned(),
            value: None,
            source: ConfigSource::DynamicBroker,
            read_only: false,
            sensitive: true,
            synonyms: vec![
                at(ConfigSource::DynamicBroker, "ssl.key.password", None),
                at(ConfigSource::Default, "x", Some("1")),
            ],
        };
        assert_eq!(
            line(&entry),
            "  ssl.key.password=null sensitive=true synonyms={DYNAMIC_BROKER_CONFIG:ssl.key.password=null, DEFAULT_CONFIG:x=1}"
        );
    }
}
