//! `ottla group list`.

use clap::Args;
use serde_json::json;

use crate::args::ClientArgs;
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON, a line for each group
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: ListArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let groups = client.list_groups().await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for group in &groups {
            let line = json!({
                "group": group.group,
                "state": group.state,
                "type": group.group_type,
                "protocol_type": group.protocol_type,
            });
            output::json(&mut out, &line)?;
        }
        return Ok(());
    }
    if groups.is_empty() {
        say!("There are no groups. One comes with: ottla consume TOPIC --group NAME");
        return Ok(());
    }
    let dash = |text: &str| output::or_dash(Some(text).filter(|text| !text.is_empty()));
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            vec![
                group.group.clone(),
                dash(&group.state),
                dash(&group.group_type),
                dash(&group.protocol_type),
            ]
        })
        .collect();
    output::table(&mut out, &["GROUP", "STATE", "TYPE", "PROTOCOL"], &rows)?;
    Ok(())
}
