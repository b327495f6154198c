//! `ottla group delete`.

use clap::Args;

use crate::args::ClientArgs;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
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
            Ok(()) => say!("Deleted group {group}."),
            Err(error) => {
                if let Some(earlier) = failed.replace(error) {
                    say!("ottla: {earlier}");
                }
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}
