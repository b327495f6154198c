//! Subscriptions to what clients measure (KIP-714): set while the broker runs, kept in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_storage::{Commit, Store, StoreError};
use regex::{Regex, RegexBuilder};

use super::definition::list;
use super::dynamic::{AlterError, Changes, apply, unknown_name};
use super::layers::Values;
use super::named::{self, Named};
use super::{Settings, Snapshot, table};

/// What comes before a subscription's name in the key of its row.
const KEY: &[u8] = b"client-metrics/";

/// What a client can be chosen by.
const ATTRIBUTES: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// The most that a compiled pattern may take.
const PATTERN_BYTES: usize = 256 << 10;

/// A subscription as types.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    /// Prefixes of metrics' names; `*` for all.
    pub metrics: Vec<String>,
    /// Milliseconds between pushes.
    pub interval_ms: i32,
    /// By attribute: the whole of it must match. A client that none is asked of matches.
    pub patterns: BTreeMap<String, Regex>,
}

impl Subscription {
    fn new(own: &Values) -> Result<Subscription, AlterError> {
        let value = |name| {
            own.get(name)
                .map(String::as_str)
                .or_else(|| table::client_metrics_setting(name)?.default)
                .unwrap_or_default()
        };
        Ok(Subscription {
            metrics: list(value("metrics")).map(str::to_owned).collect(),
            interval_ms: value("interval.ms")
                .parse()
                .map_err(|_| AlterError::InvalidConfig("interval.ms is not a number".to_owned()))?,
            patterns: list(value("match"))
                .map(pattern)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn pattern(text: &str) -> Result<(String, Regex), AlterError> {
    let illegal = |why: &str| {
        AlterError::InvalidConfig(format!("Illegal client matching pattern: {text} ({why})"))
    };
    let Some((attribute, expression)) = text.split_once('=') else {
        return Err(illegal("a pattern is written attribute=expression"));
    };
    let (attribute, expression) = (attribute.trim(), expression.trim());
    if !ATTRIBUTES.contains(&attribute) {
        return Err(illegal(&format!(
            "attributes are {}",
            ATTRIBUTES.join(", ")
        )));
    }
    if expression.is_empty() || expression.contains('=') {
        return Err(illegal("an expression is not empty and has no `=`"));
    }
    let compiled = RegexBuilder::new(&format!("^(?:{expression})$"))
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|_| illegal("no regular expression, or one that is too large"))?;
    Ok((attribute.to_owned(), compiled))
}

impl Settings {
    /// A subscription's own settings; empty if there is none.
    pub(crate) fn client_metrics_values(&self, name: &str) -> Arc<Values> {
        let snapshot = self.current.load();
        snapshot
            .client_metrics
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    /// The subscriptions, in the order of their names.
    pub(crate) fn client_metrics_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.current.load().client_metrics.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// The subscriptions as types, in the order of their names.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let snapshot = self.current.load();
        let mut named: Vec<_> = snapshot.client_metrics.iter().collect();
        named.sort_unstable_by(|a, b| a.0.cmp(b.0));
        named
            .into_iter()
            .filter_map(|(_, own)| Subscription::new(own).ok())
            .collect()
    }

    /// The subscriptions as they were set: another `Arc` whenever one changes.
    pub(crate) fn subscriptions_as_set(&self) -> Arc<Named> {
        self.current.load().client_metrics.clone()
    }

    /// Whether there is any subscription.
    pub(crate) fn has_subscriptions(&self) -> bool {
        !self.current.load().client_metrics.is_empty()
    }

    /// Changes a subscription: checked, committed, in force when this returns. `None` if nothing had to be written.
    pub(crate) fn alter_client_metrics(
        &self,
        store: &Store,
        name: &str,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<Option<Commit>, AlterError> {
        if name.is_empty() {
            return Err(AlterError::InvalidRequest(
                "Subscription name can't be empty".to_owned(),
            ));
        }
        let _one_at_a_time = self.changing.lock();
        let current = self.client_metrics_values(name);
        let changed = altered(&current, changes)?;
        if validate_only || changed == *current {
            return Ok(None);
        }
        let commit = store.commit(vec![named::kept(KEY, name, &changed)])?;
        self.remember_client_metrics(name, changed);
        Ok(Some(commit))
    }

    /// Puts a subscription in force.
    pub(crate) fn remember_client_metrics(&self, name: &str, own: Values) {
        let all = named::with(&self.current.load().client_metrics, name, own);
        self.replace_client_metrics(all);
    }

    fn replace_client_metrics(&self, all: Named) {
        self.store_snapshot(Snapshot {
            client_metrics: Arc::new(all),
            ..Snapshot::clone(&self.current.load())
        });
    }

    /// Puts the stored subscriptions in force.
    pub(super) fn load_client_metrics(&self, store: &Store) -> Result<(), StoreError> {
        let all = named::load(store, KEY, |own| {
            altered(&Values::new(), &Changes::All(own.clone())).map(drop)
        })?;
        if !all.is_empty() {
            self.replace_client_metrics(all);
        }
        Ok(())
    }
}

/// A subscription's own settings after `changes`, checked; the values as they are to be stored.
fn altered(current: &Values, changes: &Changes) -> Result<Values, AlterError> {
    let mut checked = Values::new();
    // Kafka does not know that some of these are lists, so that clients can neither append nor subtract.
    for (name, value) in apply(current, changes, |_| None)? {
        let Some(definition) = table::client_metrics_setting(&name) else {
            return Err(AlterError::InvalidRequest(unknown_name(
                "client metrics",
                &name,
            )));
        };
        // Kafka's error for a number out of range, and for no number, differ.
        definition
            .check(&value)
            .map_err(|reason| match value.trim().parse::<i32>() {
                Ok(_) => AlterError::InvalidRequest(reason),
                Err(_) => AlterError::InvalidConfig(reason),
            })?;
        checked.insert(name, definition.normalize(&value));
    }
    Subscription::new(&checked)?;
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, value: &str) -> Result<Values, String> {
        let values = Values::from([(name.to_owned(), value.to_owned())]);
        altered(&Values::new(), &Changes::All(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_subscription_is_checked_and_a_refusal_says_what_is_allowed() {
        for (name, value) in [
            ("metrics", "*"),
            (
                "metrics",
                "org.apache.kafka.consumer., org.apache.kafka.producer.",
            ),
            ("interval.ms", "100"),
            ("interval.ms", "3600000"),
            (
                "match",
                "client_id=app-[0-9]+, client_source_address=10\\..*",
            ),
            ("match", ""),
        ] {
            assert!(
                own(name, value).is_ok(),
                "{name}={value}: {:?}",
                own(name, value)
            );
        }
        for (name, value, said) in [
            ("interval.ms", "99", "at least 100"),
            ("interval.ms", "3600001", "no more than 3600000"),
            ("interval.ms", "soon", "Not a number"),
            (
                "no.such",
                "1",
                "Unknown client metrics config name: no.such",
            ),
            ("match", "client_id", "attribute=expression"),
            ("match", "rack=a", "attributes are"),
            ("match", "client_id=(", "no regular expression"),
            ("match", "client_id=(a{1000}){1000}", "too large"),
            ("match", "client_id=", "not empty"),
        ] {
            let refused = own(name, value);
            assert!(
                refused.as_ref().is_err_and(|e| e.contains(said)),
                "{name}={value}: {refused:?}"
            );
        }
    }
}
