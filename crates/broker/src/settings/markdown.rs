//! docs/SETTINGS.md, made from the table.

use std::fmt::Write;

use super::definition::{Definition, Importance, Kind, Scope, Unit, Update, Valid};
use super::dynamic::ADVERTISED_LISTENERS;
use super::table;

const HEAD: &str = "\
# Settings

Made from the table in `crates/broker/src/settings/table`; change it there, then run
`UPDATE=1 cargo test -p ottla-broker settings_page`.

Names are Kafka's; Ottla's own start with `ottla.`. A name that is in no table is warned of and ignored. In the
environment `num.partitions` is `KAFKA_NUM_PARTITIONS`, `KAFKA_CFG_NUM_PARTITIONS` or `OTTLA_NUM_PARTITIONS`, and `ottla.durability`
`OTTLA_DURABILITY` (one `_` for a dot, two for a `_`, three for a `-`; more in [DROPIN.md](DROPIN.md)). The column *change* says
when a broker setting takes a new value: *start* when the broker starts, *any time* also while it runs (`kafka-configs --alter`).
Topic settings change at any time. Settings of dead letters (`dlq.`) exist for the broker, for topics and for groups, with the same
names: what a group sets goes before what the topic sets, and that before the broker (`kafka-configs --entity-type groups`);
`dlq.topic.suffix` is the broker's alone, `dlq.topic.name` a topic's alone. *No effect* marks names that are accepted, kept and shown, so that files and tools made for Kafka
work, and that change nothing in Ottla.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for chapter in table::CHAPTERS {
        // The same at another level is not said again.
        let told = |row: &&Definition| {
            row.scope != Scope::Broker
                && table::broker_setting(row.name).is_some_and(|broker| broker.doc == row.doc)
        };
        let rows: Vec<_> = chapter.rows.iter().filter(|row| !told(row)).collect();
        if rows.is_empty() {
            continue;
        }
        write!(page, "\n## {}\n\n| name | type | default | values | change | what it does |\n|---|---|---|---|---|---|\n", chapter.title)
            .expect("a string takes everything");
        for row in rows {
            writeln!(page, "{}", line(row)).expect("a string takes everything");
        }
    }
    page
}

fn line(row: &Definition) -> String {
    let default = match row.default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    };
    let values = match row.valid {
        Valid::Any => String::new(),
        Valid::AtLeast(min) => format!("≥ {min}"),
        Valid::Between(min, max) => format!("{min} to {max}"),
        Valid::BetweenReal(min, max) => format!("{min} to {max}"),
        Valid::TopicNamePart => "what a topic's name may hold".to_owned(),
        Valid::OneOf(values) => values
            .iter()
            .map(|v| format!("`{v}`"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let change = match (row.scope, row.update) {
        (Scope::Topic | Scope::Group | Scope::ClientMetrics, _)
        | (Scope::Broker, Update::ClusterWide) => "any time",
        _ if row.name == ADVERTISED_LISTENERS => "any time, for a broker by its id",
        (Scope::Broker, Update::ReadOnly | Update::PerBroker) => "start",
    };
    let mut doc = row.doc.to_owned();
    if row.scope != Scope::Broker && !row.synonyms.is_empty() {
        let from: Vec<_> = row
            .synonyms
            .iter()
            .map(|s| {
                let unit = match s.unit {
                    Unit::Same => "",
                    Unit::Minutes => " (minutes)",
                    Unit::Hours => " (hours)",
                };
                format!("`{}`{unit}", s.name)
            })
            .collect();
        write!(doc, " Broker default: {}.", from.join(", ")).expect("a string takes everything");
    }
    if !row.has_effect {
        doc.insert_str(0, "*No effect.* ");
    }
    let name = match row.importance {
        Importance::High => format!("**`{}`**", row.name),
        Importance::Medium | Importance::Low => format!("`{}`", row.name),
    };
    format!(
        "| {name} | {} | {default} | {values} | {change} | {doc} |",
        kind_name(row.kind)
    )
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "boolean",
        Kind::String => "string",
        Kind::Int => "int",
        Kind::Short => "short",
        Kind::Long => "long",
        Kind::Double => "double",
        Kind::List => "list",
        Kind::Class => "class",
        Kind::Password => "password",
    }
}

#[test]
fn the_settings_page_is_what_the_table_gives() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SETTINGS.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).expect("docs can be written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/SETTINGS.md is not what the table gives: run `UPDATE=1 cargo test -p ottla-broker settings_page`"
    );
}
