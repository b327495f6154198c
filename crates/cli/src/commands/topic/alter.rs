//! `ottla topic alter`.

use anyhow::bail;
use clap::Args;
use ottla_client::admin::{ConfigChange, ConfigResource};
use serde_json::{Map, Value, json};

use crate::args::{ClientArgs, name_value};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct AlterArgs {
    /// The topic's name
    name: String,
    /// Raise the number of partitions to N; it cannot be lowered
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Give a setting a value, as in retention.ms=3600000; repeatable
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_value)]
    config: Vec<(String, String)>,
    /// Put a setting back to its default; repeatable
    #[arg(short, long, value_name = "NAME")]
    delete_config: Vec<String>,
    /// Print JSON, a line for what was changed; null for a setting that has its default again
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: AlterArgs) -> anyhow::Result<()> {
    let set = args
        .config
        .into_iter()
        .map(|(name, value)| ConfigChange::Set(name, value));
    let delete = args.delete_config.into_iter().map(ConfigChange::Delete);
    let changes: Vec<ConfigChange> = set.chain(delete).collect();
    if changes.is_empty() && args.partitions.is_none() {
        bail!("nothing to change: give --config, --delete-config or --partitions");
    }
    let mut client = args.client.connect().await?;
    if !changes.is_empty() {
        let topic = ConfigResource::Topic(args.name.clone());
        client.alter_configs(&topic, &changes).await?;
        if args.json {
            let line = json!({"topic": args.name, "configs": as_json(&changes)});
            output::json(&mut std::io::stdout(), &line)?;
        } else {
            say!("Changed the settings of topic {}.", args.name);
        }
    }
    if let Some(count) = args.partitions {
        client.create_partitions(&args.name, count).await?;
        if args.json {
            let line = json!({"topic": args.name, "partitions": count});
            output::json(&mut std::io::stdout(), &line)?;
        } else {
            say!("Topic {} has {count} partitions.", args.name);
        }
    }
    Ok(())
}

fn as_json(changes: &[ConfigChange]) -> Map<String, Value> {
    changes
        .iter()
        .map(|change| match change {
            ConfigChange::Set(name, value) => (name.clone(), json!(value)),
            ConfigChange::Delete(name) => (name.clone(), Value::Null),
        })
        .collect()
}
