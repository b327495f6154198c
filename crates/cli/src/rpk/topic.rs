//! `rpk topic`.

use clap::{Args, Subcommand};
use ottla_client::admin::NewTopic;
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{ClientError, Topics};

use super::Brokers;
use crate::args::name_value;
use crate::output;

#[derive(Debug, Subcommand)]
pub(super) enum TopicCommand {
    /// Create topics
    Create(CreateArgs),
    /// List topics
    #[command(alias = "ls")]
    List(ListArgs),
    /// Delete topics
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// How many partitions; -1 for the broker's default
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
    partitions: i32,
    /// How many replicas; -1 for the broker's default
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
    replicas: i16,
    /// A setting of the topics; repeatable
    #[arg(short = 'c', long, value_name = "NAME=VALUE", value_parser = name_value)]
    topic_config: Vec<(String, String)>,
    /// Succeed if a topic is there already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    brokers: Brokers,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// These alone
    names: Vec<String>,
    #[command(flatten)]
    brokers: Brokers,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    #[command(flatten)]
    brokers: Brokers,
}

pub(super) async fn run(command: TopicCommand) -> anyhow::Result<()> {
    match command {
        TopicCommand::Create(args) => create(args).await,
        TopicCommand::List(args) => list(args).await,
        TopicCommand::Delete(args) => delete(args).await,
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let topics: Vec<NewTopic> = args
        .names
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partitions: Some(args.partitions).filter(|n| *n != -1),
            replication_factor: Some(args.replicas).filter(|n| *n != -1),
            configs: args.topic_config.clone(),
        })
        .collect();
    let results = args
        .brokers
        .connect()
        .await?
        .create_topics(&topics, false)
        .await?;
    let results = results
        .into_iter()
        .map(|(name, result)| (name, result.map(|_| ())));
    report(results, args.if_not_exists)
}

async fn delete(args: DeleteArgs) -> anyhow::Result<()> {
    let results = args
        .brokers
        .connect()
        .await?
        .delete_topics(&args.names)
        .await?;
    report(results, false)
}

/// A line for each topic, and a failure if one of them failed.
fn report(
    results: impl IntoIterator<Item = (String, Result<(), ClientError>)>,
    exists_is_fine: bool,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut failed = None;
    for (name, result) in results {
        let status = match result {
            Ok(()) => "OK".to_owned(),
            Err(error) if error.broker_error() == Some(ResponseError::TopicAlreadyExists) => {
                if !exists_is_fine {
                    failed = Some(error);
                }
                "TOPIC_ALREADY_EXISTS".to_owned()
            }
            Err(error) => {
                let status = error.to_string();
                failed = Some(error);
                status
            }
        };
        rows.push(vec![name, status]);
    }
    output::table(&mut std::io::stdout(), &["TOPIC", "STATUS"], &rows)?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let mut topics = args
        .brokers
        .connect()
        .await?
        .metadata(Topics::All, false)
        .await?
        .topics;
    topics.retain(|t| !t.internal && (args.names.is_empty() || args.names.contains(&t.name)));
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let rows: Vec<Vec<String>> = topics
        .iter()
        .map(|topic| {
            let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
            vec![
                topic.name.clone(),
                topic.partitions.len().to_string(),
                replicas.to_string(),
            ]
        })
        .collect();
    let header = ["NAME", "PARTITIONS", "REPLICAS"];
    output::table(&mut std::io::stdout(), &header, &rows)?;
    Ok(())
}
