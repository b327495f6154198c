//! `ottla topic list`.

use clap::Args;
use ottla_client::Topics;
use serde_json::json;

use crate::args::ClientArgs;
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Show the topics that the cluster keeps its own state in, too
    #[arg(long)]
    internal: bool,
    /// Print JSON, a line for each topic
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: ListArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let mut topics = client.metadata(Topics::All, false).await?.topics;
    topics.retain(|topic| args.internal || !topic.internal);
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = std::io::stdout().lock();
    if args.json {
        for topic in &topics {
            let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
            let line = json!({
                "topic": topic.name,
                "id": topic.id.to_string(),
                "partitions": topic.partitions.len(),
                "replication_factor": replicas,
                "internal": topic.internal,
            });
            output::json(&mut out, &line)?;
        }
        return Ok(());
    }
    if topics.is_empty() {
        say!("There are no topics. Create one with: ottla topic create NAME");
        return Ok(());
    }
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
    output::table(&mut out, &["TOPIC", "PARTITIONS", "REPLICAS"], &rows)?;
    Ok(())
}
