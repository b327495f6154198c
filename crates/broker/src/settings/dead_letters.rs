//! The settings that dead letters of a group on a topic follow: the group's own go before the topic's, those before the broker's.

use std::ops::Bound;
use std::str::FromStr;

use ottla_dlq::settings::{Mode, RetryMode, Settings as DeadLetters};
use ottla_storage::Store;

use super::layers::{Layers, Values};
use super::{Settings, table};

impl Settings {
    /// What is in force for `group` on `topic` now. Cheap: only what the topic and the group set themselves is read anew.
    ///
    /// A topic that does not exist has no settings of its own.
    pub fn dead_letters(&self, store: &Store, group: &str, topic: &str) -> DeadLetters {
        match store.topics().by_name(topic) {
            Some(topic) => self.dead_letters_of(group, &topic.configs),
            None => self.dead_letters_of(group, &Values::new()),
        }
    }

    /// The same for a topic with these settings of its own.
    pub fn dead_letters_of(&self, group: &str, topic: &Values) -> DeadLetters {
        let snapshot = self.current.load();
        let mut settings = snapshot.effective.dead_letters.clone();
        apply(&mut settings, topic);
        if let Some(own) = snapshot.groups.get(group) {
            apply(&mut settings, own);
        }
        settings
    }

    /// The name of a topic's dead letter queue: `dlq.topic.name`, or the topic's name with `dlq.topic.suffix`.
    pub fn dead_letter_topic(&self, store: &Store, topic: &str) -> String {
        let named = store
            .topics()
            .by_name(topic)
            .and_then(|topic| topic.configs.get("dlq.topic.name").cloned())
            .filter(|name| !name.is_empty());
        named.unwrap_or_else(|| {
            let snapshot = self.current.load();
            format!("{topic}{}", snapshot.effective.dead_letter_topic_suffix)
        })
    }
}

/// The broker's defaults.
pub(super) fn defaults(layers: &Layers) -> DeadLetters {
    let mut settings = DeadLetters::default();
    for row in table::dead_letters() {
        if let Some(value) = layers.value(row.name) {
            set(&mut settings, row.name, value);
        }
    }
    settings
}

/// Puts what `own` sets over `settings`.
fn apply(settings: &mut DeadLetters, own: &Values) {
    let prefixed = own
        .range::<str, _>((Bound::Included("dlq."), Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with("dlq."));
    for (name, value) in prefixed {
        set(settings, name, value);
    }
}

/// Sets one value. One that cannot be read changes nothing: values are checked when they are set, and a group must stay usable.
fn set(settings: &mut DeadLetters, name: &str, value: &str) {
    match name {
        "dlq.mode" => match value {
            "off" => settings.mode = Mode::Off,
            "detect" => settings.mode = Mode::Detect,
            "enforce" => settings.mode = Mode::Enforce,
            _ => {}
        },
        "dlq.max.attempts" => number(&mut settings.max_attempts, value),
        "dlq.isolation.attempts" => number(&mut settings.isolation_attempts, value),
        "dlq.isolation.patience.ms" => number(&mut settings.isolation_patience_ms, value),
        "dlq.breaker.consecutive" => number(&mut settings.breaker_consecutive, value),
        "dlq.breaker.partitions" => number(&mut settings.breaker_partitions, value),
        "dlq.retry.backoff.ms" => number(&mut settings.retry_backoff_ms, value),
        "dlq.retry.backoff.max.ms" => number(&mut settings.retry_backoff_max_ms, value),
        "dlq.retry.mode" => match value {
            "ordered" => settings.retry_mode = RetryMode::Ordered,
            "unordered" => settings.retry_mode = RetryMode::Unordered,
            _ => {}
        },
        "dlq.redrive.max" => number(&mut settings.redrive_max, value),
        _ => {}
    }
}

fn number<T: FromStr>(setting: &mut T, value: &str) {
    if let Ok(value) = value.trim().parse() {
        *setting = value;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::{Alteration, BrokerConfig, Changes};

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn settings(given: &[(&str, &str)]) -> Settings {
        Settings::new(&BrokerConfig {
            data_dir: PathBuf::from("data"),
            values: values(given),
        })
        .expect("is valid")
    }

    /// The value that makes a setting differ from its default.
    fn other_value(name: &str) -> &'static str {
        match name {
            "dlq.mode" => "off",
            "dlq.retry.mode" => "unordered",
            _ => "77",
        }
    }

    #[test]
    fn the_tables_defaults_are_those_of_the_policy() {
        assert_eq!(
            settings(&[]).dead_letters_of("g", &Values::new()),
            DeadLetters::default()
        );
    }

    #[test]
    fn every_setting_is_read_at_each_level() {
        for row in table::dead_letters() {
            let given = [(row.name, other_value(row.name))];
            let of_broker = settings(&given).dead_letters_of("g", &Values::new());
            let of_topic = settings(&[]).dead_letters_of("g", &values(&given));
            assert_ne!(of_broker, DeadLetters::default(), "{}", row.name);
            assert_eq!(of_broker, of_topic, "{}", row.name);
        }
    }

    #[test]
    fn a_groups_own_settings_go_before_the_topics_and_those_before_the_brokers() {
        let all = settings(&[
            ("dlq.max.attempts", "2"),
            ("dlq.mode", "enforce"),
            ("dlq.breaker.consecutive", "9"),
        ]);
        let topic = values(&[("dlq.max.attempts", "3"), ("dlq.mode", "off")]);
        let set = |name: &str, value: &str| (name.to_owned(), Alteration::Set(value.to_owned()));
        all.remember_group(
            "billing",
            all.altered_group(
                &Values::new(),
                &Changes::Some(vec![set("dlq.max.attempts", "4")]),
            )
            .expect("is valid"),
        );
        let of = |group| {
            let found = all.dead_letters_of(group, &topic);
            (found.max_attempts, found.mode, found.breaker_consecutive)
        };
        assert_eq!(of("billing"), (4, Mode::Off, 9));
        assert_eq!(of("shipping"), (3, Mode::Off, 9));
        let without_topic = all.dead_letters_of("shipping", &Values::new());
        assert_eq!(
            (without_topic.max_attempts, without_topic.mode),
            (2, Mode::Enforce)
        );
    }

    #[test]
    fn a_stored_value_that_cannot_be_read_changes_nothing() {
        let topic = values(&[
            ("dlq.max.attempts", "many"),
            ("dlq.mode", "on"),
            ("dlq.unknown", "1"),
        ]);
        assert_eq!(
            settings(&[]).dead_letters_of("g", &topic),
            DeadLetters::default()
        );
    }
}
