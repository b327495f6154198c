//! Settings: one table of definitions (name, type, range, default, documentation, where it may be set), from which come
//! parsing, DescribeConfigs, dynamic changes and docs/SETTINGS.md.

mod dead_letters;
mod definition;
mod describe;
mod dynamic;
mod effective;
mod groups;
mod layers;
#[cfg(test)]
mod markdown;
pub mod properties;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use ottla_storage::config::ConfigResolver;
use ottla_storage::{PartitionStateFactory, StoreOptions};
use parking_lot::Mutex;

pub(crate) use describe::Described;
pub(crate) use dynamic::{ADVERTISED_LISTENERS, AlterError, Alteration, BrokerTarget, Changes};
pub use effective::{Effective, TopicConfig};
pub(crate) use layers::{Given, Layers, Source, Values};

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {reason}")]
#[allow(missing_docs)]
pub struct SettingsError {
    pub name: String,
    pub value: String,
    pub reason: String,
}

/// Whether there is a broker setting of this name, with or without effect.
pub fn is_broker_setting(name: &str) -> bool {
    table::broker_setting(name).is_some()
}

/// What a broker is started with: where the data is, and every setting given by file, environment, flags, as `name -> value`
/// in Kafka's names. Parsed and checked by [`Settings::new`].
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Static settings, later sources having replaced earlier ones.
    pub values: BTreeMap<String, String>,
}

/// All that readers need, replaced as one when a dynamic setting changes.
struct Snapshot {
    layers: Arc<Layers>,
    effective: Arc<Effective>,
    groups: Arc<groups::Groups>,
}

impl Snapshot {
    fn new(layers: Layers, groups: Arc<groups::Groups>) -> Snapshot {
        let effective = Arc::new(Effective::new(&layers));
        Snapshot {
            layers: Arc::new(layers),
            effective,
            groups,
        }
    }
}

/// The settings, static and dynamic. Reading is lock-free.
pub struct Settings {
    current: ArcSwap<Snapshot>,
    /// Counts the changes, so that what was derived from settings knows that it is stale.
    generation: AtomicU64,
    /// Changes come one at a time, those of brokers and groups.
    changing: Mutex<()>,
}

impl Settings {
    /// Parses and checks what is given; what is not given has its default. A name that is not known is warned of,
    /// and never stops the start.
    pub fn new(config: &BrokerConfig) -> Result<Settings, SettingsError> {
        let mut file = Values::new();
        let mut idle = Vec::new();
        for (name, value) in &config.values {
            match table::broker_setting(name) {
                Some(definition) if definition.has_effect => {
                    if let Some(reason) = definition.reason_against(value) {
                        return Err(error(name, value, format!("{reason} ({})", definition.doc)));
                    }
                    file.insert(name.clone(), definition.normalize(value));
                }
                Some(definition) => {
                    idle.push(name.as_str());
                    file.insert(name.clone(), definition.normalize(value));
                }
                // Settings of one listener: TLS and SASL, which a listener cannot ask for anyway.
                None if name.starts_with("listener.name.") => idle.push(name.as_str()),
                None => tracing::warn!(%name, "unknown setting, ignored"),
            }
        }
        if !idle.is_empty() {
            tracing::info!(
                names = idle.join(", "),
                "settings that are accepted and have no effect"
            );
        }
        settle_node_id(&mut file)?;
        settle_log_dirs(&mut file, config)?;
        check_together(&file)?;
        Ok(Settings {
            current: ArcSwap::from_pointee(Snapshot::new(
                Layers {
                    file,
                    ..Layers::default()
                },
                Arc::default(),
            )),
            generation: AtomicU64::new(0),
            changing: Mutex::new(()),
        })
    }

    /// The settings as they are now.
    pub fn current(&self) -> Arc<Effective> {
        self.current.load().effective.clone()
    }

    /// Where every value comes from.
    pub(crate) fn layers(&self) -> Arc<Layers> {
        self.current.load().layers.clone()
    }

    /// Changes whenever a dynamic setting does.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn replace(&self, layers: Layers) {
        let groups = self.current.load().groups.clone();
        self.store_snapshot(Snapshot::new(layers, groups));
    }

    fn store_snapshot(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What is in force for a topic with these settings of its own.
    pub fn topic_config(&self, own: &BTreeMap<String, String>) -> TopicConfig {
        TopicConfig::new(&self.current.load().layers, own)
    }

    /// What the store asks for a topic's log settings with.
    pub fn log_config_resolver(self: &Arc<Self>) -> ConfigResolver {
        let settings = self.clone();
        Arc::new(move |own| settings.topic_config(own).log)
    }

    /// What the store is opened with.
    pub fn store_options(
        self: &Arc<Self>,
        partition_state: Arc<dyn PartitionStateFactory>,
    ) -> StoreOptions {
        let effective = self.current();
        StoreOptions {
            durability: effective.durability,
            cache_bytes: effective.cache_bytes,
            max_open_files: effective.max_open_files,
            checkpoint_bytes: effective.checkpoint_bytes,
            checkpoint_interval: effective.checkpoint_interval,
            log_config: self.log_config_resolver(),
            partition_state,
        }
    }
}

fn error(name: &str, value: &str, reason: impl Into<String>) -> SettingsError {
    SettingsError {
        name: name.to_owned(),
        value: value.to_owned(),
        reason: reason.into(),
    }
}

/// One id under two names. Tools show both, so both are set.
fn settle_node_id(file: &mut Values) -> Result<(), SettingsError> {
    let node = file.get("node.id").cloned();
    let broker = file.get("broker.id").filter(|id| *id != "-1").cloned();
    let id = match (node, broker) {
        (Some(node), Some(broker)) if node != broker => {
            return Err(error(
                "broker.id",
                &broker,
                format!("node.id is {node}: set one of the two, or both to the same"),
            ));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => {
            file.remove("broker.id");
            return Ok(());
        }
    };
    file.insert("node.id".to_owned(), id.clone());
    file.insert("broker.id".to_owned(), id);
    Ok(())
}

/// Whoever starts the broker chooses the directory; tools see it as `log.dirs`.
fn settle_log_dirs(file: &mut Values, config: &BrokerConfig) -> Result<(), SettingsError> {
    if let Some(dirs) = file
        .get("log.dirs")
        .filter(|dirs| definition::list(dirs).count() > 1)
    {
        return Err(error(
            "log.dirs",
            dirs,
            "there is one data directory: name one",
        ));
    }
    file.insert("log.dirs".to_owned(), config.data_dir.display().to_string());
    Ok(())
}

/// What must hold between settings.
fn check_together(file: &Values) -> Result<(), SettingsError> {
    let layers = Layers {
        file: file.clone(),
        ..Layers::default()
    };
    let (min, max): (i32, i32) = (
        layers.get("group.min.session.timeout.ms"),
        layers.get("group.max.session.timeout.ms"),
    );
    if min > max {
        return Err(error(
            "group.min.session.timeout.ms",
            &min.to_string(),
            format!("must not be above group.max.session.timeout.ms={max}"),
        ));
    }
    for name in [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ] {
        if let Some(value) = file.get(name).filter(|value| *value == "0") {
            return Err(error(name, value, "must be at least 1, or -1 for no limit"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
