//! The one table of settings, in chapters.

mod accepted;
mod client_metrics;
mod dead_letters;
mod group;
mod groups;
mod log;
mod network;
mod node;
mod own;
mod security;
mod topic;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) use accepted::is_accepted;

use super::definition::{Definition, Scope};

/// A chapter: a title for the documentation, and its rows.
pub(super) struct Chapter {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by the page of settings, which a test makes")
    )]
    pub title: &'static str,
    pub rows: &'static [Definition],
}

/// All chapters, in the order of the documentation.
pub(super) const CHAPTERS: &[Chapter] = &[
    Chapter {
        title: "Topic settings",
        rows: topic::ROWS,
    },
    Chapter {
        title: "Ottla's own",
        rows: own::ROWS,
    },
    Chapter {
        title: "Dead letters",
        rows: dead_letters::BROKER,
    },
    Chapter {
        title: "Dead letters, of topics",
        rows: dead_letters::TOPIC,
    },
    Chapter {
        title: "Dead letters, of groups",
        rows: dead_letters::GROUP,
    },
    Chapter {
        title: "Node and topics",
        rows: node::ROWS,
    },
    Chapter {
        title: "Network",
        rows: network::ROWS,
    },
    Chapter {
        title: "Log",
        rows: log::ROWS,
    },
    Chapter {
        title: "Groups, producers and transactions",
        rows: groups::ROWS,
    },
    Chapter {
        title: "Group settings",
        rows: group::ROWS,
    },
    Chapter {
        title: "Client metrics",
        rows: client_metrics::ROWS,
    },
    Chapter {
        title: "Security",
        rows: security::ROWS,
    },
];

/// All rows.
pub(super) fn rows() -> impl Iterator<Item = &'static Definition> {
    CHAPTERS.iter().flat_map(|chapter| chapter.rows)
}

static TOPIC: LazyLock<HashMap<&'static str, &'static Definition>> =
    LazyLock::new(|| index(Scope::Topic));
static BROKER: LazyLock<HashMap<&'static str, &'static Definition>> =
    LazyLock::new(|| index(Scope::Broker));

static GROUP: LazyLock<HashMap<&'static str, &'static Definition>> =
    LazyLock::new(|| index(Scope::Group));

static CLIENT_METRICS: LazyLock<HashMap<&'static str, &'static Definition>> =
    LazyLock::new(|| index(Scope::ClientMetrics));

fn index(scope: Scope) -> HashMap<&'static str, &'static Definition> {
    rows()
        .filter(|row| row.scope == scope)
        .map(|row| (row.name, row))
        .collect()
}

/// The topic setting of this name.
pub(super) fn topic_setting(name: &str) -> Option<&'static Definition> {
    TOPIC.get(name).copied()
}

/// The group setting of this name.
pub(super) fn group_setting(name: &str) -> Option<&'static Definition> {
    GROUP.get(name).copied()
}

/// The setting of this name that a subscription of client metrics has.
pub(super) fn client_metrics_setting(name: &str) -> Option<&'static Definition> {
    CLIENT_METRICS.get(name).copied()
}

/// The broker settings that give the defaults of dead letters' policy.
pub(super) fn dead_letters() -> impl Iterator<Item = &'static Definition> {
    dead_letters::GROUP.iter()
}

/// The broker setting of this name.
pub(super) fn broker_setting(name: &str) -> Option<&'static Definition> {
    BROKER.get(name).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_defined_once_and_every_default_and_synonym_is_valid() {
        let mut names = BTreeSet::new();
        for row in rows() {
            assert!(
                names.insert((row.scope.name(), row.name)),
                "{} twice",
                row.name
            );
            assert!(
                row.doc.ends_with('.'),
                "{}: the documentation is a sentence",
                row.name
            );
            if let Some(default) = row.default {
                assert_eq!(row.check(default), Ok(()), "{}", row.name);
            }
            for synonym in row.synonyms {
                assert!(
                    broker_setting(synonym.name).is_some(),
                    "{}: {}",
                    row.name,
                    synonym.name
                );
            }
        }
    }

    #[test]
    fn the_default_of_a_topic_or_a_group_is_that_of_its_broker_settings() {
        for row in rows().filter(|row| row.scope != Scope::Broker) {
            let inherited = row.synonyms.iter().find_map(|synonym| {
                let value = broker_setting(synonym.name)?.default?;
                super::super::definition::convert(value, synonym.unit)
            });
            if let Some(inherited) = inherited {
                assert_eq!(Some(inherited.as_str()), row.default, "{}", row.name);
            }
        }
    }
}
