//! Settings of groups: set while the broker runs, kept in the store, put in force at the start.

use std::sync::Arc;

use ottla_storage::{Commit, Store, StoreError};

use super::dynamic::{AlterError, Changes, apply, unknown_name};
use super::layers::Values;
use super::named::{self, Named};
use super::{Settings, Snapshot, table};

/// What comes before a group's name in the key of its row.
const KEY: &[u8] = b"group/";

impl Settings {
    /// A group's own settings; empty if it has none.
    pub(crate) fn group_values(&self, group: &str) -> Arc<Values> {
        self.current
            .load()
            .groups
            .get(group)
            .cloned()
            .unwrap_or_default()
    }

    /// The groups that have settings of their own, in the order of their names.
    pub(crate) fn groups_with_settings(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.current.load().groups.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Changes a group's settings: checked, committed, in force when this returns. `None` if nothing had to be written.
    /// The group need not exist.
    pub(crate) fn alter_group(
        &self,
        store: &Store,
        group: &str,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<Option<Commit>, AlterError> {
        if group.is_empty() {
            return Err(AlterError::InvalidRequest(
                "Default group resources are not allowed.".to_owned(),
            ));
        }
        let _one_at_a_time = self.changing.lock();
        let current = self.group_values(group);
        let changed = self.altered_group(&current, changes)?;
        if validate_only || changed == *current {
            return Ok(None);
        }
        let commit = store.commit(vec![named::kept(KEY, group, &changed)])?;
        self.remember_group(group, changed);
        Ok(Some(commit))
    }

    /// A group's own settings after `changes`, checked; the values as they are to be stored.
    pub(super) fn altered_group(
        &self,
        current: &Values,
        changes: &Changes,
    ) -> Result<Values, AlterError> {
        let mut checked = Values::new();
        for (name, value) in apply(current, changes, table::group_setting)? {
            let Some(definition) = table::group_setting(&name) else {
                return Err(AlterError::InvalidConfig(unknown_name("group", &name)));
            };
            definition
                .check(&value)
                .map_err(AlterError::InvalidConfig)?;
            checked.insert(name, definition.normalize(&value));
        }
        Ok(checked)
    }

    /// Puts a group's settings in force.
    pub(super) fn remember_group(&self, group: &str, own: Values) {
        let groups = named::with(&self.current.load().groups, group, own);
        self.replace_groups(groups);
    }

    fn replace_groups(&self, groups: Named) {
        self.store_snapshot(Snapshot {
            groups: Arc::new(groups),
            ..Snapshot::clone(&self.current.load())
        });
    }

    /// Puts the stored settings of all groups in force. Values that this version does not take (any more) are left out with a warning.
    pub(super) fn load_groups(&self, store: &Store) -> Result<(), StoreError> {
        let groups = named::load(store, KEY, |own| {
            self.altered_group(&Values::new(), &Changes::All(own.clone()))
                .map(drop)
        })?;
        if !groups.is_empty() {
            self.replace_groups(groups);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::{Alteration, BrokerConfig};

    #[test]
    fn a_groups_settings_are_checked_and_a_refusal_names_what_is_allowed() {
        let settings = Settings::new(&BrokerConfig {
            data_dir: PathBuf::from("data"),
            values: Values::new(),
        })
        .expect("defaults are valid");
        for (name, value, expected) in [
            ("dlq.mode", " enforce ", Ok("enforce")),
            (
                "dlq.mode",
                "on",
                Err(
                    "Invalid value on for configuration dlq.mode: String must be one of: off, detect, enforce",
                ),
            ),
            (
                "dlq.max.attempts",
                "0",
                Err("Invalid value 0 for configuration dlq.max.attempts: Value must be at least 1"),
            ),
            (
                "retention.ms",
                "1",
                Err("Unknown group config name: retention.ms"),
            ),
            (
                "dlq.topic.name",
                "x",
                Err(
                    "Unknown group config name: dlq.topic.name. Settings of dead letters are: dlq.breaker.consecutive, dlq.breaker.partitions, dlq.isolation.attempts, dlq.isolation.patience.ms, dlq.max.attempts, dlq.mode, dlq.redrive.max, dlq.retry.backoff.max.ms, dlq.retry.backoff.ms, dlq.retry.mode",
                ),
            ),
        ] {
            let changes = Changes::Some(vec![(name.to_owned(), Alteration::Set(value.to_owned()))]);
            let result = settings
                .altered_group(&Values::new(), &changes)
                .map(|own| own[name].clone())
                .map_err(|error| error.to_string());
            assert_eq!(
                result.as_deref().map_err(String::as_str),
                expected,
                "{name}={value}"
            );
        }
    }
}
