//! The compose files of tests/compose, what is expected of each, and what a broker of one is started with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// What stands in NAME.expect.json.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The services that are Kafka, by name.
    pub brokers: BTreeMap<String, Broker>,
    /// All other services.
    pub beside: Vec<String>,
}

/// What becomes of one service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// By the listener's name.
    #[serde(default)]
    pub listeners: BTreeMap<String, Listener>,
    /// Values in force.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    pub cluster_id: Option<String>,
    /// Topics that are there from the start, and their partitions.
    #[serde(default)]
    pub topics: BTreeMap<String, usize>,
    /// Names that are warned of.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// Other warnings: a part of each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Variables that are not for the broker.
    #[serde(default)]
    pub left_alone: Vec<String>,
    /// What the error names, if the broker must not start.
    pub refused: Option<String>,
    /// Says nothing of listeners: the image chooses them.
    #[serde(default)]
    pub image_default: bool,
    /// A controller and no broker.
    #[serde(default)]
    pub controller_only: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub port: u16,
    pub advertised: String,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compose")
}

/// Names without extension of the files that end in `extension`.
pub fn names(extension: &str) -> BTreeSet<String> {
    fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(extension).map(str::to_owned)
        })
        .collect()
}

pub fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.yml"))
}

pub fn expected(name: &str) -> Expected {
    let text = fs::read_to_string(folder().join(format!("{name}.expect.json"))).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}.expect.json: {e}"))
}

/// The services of a file, anchors and merge keys resolved.
pub fn services(name: &str) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(path(name)).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}.yml: {e}"));
    let services = file["services"].as_object().unwrap();
    services
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
}

/// A service's environment as a container gets it, where the shell of whoever starts it sets nothing.
pub fn environment(service: &Value) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), resolved(value));
    for file in service["env_file"].as_array().into_iter().flatten() {
        let text = fs::read_to_string(folder().join(file.as_str().unwrap())).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap();
            set(name, value);
        }
    }
    match &service["environment"] {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            set(name, &plain(value));
        }),
        Value::Array(list) => list.iter().for_each(|line| {
            let (name, value) = line.as_str().unwrap().split_once('=').unwrap();
            set(name, value);
        }),
        _ => {}
    }
    variables
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `${NAME:-default}` and `${NAME-default}` where no NAME is set; `$$` is a `$`.
fn resolved(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else {
            let (inner, after) = after.strip_prefix('{').unwrap().split_once('}').unwrap();
            let (_, default) = inner.split_once('-').unwrap();
            result.push_str(default);
            rest = after;
        }
    }
    result + rest
}

/// Ports of this machine in place of those that a file names, so that tests do not meet.
#[derive(Debug, Default)]
pub struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// The free port that stands for a file's.
    pub fn of(&mut self, port: u16) -> u16 {
        // What was free a moment ago may be given out again.
        let given: BTreeSet<u16> = self.0.values().copied().collect();
        *self.0.entry(port).or_insert_with(|| {
            loop {
                let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
                let free = free.local_addr().unwrap().port();
                if !given.contains(&free) {
                    return free;
                }
            }
        })
    }

    /// `host:port` with the other port.
    pub fn address(&mut self, address: &str) -> String {
        let (host, port) = address.rsplit_once(':').unwrap();
        format!("{host}:{}", self.of(port.parse().unwrap()))
    }

    /// A list of listeners with other ports. If they are to be listened on, hosts that only the container has give way.
    fn listeners(&mut self, value: &str, bound: bool) -> String {
        let parts = value.split(',').map(|part| {
            let Some((name, address)) = part.split_once("://") else {
                return part.to_owned();
            };
            let address = self.address(address.trim());
            let (host, port) = address.rsplit_once(':').unwrap();
            let host = match host {
                "" | "0.0.0.0" | "localhost" => host,
                _ if bound => "127.0.0.1",
                _ => host,
            };
            format!("{name}://{host}:{port}")
        });
        parts.collect::<Vec<_>>().join(",")
    }

    /// The same environment with these ports.
    pub fn in_environment(
        &mut self,
        variables: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut changed = variables.clone();
        for (name, value) in &mut changed {
            *value = match name.trim_start_matches("KAFKA_").trim_start_matches("CFG_") {
                "LISTENERS" => self.listeners(value, true),
                "ADVERTISED_LISTENERS" => self.listeners(value, false),
                "ADVERTISED_PORT" | "PORT" => self.of(value.parse().unwrap()).to_string(),
                _ => continue,
            };
        }
        changed
    }
}
