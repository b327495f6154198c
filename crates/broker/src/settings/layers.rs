//! Where values come from: dynamic settings of this broker, dynamic defaults, the start, the table. First match wins.

use std::collections::BTreeMap;

use super::definition::{Definition, convert};
use super::table;

/// The source of a value, with the numbers of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefault = 3,
    Static = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

/// Settings by name.
pub type Values = BTreeMap<String, String>;

/// All values that were given, by where they came from.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Set while running, for this broker.
    pub per_broker: Values,
    /// Set while running, for all brokers.
    pub cluster: Values,
    /// Given at the start: file, environment, flags.
    pub file: Values,
}

/// A value, where it came from, and under which name it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Given {
    pub name: String,
    pub value: String,
    pub source: Source,
}

impl Layers {
    /// The value of this very name, without regard to synonyms.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.set_value(name)
            .or_else(|| table::broker_setting(name)?.default)
    }

    fn set_value(&self, name: &str) -> Option<&str> {
        [&self.per_broker, &self.cluster, &self.file]
            .into_iter()
            .find_map(|layer| layer.get(name))
            .map(String::as_str)
    }

    /// The default that the broker's settings give a topic setting, in its unit.
    pub fn topic_default(&self, definition: &Definition) -> Option<String> {
        definition
            .synonyms
            .iter()
            .find_map(|synonym| convert(self.value(synonym.name)?, synonym.unit))
            .or_else(|| definition.default.map(str::to_owned))
    }

    /// A topic setting as it is in force: the topic's own, or the broker's default for it.
    pub fn topic_value(&self, definition: &Definition, own: &Values) -> Option<String> {
        own.get(definition.name)
            .cloned()
            .or_else(|| self.topic_default(definition))
    }

    /// Every place that gives a broker setting or a synonym of it a value, best first. As in Kafka, what comes before the
    /// first mention of the setting's own name is left out.
    pub fn given(&self, name: &str) -> Vec<Given> {
        let own = [super::definition::Synonym {
            name: "",
            unit: super::definition::Unit::Same,
        }];
        let family = match table::broker_setting(name) {
            Some(definition) if !definition.synonyms.is_empty() => definition.synonyms,
            _ => &own,
        };
        let names = || {
            family
                .iter()
                .map(|s| if s.name.is_empty() { name } else { s.name })
        };
        let given = |name: &str, value: &str, source| Given {
            name: name.to_owned(),
            value: value.to_owned(),
            source,
        };
        let mut result = Vec::new();
        for (layer, source) in [
            (&self.per_broker, Source::DynamicBroker),
            (&self.cluster, Source::DynamicDefault),
            (&self.file, Source::Static),
        ] {
            result.extend(names().filter_map(|name| Some(given(name, layer.get(name)?, source))));
        }
        result.extend(names().filter_map(|name| {
            Some(given(
                name,
                table::broker_setting(name)?.default?,
                Source::Default,
            ))
        }));
        let first = result
            .iter()
            .position(|given| given.name == name)
            .unwrap_or(result.len());
        result.split_off(first)
    }

    /// A value as a type. Values are checked before they get here, so that a value that cannot be read is the default's.
    pub fn get<T: std::str::FromStr>(&self, name: &'static str) -> T {
        let parse = |text: &str| text.trim().to_ascii_lowercase().parse().ok();
        self.set_value(name)
            .and_then(parse)
            .or_else(|| parse(table::broker_setting(name)?.default?))
            .expect("every setting that is read has a default of its type")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(
        file: &[(&str, &str)],
        cluster: &[(&str, &str)],
        per_broker: &[(&str, &str)],
    ) -> Layers {
        let own = |values: &[(&str, &str)]| {
            values
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect()
        };
        Layers {
            file: own(file),
            cluster: own(cluster),
            per_broker: own(per_broker),
        }
    }

    #[test]
    fn a_topic_inherits_from_the_first_synonym_that_is_set() {
        let retention = table::topic_setting("retention.ms").expect("defined");
        for (layers, expected) in [
            (layers(&[], &[], &[]), "604800000"),
            (layers(&[("log.retention.hours", "1")], &[], &[]), "3600000"),
            (
                layers(
                    &[("log.retention.hours", "1"), ("log.retention.minutes", "2")],
                    &[],
                    &[],
                ),
                "120000",
            ),
            (
                layers(
                    &[("log.retention.hours", "1")],
                    &[("log.retention.ms", "5")],
                    &[],
                ),
                "5",
            ),
            (
                layers(
                    &[],
                    &[("log.retention.ms", "5")],
                    &[("log.retention.ms", "6")],
                ),
                "6",
            ),
            (layers(&[("log.retention.hours", "-1")], &[], &[]), "-1"),
        ] {
            assert_eq!(layers.topic_default(retention).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_gives_a_value_is_listed_best_first_from_the_settings_own_name_on() {
        let layers = layers(
            &[("log.retention.hours", "1"), ("log.retention.ms", "7")],
            &[],
            &[("log.retention.ms", "9")],
        );
        let given: Vec<_> = layers
            .given("log.retention.ms")
            .into_iter()
            .map(|g| (g.name, g.value, g.source as i8))
            .collect();
        let row = |name: &str, value: &str, source| (name.to_owned(), value.to_owned(), source);
        assert_eq!(
            given,
            [
                row("log.retention.ms", "9", 2),
                row("log.retention.ms", "7", 4),
                row("log.retention.hours", "1", 4),
                row("log.retention.hours", "168", 5),
            ]
        );
        assert_eq!(Layers::default().given("log.retention.ms"), []);
    }
}
