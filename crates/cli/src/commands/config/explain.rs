//! `ottla config explain`: each setting's value, and where it came from.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use ottla_broker::settings::{self, Inspection};
use serde_json::{Value, json};

use crate::commands::serve::config::{self, SettingArgs};
use crate::commands::serve::sources::{Given, Origin, Sources};
use crate::output;
use crate::talk::say;

const HELP: &str = "\
Takes the flags of ottla serve that are settings, and the environment, and says what a broker started with them here would go by. \
Nothing is started.

Exits with 0 if the broker would start, with 1 if it would refuse a setting.

Examples:
  ottla config explain
  KAFKA_NUM_PARTITIONS=3 ottla config explain --config server.properties num.partitions
  ottla config explain --all --json";

/// Tells each setting's value, and where it came from.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ExplainArgs {
    /// Settings to tell of [default: those that are set]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Tell of those too that have their default
    #[arg(long, conflicts_with = "names")]
    all: bool,
    #[command(flatten)]
    settings: SettingArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One setting as it is in force.
struct Row<'a> {
    name: &'a str,
    /// `None`: unset.
    value: Option<String>,
    origin: Origin,
    /// What was given too, and does not count.
    overridden: Vec<&'a Given>,
    has_effect: bool,
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let (sources, warnings) = config::sources(&args.settings, std::env::vars_os())?;
    let inspection = sources.inspect();
    let mut rows = Vec::new();
    for name in names(args, &sources, &inspection)? {
        rows.push(row(name, &sources, &inspection));
    }
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &as_json(&rows, &sources, &inspection))?;
    } else {
        print(&mut out, &rows)?;
        for warning in warnings {
            say!("warning: {warning}");
        }
        for problem in &inspection.problems {
            say!("error: {}", sources.tell(problem));
        }
    }
    Ok(match inspection.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The settings to tell of, in the order of their names or in that in which they were asked for.
fn names<'a>(
    args: &'a ExplainArgs,
    sources: &'a Sources,
    inspection: &'a Inspection,
) -> anyhow::Result<Vec<&'a str>> {
    if let Some(unknown) = args.names.iter().find(|name| !settings::is_known(name)) {
        let meant = settings::nearest(unknown);
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        bail!("there is no setting {unknown}{meant}");
    }
    if !args.names.is_empty() {
        return Ok(args.names.iter().map(String::as_str).collect());
    }
    let mut names: BTreeSet<&str> = sources
        .names()
        .filter(|name| settings::is_known(name))
        .collect();
    names.extend(inspection.in_force.keys().map(String::as_str));
    match args.all {
        true => names.extend(settings::broker_settings().map(|row| row.name)),
        false => names.retain(|name| sources.origin(name) != Origin::Default),
    }
    Ok(names.into_iter().collect())
}

fn row<'a>(name: &'a str, sources: &'a Sources, inspection: &Inspection) -> Row<'a> {
    let definition = settings::broker_setting(name);
    let in_force = inspection.in_force.get(name).cloned();
    let given = || sources.get(name).map(|given| given.value.clone());
    let default = || Some(definition?.default?.to_owned());
    let value = in_force.or_else(given).or_else(default);
    Row {
        name,
        value: match definition.is_some_and(|row| row.is_sensitive()) {
            true => value.map(|_| "[hidden]".to_owned()),
            false => value,
        },
        origin: sources.origin(name),
        overridden: sources.all(name).skip(1).collect(),
        has_effect: definition.is_some_and(|row| row.has_effect),
    }
}

fn print(out: &mut impl Write, rows: &[Row<'_>]) -> io::Result<()> {
    let cells = |row: &Row<'_>| {
        let mut notes: Vec<String> = row
            .overridden
            .iter()
            .map(|given| format!("goes before {}", given.origin))
            .collect();
        if !row.has_effect {
            notes.push("no effect in Ottla".to_owned());
        }
        let value = row.value.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            row.name.to_owned(),
            value,
            row.origin.to_string(),
            notes.join("; "),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    output::table(out, &["SETTING", "VALUE", "SOURCE", "NOTE"], &cells)
}

fn as_json(rows: &[Row<'_>], sources: &Sources, inspection: &Inspection) -> Value {
    let setting = |row: &Row<'_>| {
        let hidden = row.value.as_deref() == Some("[hidden]");
        let overridden = row.overridden.iter().map(|given| {
            let value = if hidden { "[hidden]" } else { &given.value };
            json!({"value": value, "source": given.origin.as_json()})
        });
        json!({
            "name": row.name,
            "value": row.value,
            "source": row.origin.as_json(),
            "overridden": overridden.collect::<Vec<_>>(),
            "has_effect": row.has_effect,
        })
    };
    let unknown = |name: &str| {
        json!({
            "name": name,
            "source": sources.origin(name).as_json(),
            "meant": settings::nearest(name),
        })
    };
    json!({
        "starts": inspection.problems.is_empty(),
        "settings": rows.iter().map(setting).collect::<Vec<_>>(),
        "unknown": sources.unknown().map(unknown).collect::<Vec<_>>(),
        "problems": inspection.problems.iter().map(|problem| json!({
            "name": problem.name,
            "value": problem.value,
            "reason": problem.reason,
            "source": sources.origin(&problem.name).as_json(),
        })).collect::<Vec<_>>(),
    })
}
