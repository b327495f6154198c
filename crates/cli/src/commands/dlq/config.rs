//! `ottla dlq config`.

use anyhow::bail;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::views;
use crate::args::{ClientArgs, name_value};
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

const HELP: &str = "\
A group's own settings go before its topics', those before the broker's. The names may be given without dlq. before them.

Examples:
  ottla dlq config --group billing --set mode=enforce --set max.attempts=3
  ottla dlq config --group billing --topic orders
  ottla dlq config --topic orders --unset mode";

/// Shows what is in force, for the broker, a topic, a group, or a group on a topic; with --set and --unset changes it.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ConfigArgs {
    /// Of this topic
    #[arg(short, long)]
    topic: Option<String>,
    /// Of this group
    #[arg(short, long)]
    group: Option<String>,
    /// Set this; repeatable
    #[arg(short, long = "set", value_name = "NAME=VALUE", value_parser = name_value)]
    set: Vec<(String, String)>,
    /// Take this back, to what holds without it; repeatable
    #[arg(short, long = "unset", value_name = "NAME")]
    unset: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Config {
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    name: String,
    value: Option<String>,
    source: String,
}

pub async fn run(args: ConfigArgs) -> anyhow::Result<()> {
    let changes = changes(&args)?;
    let parameters: Vec<(&str, String)> = [("topic", &args.topic), ("group", &args.group)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect();
    let place = path(&["v1", "dlq-config"], &parameters);
    let http = Http::new(&args.client);
    let answer: Value = match changes.is_empty() {
        true => http.get(&place).await?,
        false => http.patch(&place, &Value::Object(changes.clone())).await?,
    };
    if args.json {
        output::json(&mut std::io::stdout(), &answer)?;
        return Ok(());
    }
    let config: Config = views::typed(&answer)?;
    let shown: Vec<Vec<String>> = config
        .settings
        .into_iter()
        // What was changed, or everything.
        .filter(|setting| changes.is_empty() || changes.contains_key(&setting.name))
        .map(|setting| {
            let value = setting.value.filter(|value| !value.is_empty());
            vec![setting.name, output::or_dash(value), setting.source]
        })
        .collect();
    output::table(
        &mut std::io::stdout(),
        &["SETTING", "VALUE", "FROM"],
        &shown,
    )?;
    if !changes.is_empty() {
        say!("Changed; it counts from now on.");
    }
    Ok(())
}

fn changes(args: &ConfigArgs) -> anyhow::Result<Map<String, Value>> {
    let mut changes = Map::new();
    let set = args
        .set
        .iter()
        .map(|(name, value)| (name, Value::String(value.clone())));
    let unset = args.unset.iter().map(|name| (name, Value::Null));
    for (name, value) in set.chain(unset) {
        let name = match name.starts_with("dlq.") {
            true => name.clone(),
            false => format!("dlq.{name}"),
        };
        if changes.insert(name.clone(), value).is_some() {
            bail!("{name} is given twice");
        }
    }
    Ok(changes)
}
