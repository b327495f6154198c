//! Settings: one table of definitions (name, type, range, default, documentation, where it may be set), from which come
//! parsing, DescribeConfigs, dynamic changes and docs/SETTINGS.md.

mod client_metrics;
mod dead_letters;
mod definition;
mod describe;
mod dynamic;
mod effective;
mod groups;
mod layers;
mod listeners;
#[cfg(test)]
mod markdown;
mod named;
pub mod properties;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use ottla_storage::config::ConfigResolver;
use ottla_storage::{CompactionOptions, PartitionStateFactory, StoreOptions};
use parking_lot::Mutex;

pub(crate) use client_metrics::Subscription;
pub use definition::Definition;
pub(crate) use describe::Described;
pub(crate) use dynamic::{ADVERTISED_LISTENERS, AlterError, Alteration, BrokerTarget, Changes};
pub use effective::{Effective, TopicConfig};
pub(crate) use layers::{Given, Layers, Source, Values};
pub(crate) use listeners::parse as parse_endpoints;
pub use listeners::{Endpoint, Listener, derived_listeners, listeners};
pub(crate) use named::Named;

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {reason}")]
#[allow(missing_docs)]
pub struct SettingsError {
    pub name: String,
    pub value: String,
    pub reason: String,
}

/// The broker setting of this name.
pub fn broker_setting(name: &str) -> Option<&'static Definition> {
    table::broker_setting(name)
}

/// All settings of a broker, in the order of docs/SETTINGS.md.
pub fn broker_settings() -> impl Iterator<Item = &'static Definition> {
    table::rows().filter(|row| row.scope == definition::Scope::Broker)
}

/// Whether files written for Kafka may hold this name: one of the table, or of a part of Kafka that Ottla does not have.
pub fn is_known(name: &str) -> bool {
    table::broker_setting(name).is_some() || table::is_accepted(name)
}

/// The broker setting whose name is closest to one that is not known, if one is close.
pub fn nearest(name: &str) -> Option<&'static str> {
    // One slip in eight letters, and two at least.
    let far = (name.len() / 8).max(2) + 1;
    broker_settings()
        .map(|row| (strsim::osa_distance(name, row.name), row.name))
        .filter(|(distance, _)| *distance < far)
        .min()
        .map(|(_, name)| name)
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

/// What a broker would make of its settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What it would go by, as DescribeConfigs shows it: all that was given and can be.
    pub in_force: BTreeMap<String, String>,
    /// Its listeners for clients; none if the settings of listeners cannot be.
    pub listeners: Vec<Listener>,
    /// Why it would not start.
    pub problems: Vec<SettingsError>,
    /// Names that it would warn of and ignore.
    pub unknown: Vec<String>,
    /// Names that it would accept, and do nothing about.
    pub without_effect: Vec<String>,
}

/// Holds all that a broker is started with against the table and against each other, without starting one.
pub fn inspect(config: &BrokerConfig) -> Inspection {
    let (in_force, mut found) = read(config);
    found.in_force = in_force;
    match listeners(&config.values) {
        // What is no number was told already.
        Err(problem) if found.problems.iter().any(|told| told.name == problem.name) => {}
        Err(problem) => found.problems.push(problem),
        Ok(listeners) => {
            let http = crate::http::listen::configured(&config.values, &listeners);
            found.problems.extend(http.err());
            found.listeners = listeners;
        }
    }
    found
}

/// The values as they go in force, and what is to be said of them.
fn read(config: &BrokerConfig) -> (Values, Inspection) {
    let mut file = Values::new();
    let mut found = Inspection::default();
    for (name, value) in &config.values {
        let Some(definition) = table::broker_setting(name) else {
            let names = match table::is_accepted(name) {
                true => &mut found.without_effect,
                false => &mut found.unknown,
            };
            names.push(name.clone());
            continue;
        };
        if !definition.has_effect {
            found.without_effect.push(name.clone());
        } else if let Some(reason) = definition.reason_against(value) {
            found
                .problems
                .push(error(name, value, format!("{reason} ({})", definition.doc)));
            continue;
        }
        file.insert(name.clone(), definition.normalize(value));
    }
    found.problems.extend(settle_node_id(&mut file).err());
    found
        .problems
        .extend(settle_log_dirs(&mut file, config).err());
    found.problems.extend(settle_cluster_id(&mut file).err());
    found.problems.extend(check_together(&file).err());
    (file, found)
}

/// All that readers need, replaced as one when a dynamic setting changes.
#[derive(Clone)]
struct Snapshot {
    layers: Arc<Layers>,
    effective: Arc<Effective>,
    groups: Arc<Named>,
    client_metrics: Arc<Named>,
}

impl Snapshot {
    fn new(layers: Layers) -> Snapshot {
        let effective = Arc::new(Effective::new(&layers));
        Snapshot {
            layers: Arc::new(layers),
            effective,
            groups: Arc::default(),
            client_metrics: Arc::default(),
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
        let (file, found) = read(config);
        for name in &found.unknown {
            tracing::warn!(%name, "unknown setting, ignored");
        }
        if !found.without_effect.is_empty() {
            tracing::info!(
                names = found.without_effect.join(", "),
                "settings that are accepted and have no effect"
            );
        }
        if let Some(problem) = found.problems.into_iter().next() {
            return Err(problem);
        }
        Ok(Settings {
            current: ArcSwap::from_pointee(Snapshot::new(Layers {
                file,
                ..Layers::default()
            })),
            generation: AtomicU64::new(0),
            changing: Mutex::new(()),
        })
    }

    /// The settings as they are now.
    pub fn current(&self) -> Arc<Effective> {
        self.current.load().effective.clone()
    }

    /// The cluster id that is asked for; what the data directory has may be another.
    pub(crate) fn cluster_id(&self) -> Option<String> {
        self.layers().value("cluster.id").map(str::to_owned)
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
        let current = self.current.load();
        self.store_snapshot(Snapshot {
            groups: current.groups.clone(),
            client_metrics: current.client_metrics.clone(),
            ..Snapshot::new(layers)
        });
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
            compaction: CompactionOptions {
                config: Arc::new({
                    let settings = self.clone();
                    move || settings.current().compaction
                }),
                now_ms: crate::clock::wall_ms,
            },
            cluster_id: self.cluster_id(),
            cut_damaged_journal: effective.cut_damaged_journal,
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

/// Any line is a cluster id: test frameworks give names where Kafka gives UUIDs. An empty one is none.
fn settle_cluster_id(file: &mut Values) -> Result<(), SettingsError> {
    const MAX: usize = 255;
    match file.get("cluster.id") {
        Some(id) if id.is_empty() => {
            file.remove("cluster.id");
        }
        Some(id) if id.len() > MAX || id.contains(char::is_control) => {
            let reason = format!("must be a line of at most {MAX} bytes");
            return Err(error("cluster.id", id, reason));
        }
        _ => {}
    }
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
