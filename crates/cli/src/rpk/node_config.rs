//! `redpanda.yaml` and `.bootstrap.yaml`, as far as they say where the broker is and how it behaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::address::Address;

/// What `redpanda.yaml` says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeConfig {
    pub redpanda: Node,
    pub schema_registry: Option<SchemaRegistry>,
    pub pandaproxy: Option<Proxy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub node_id: Option<i32>,
    pub data_directory: Option<PathBuf>,
    pub kafka_api: Option<OneOrMany<Address>>,
    pub advertised_kafka_api: Option<OneOrMany<Address>>,
    pub admin: Option<OneOrMany<Address>>,
    pub kafka_api_tls: Option<OneOrMany<Tls>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SchemaRegistry {
    pub schema_registry_api: Option<OneOrMany<Address>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Proxy {
    pub pandaproxy_api: Option<OneOrMany<Address>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tls {
    pub enabled: bool,
}

/// Redpanda takes an entry by itself for a list of one.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T: Clone> OneOrMany<T> {
    pub(super) fn to_vec(this: Option<&Self>) -> Vec<T> {
        match this {
            None => Vec::new(),
            Some(OneOrMany::One(one)) => vec![one.clone()],
            Some(OneOrMany::Many(many)) => many.clone(),
        }
    }
}

/// Properties of the cluster by name.
pub(super) type Properties = BTreeMap<String, Value>;

/// Reads `redpanda.yaml`: what is said of the node, and the properties of the cluster that old files have among it.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<(NodeConfig, Properties)>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Loose {
        redpanda: Properties,
    }
    let Some(text) = text_of(path)? else {
        return Ok(None);
    };
    let node = parse(path, &text)?;
    let loose: Loose = parse(path, &text)?;
    Ok(Some((node, loose.redpanda)))
}

/// Reads `.bootstrap.yaml`, the properties of a new cluster.
pub(super) fn read_bootstrap(path: &Path) -> anyhow::Result<Properties> {
    match text_of(path)? {
        Some(text) => parse(path, &text),
        None => Ok(Properties::new()),
    }
}

/// `None` where there is no file, or one that nothing has been written to yet.
fn text_of(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> anyhow::Result<T> {
    serde_saphyr::from_str(text).with_context(|| format!("cannot read {}", path.display()))
}
