//! `ottla topic delete`.

use clap::Args;
use ottla_client::kafka_protocol::ResponseError;

use crate::args::ClientArgs;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The topics' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Succeed if the topic is not there
    #[arg(long)]
    if_exists: bool,
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
        match result {
            Ok(()) => say!("Deleted topic {name}."),
            Err(error)
                if args.if_exists
                    && error.broker_error() == Some(ResponseError::UnknownTopicOrPartition) => {}
            Err(error) => super::tell_all_but_last(&mut failed, error),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}
