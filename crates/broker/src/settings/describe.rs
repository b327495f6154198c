//! Settings as DescribeConfigs and CreateTopics show them.

use super::definition::{Definition, Scope, Update};
use super::layers::{Given, Source, Values};
use super::{Settings, table};

/// One setting of a resource.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// Its row of the table.
    pub definition: &'static Definition,
    /// `None` if it is unset or must not be shown.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Whether it cannot change while the broker runs.
    pub read_only: bool,
    /// Every place that gives a value, best first.
    pub synonyms: Vec<Given>,
}

impl Described {
    /// The documentation, which says so if the setting has no effect.
    pub fn documentation(&self) -> String {
        let doc = self.definition.doc;
        if self.definition.has_effect {
            doc.to_owned()
        } else {
            format!("Accepted, without effect in Ottla. {doc}")
        }
    }
}

impl Settings {
    /// All settings of a topic with these of its own, in the order of their names.
    pub(crate) fn describe_topic(&self, own: &Values) -> Vec<Described> {
        self.describe_own(Scope::Topic, own, Source::Topic)
    }

    /// All settings of a group, in the order of their names. Those of a topic go before the broker's, which are shown here.
    pub(crate) fn describe_group(&self, group: &str) -> Vec<Described> {
        self.describe_own(Scope::Group, &self.group_values(group), Source::Group)
    }

    /// All settings of a subscription of client metrics, in the order of their names.
    pub(crate) fn describe_client_metrics(&self, name: &str) -> Vec<Described> {
        self.describe_own(
            Scope::ClientMetrics,
            &self.client_metrics_values(name),
            Source::ClientMetrics,
        )
    }

    fn describe_own(&self, scope: Scope, own: &Values, source: Source) -> Vec<Described> {
        let layers = self.layers();
        let mut rows: Vec<_> = table::rows().filter(|row| row.scope == scope).collect();
        rows.sort_unstable_by_key(|row| row.name);
        rows.into_iter()
            .map(|definition| {
                let mut synonyms: Vec<Given> = definition
                    .synonyms
                    .first()
                    .map(|broker| layers.given(broker.name))
                    .unwrap_or_default();
                // As in Kafka, a group's default is shown under its own name if the broker has none for it.
                if let (Scope::Group, [], Some(value)) =
                    (scope, synonyms.as_slice(), definition.default)
                {
                    synonyms.push(Given {
                        name: definition.name.to_owned(),
                        value: value.to_owned(),
                        source: Source::Default,
                    });
                }
                if let Some(value) = own.get(definition.name) {
                    let given = Given {
                        name: definition.name.to_owned(),
                        value: value.clone(),
                        source,
                    };
                    synonyms.insert(0, given);
                }
                described(
                    definition,
                    layers.topic_value(definition, own),
                    synonyms,
                    false,
                )
            })
            .collect()
    }

    /// All settings of this broker.
    pub(crate) fn describe_broker(&self) -> Vec<Described> {
        let layers = self.layers();
        table::rows()
            .filter(|row| row.scope == Scope::Broker)
            .map(|row| {
                described(
                    row,
                    layers.value(row.name).map(str::to_owned),
                    layers.given(row.name),
                    row.update == Update::ReadOnly,
                )
            })
            .collect()
    }

    /// The dynamic defaults of all brokers: only what is set.
    pub(crate) fn describe_broker_defaults(&self) -> Vec<Described> {
        let layers = self.layers();
        layers
            .cluster
            .iter()
            .filter_map(|(name, value)| {
                let row = table::broker_setting(name)?;
                let mut given = layers.given(name);
                given.retain(|given| given.source == Source::DynamicDefault);
                Some(described(row, Some(value.clone()), given, false))
            })
            .collect()
    }
}

fn described(
    definition: &'static Definition,
    value: Option<String>,
    synonyms: Vec<Given>,
    read_only: bool,
) -> Described {
    Described {
        definition,
        value: value.filter(|_| !definition.is_sensitive()),
        source: synonyms
            .first()
            .map_or(Source::Default, |given| given.source),
        read_only,
        synonyms,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::BrokerConfig;

    #[test]
    fn a_setting_is_shown_with_its_value_and_source() {
        let given = [
            ("log.retention.ms", "60000"),
            ("ssl.key.password", "secret"),
            ("message.max.bytes", "7"),
        ];
        let settings = Settings::new(&BrokerConfig {
            data_dir: PathBuf::from("/data"),
            values: given
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        })
        .expect("is valid");
        let own = Values::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let topic = settings.describe_topic(&own);
        let broker = settings.describe_broker();
        for (all, name, value, source, read_only) in [
            (&topic, "cleanup.policy", Some("compact"), 1, false),
            (&topic, "retention.ms", Some("60000"), 4, false),
            (&topic, "max.message.bytes", Some("7"), 4, false),
            (&topic, "segment.bytes", Some("1073741824"), 5, false),
            (&broker, "log.dirs", Some("/data"), 4, true),
            (&broker, "listeners", Some("PLAINTEXT://:9092"), 5, false),
            (&broker, "ssl.key.password", None, 4, false),
            (&broker, "log.retention.minutes", None, 5, true),
        ] {
            let row = all
                .iter()
                .find(|row| row.definition.name == name)
                .expect("is listed");
            assert_eq!(
                (row.value.as_deref(), row.source as i8, row.read_only),
                (value, source, read_only),
                "{name}"
            );
        }
        let kafkas = topic
            .iter()
            .filter(|row| !row.definition.name.starts_with("dlq."));
        assert_eq!(kafkas.count(), 33);
        assert!(topic.is_sorted_by_key(|row| row.definition.name));
    }
}
