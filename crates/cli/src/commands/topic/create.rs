//! `ottla topic create`.

use clap::Args;
use ottla_client::ClientError;
use ottla_client::admin::{CreatedTopic, NewTopic};
use ottla_client::kafka_protocol::ResponseError;
use serde_json::{Value, json};

use crate::args::{ClientArgs, name_value};
use crate::output;
use crate::talk::{say, tell_all_but_last};

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The topics' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How many partitions [default: the broker's num.partitions]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas [default: the broker's default.replication.factor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting, as in retention.ms=3600000; repeatable
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_value)]
    config: Vec<(String, String)>,
    /// Succeed if the topic is there already
    #[arg(long)]
    if_not_exists: bool,
    /// Check only, create nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, a line for each topic
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: CreateArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let topics: Vec<NewTopic> = args
        .names
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partitions: args.partitions,
            replication_factor: args.replication_factor,
            configs: args.config.clone(),
        })
        .collect();
    let mut failed = None;
    let exists = |error: &ClientError| {
        args.if_not_exists && error.broker_error() == Some(ResponseError::TopicAlreadyExists)
    };
    for (name, result) in client.create_topics(&topics, args.dry_run).await? {
        let topic = match result {
            Ok(topic) => Some(topic),
            Err(error) if exists(&error) => None,
            Err(error) => {
                tell_all_but_last(&mut failed, error);
                continue;
            }
        };
        if args.json {
            let created = topic.is_some() && !args.dry_run;
            let line = as_json(&name, topic.as_ref(), created);
            output::json(&mut std::io::stdout(), &line)?;
        } else if topic.is_some() && args.dry_run {
            say!("Topic {name} could be created.");
        } else if topic.is_some() {
            say!("Created topic {name}.");
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// A topic that was there before has only its name. The id that a dry run is told is kept by nobody.
fn as_json(name: &str, topic: Option<&CreatedTopic>, created: bool) -> Value {
    json!({
        "topic": name,
        "id": topic.filter(|t| created && !t.id.is_nil()).map(|t| t.id.to_string()),
        "partitions": topic.map(|t| t.partitions),
        "created": created,
    })
}
