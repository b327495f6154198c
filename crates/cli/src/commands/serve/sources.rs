//! Settings with where each value came from, in the one order in which they go before each other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ottla_broker::settings::{self, BrokerConfig, Inspection, SettingsError};
use serde_json::{Value as Json, json};

use super::environment;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing gave it.
    Default,
    /// A line of a file, counted from 1.
    File { path: String, line: usize },
    /// The environment variable of this name.
    Environment(String),
    /// A flag of its own.
    Flag(&'static str),
    /// `--override`.
    Override,
    /// Another setting says it.
    Derived(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Environment(variable) => write!(f, "{variable}"),
            Origin::Flag(flag) => write!(f, "{flag}"),
            Origin::Override => write!(f, "--override"),
            Origin::Derived(from) => write!(f, "from {from}"),
        }
    }
}

impl Origin {
    pub fn as_json(&self) -> Json {
        match self {
            Origin::Default => json!({"kind": "default"}),
            Origin::File { path, line } => json!({"kind": "file", "file": path, "line": line}),
            Origin::Environment(name) => json!({"kind": "environment", "variable": name}),
            Origin::Flag(flag) => json!({"kind": "flag", "flag": flag}),
            Origin::Override => json!({"kind": "override"}),
            Origin::Derived(from) => json!({"kind": "derived", "from": from}),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub value: String,
    pub origin: Origin,
}

/// All values that were given, by name. Of several the last is the one that counts.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Where the data is.
    pub data_dir: PathBuf,
    given: BTreeMap<String, Vec<Given>>,
}

impl Sources {
    /// Gives a value, which goes before those given earlier.
    pub fn set(&mut self, name: &str, value: impl Into<String>, origin: Origin) {
        let value = value.into();
        let values = self.given.entry(name.to_owned()).or_default();
        values.push(Given { value, origin });
    }

    /// The value that counts.
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)?.last()
    }

    /// Every value of this name, the one that counts first.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Given> {
        self.given.get(name).into_iter().flatten().rev()
    }

    /// Every name that was given a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.given.keys().map(String::as_str)
    }

    /// The values that count.
    pub fn values(&self) -> BTreeMap<String, String> {
        let last = |values: &Vec<Given>| values.last().map(|given| given.value.clone());
        self.given
            .iter()
            .filter_map(|(name, values)| Some((name.clone(), last(values)?)))
            .collect()
    }

    /// Names that no setting has, with a value that is ignored.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !settings::is_known(name))
    }

    /// What a broker is started with: all names that are known.
    pub fn broker_config(&self) -> BrokerConfig {
        let mut values = self.values();
        values.retain(|name, _| settings::is_known(name));
        BrokerConfig {
            data_dir: self.data_dir.clone(),
            values,
        }
    }

    /// What a broker would make of it.
    pub fn inspect(&self) -> Inspection {
        settings::inspect(&self.broker_config())
    }

    /// Where the value in force of this name came from. Of two names for one thing either may have given it.
    pub fn origin(&self, name: &str) -> Origin {
        let twin = match name {
            "node.id" => "broker.id",
            "broker.id" => "node.id",
            "listeners" => "advertised.listeners",
            _ => name,
        };
        match (self.get(name), self.get(twin)) {
            (Some(given), _) => given.origin.clone(),
            (None, Some(_)) => Origin::Derived(twin.to_owned()),
            (None, None) => Origin::Default,
        }
    }

    /// A problem with where its value came from: `KAFKA_NUM_PARTITIONS: num.partitions=x: ...`.
    pub fn tell(&self, problem: &SettingsError) -> String {
        let mut origin = self.origin(&problem.name);
        if let Origin::Derived(from) = &origin {
            origin = self.origin(from);
        }
        match origin {
            Origin::Default | Origin::Derived(_) => problem.to_string(),
            origin => format!("{origin}: {problem}"),
        }
    }

    /// Advertised addresses that nobody can connect to. Kafka refuses to start with them.
    pub fn unreachable(&self) -> Vec<String> {
        let listeners = settings::listeners(&self.values()).unwrap_or_default();
        let advertised = listeners
            .into_iter()
            .filter_map(|listener| listener.advertised);
        advertised
            .filter(|told| ["", "0.0.0.0", "::"].contains(&told.host.as_str()))
            .map(|told| {
                format!(
                    "{}: no client can connect to {told}; clients are told localhost, name a host that they can reach",
                    self.origin("advertised.listeners")
                )
            })
            .collect()
    }

    /// One warning for each name that is not known, with what may have been meant, and for what nobody can connect to.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |name: &str| {
            let origin = self.origin(name);
            let meant = settings::nearest(name).map(|meant| match &origin {
                Origin::Environment(variable) => environment::variable_like(variable, meant),
                _ => meant.to_owned(),
            });
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            format!("{origin}: unknown setting {name}, ignored{meant}")
        };
        self.unknown()
            .map(warning)
            .chain(self.unreachable())
            .collect()
    }
}
