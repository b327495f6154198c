//! `ottla group delete`.

use clap::Args;
use serde_json::json;

use crate::args::ClientArgs;
use crate::output;
use crate::talk::{say, tell_all_but_last};

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Print JSON, a line for each group
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: DeleteArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let mut failed = None;
    let mut groups = args.groups;
    groups.sort();
    groups.dedup();
    for group in &groups {
        match client.delete_group(group).await {
            Ok(()) if args.json => {
                let line = json!({"group": group, "deleted": true});
                output::json(&mut std::io::stdout(), &line)?;
            }
            Ok(()) => say!("Deleted group {group}."),
            Err(error) => tell_all_but_last(&mut failed, error),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}
