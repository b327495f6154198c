//! DescribeConfigs, IncrementalAlterConfigs (KIP-339), ListConfigResources (KIP-1142).

use std::fmt;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::client::Client;
use crate::error::ClientError;

/// What has settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker by node id.
    Broker(i32),
    /// What all brokers have by default.
    BrokerDefault,
    /// The loggers of a broker by node id (KIP-412).
    BrokerLogger(i32),
    /// What clients are asked to measure (KIP-714).
    ClientMetrics(String),
    /// A group (KIP-848).
    Group(String),
}

impl ConfigResource {
    fn type_code(&self) -> i8 {
        match self {
            ConfigResource::Topic(_) => 2,
            ConfigResource::Broker(_) | ConfigResource::BrokerDefault => 4,
            ConfigResource::BrokerLogger(_) => 8,
            ConfigResource::ClientMetrics(_) => 16,
            ConfigResource::Group(_) => 32,
        }
    }

    fn name(&self) -> StrBytes {
        StrBytes::from_string(match self {
            ConfigResource::Topic(name)
            | ConfigResource::ClientMetrics(name)
            | ConfigResource::Group(name) => name.clone(),
            ConfigResource::Broker(id) | ConfigResource::BrokerLogger(id) => id.to_string(),
            ConfigResource::BrokerDefault => String::new(),
        })
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigResource::Topic(name) => write!(f, "topic {name}"),
            ConfigResource::Broker(id) => write!(f, "broker {id}"),
            ConfigResource::BrokerDefault => write!(f, "all brokers"),
            ConfigResource::BrokerLogger(id) => write!(f, "loggers of broker {id}"),
            ConfigResource::ClientMetrics(name) => write!(f, "client metrics {name}"),
            ConfigResource::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConfigSource {
    Topic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    ClientMetrics,
    Group,
    Unknown,
}

/// The types of resources that [`Client::list_config_resources`] can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConfigResourceType {
    ClientMetrics = 16,
    Group = 32,
}

impl ConfigSource {
    fn from_code(code: i8) -> ConfigSource {
        match code {
            1 => ConfigSource::Topic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefaultBroker,
            4 => ConfigSource::StaticBroker,
            5 => ConfigSource::Default,
            6 => ConfigSource::DynamicBrokerLogger,
            7 => ConfigSource::ClientMetrics,
            8 => ConfigSource::Group,
            _ => ConfigSource::Unknown,
        }
    }
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The name.
    pub name: String,
    /// The value; `None` if it is sensitive or null.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Whether the value is kept from readers.
    pub sensitive: bool,
    /// Where values for it are set, the one that counts first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A place where a value for a setting is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name that the setting has there.
    pub name: String,
    /// The value; `None` if it is sensitive or null.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Gives a setting a value.
    Set(String, String),
    /// Puts a setting back to its default.
    Delete(String),
}

impl Client {
    /// All settings of `resource`, by name.
    pub async fn describe_configs(
        &mut self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![
                DescribeConfigsResource::default()
                    .with_resource_type(resource.type_code())
                    .with_resource_name(resource.name())
                    .with_configuration_keys(None),
            ])
            .with_include_synonyms(true);
        let answer = self
            .retry(async |client| match resource {
                // A broker alone knows its own static settings.
                ConfigResource::Broker(id) | ConfigResource::BrokerLogger(id) => {
                    client.controller().await?;
                    client.node(*id).await?.call(&request).await
                }
                _ => client.any().await?.call(&request).await,
            })
            .await?;
        let result = answer.results.into_iter().next().ok_or_else(|| {
            ClientError::Invalid(format!("the broker's answer leaves {resource} out"))
        })?;
        ClientError::check(result.error_code, result.error_message.as_deref(), || {
            format!("settings of {resource}")
        })?;
        let mut entries: Vec<_> = result
            .configs
            .into_iter()
            .map(|config| ConfigEntry {
                name: config.name.to_string(),
                value: config.value.map(|value| value.to_string()),
                source: ConfigSource::from_code(config.config_source),
                read_only: config.read_only,
                sensitive: config.is_sensitive,
                synonyms: config
                    .synonyms
                    .into_iter()
                    .map(|synonym| ConfigSynonym {
                        name: synonym.name.to_string(),
                        value: synonym.value.map(|value| value.to_string()),
                        source: ConfigSource::from_code(synonym.source),
                    })
                    .collect(),
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The names of the resources of a type that have settings of their own.
    pub async fn list_config_resources(
        &mut self,
        resource_type: ConfigResourceType,
    ) -> Result<Vec<String>, ClientError> {
        let code = resource_type as i8;
        let request = ListConfigResourcesRequest::default().with_resource_types(vec![code]);
        let answer = self
            .retry(async |client| {
                let node = client.any().await?;
                let version = node.version::<ListConfigResourcesRequest>()?;
                // Version 0 knows client metrics alone, and takes no types.
                match (version, resource_type) {
                    (0, ConfigResourceType::ClientMetrics) => {
                        let request = ListConfigResourcesRequest::default();
                        node.connection().call(version, &request).await
                    }
                    _ => node.connection().call(version, &request).await,
                }
            })
            .await?;
        ClientError::check(answer.error_code, None, || {
            "listing resources with settings".to_owned()
        })?;
        Ok(answer
            .config_resources
            .into_iter()
            .map(|resource| resource.resource_name.to_string())
            .collect())
    }

    /// Changes settings of `resource`, all or none; those not named stay as they are.
    pub async fn alter_configs(
        &mut self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<(), ClientError> {
        let configs = changes
            .iter()
            .map(|change| {
                let (name, operation, value) = match change {
                    ConfigChange::Set(name, value) => (name, 0, Some(value)),
                    ConfigChange::Delete(name) => (name, 1, None),
                };
                AlterableConfig::default()
                    .with_name(StrBytes::from_string(name.clone()))
                    .with_config_operation(operation)
                    .with_value(value.map(|value| StrBytes::from_string(value.clone())))
            })
            .collect();
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![
            AlterConfigsResource::default()
                .with_resource_type(resource.type_code())
                .with_resource_name(resource.name())
                .with_configs(configs),
        ]);
        let answer = self
            .retry(async |client| match resource {
                ConfigResource::BrokerLogger(id) => {
                    client.controller().await?;
                    client.node(*id).await?.call(&request).await
                }
                _ => client.controller().await?.call(&request).await,
            })
            .await?;
        for result in answer.responses {
            ClientError::check(result.error_code, result.error_message.as_deref(), || {
                format!("changing settings of {resource}")
            })?;
        }
        Ok(())
    }
}
