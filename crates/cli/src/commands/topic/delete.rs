//! `ottla topic delete`.

use clap::Args;
use ottla_client::ClientError;
use ottla_client::kafka_protocol::ResponseError;
use serde_json::json;

use crate::args::ClientArgs;
use crate::output;
use crate::talk::{say, tell_all_but_last};

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The topics' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Succeed if the topic is not there
    #[arg(long)]
    if_exists: bool,
    /// Print JSON, a line for each topic
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: DeleteArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let mut failed = None;
    let mut names = args.names;
    names.sort();
    names.dedup();
    for (name, result) in client.delete_topics(&names).await? {
        let missing = |error: &ClientError| {
            error.broker_error() == Some(ResponseError::UnknownTopicOrPartition)
        };
        let deleted = match result {
            Ok(()) => true,
            Err(error) if args.if_exists && missing(&error) => false,
            Err(error) => {
                tell_all_but_last(&mut failed, error);
                continue;
            }
        };
        if args.json {
            let line = json!({"topic": name, "deleted": deleted});
            output::json(&mut std::io::stdout(), &line)?;
        } else if deleted {
            say!("Deleted topic {name}.");
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}
