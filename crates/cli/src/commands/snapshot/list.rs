//! `ottla snapshot list`.

use std::io;
use std::path::PathBuf;

use clap::Args;
use ottla_storage::fs::OsFs;
use ottla_storage::snapshot;
use serde_json::Value;

use super::views::as_json;
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Look into this data directory instead of asking a broker
    #[arg(short, long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON, a line for each snapshot
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: ListArgs) -> anyhow::Result<()> {
    let snapshots: Vec<Value> = match &args.data_dir {
        Some(dir) => snapshot::list(&OsFs, dir)?.iter().map(as_json).collect(),
        None => {
            let http = Http::new(&args.client);
            let answer: Value = http.get(&path(&["v1", "snapshots"], &[])).await?;
            answer["snapshots"].as_array().cloned().unwrap_or_default()
        }
    };
    let mut out = io::stdout().lock();
    if args.json {
        for snapshot in &snapshots {
            output::json(&mut out, snapshot)?;
        }
        return Ok(());
    }
    if snapshots.is_empty() {
        say!("There are no snapshots. One comes with: ottla snapshot save NAME");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = snapshots.iter().map(row).collect();
    let header = ["NAME", "CREATED", "TOPICS", "PARTITIONS", "BYTES"];
    output::table(&mut out, &header, &rows)?;
    Ok(())
}

fn row(snapshot: &Value) -> Vec<String> {
    let created = snapshot["created"].as_i64();
    let created = created.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    vec![
        snapshot["name"].as_str().unwrap_or_default().to_owned(),
        output::or_dash(created),
        output::or_dash(snapshot["topics"].as_u64()),
        output::or_dash(snapshot["partitions"].as_u64()),
        output::or_dash(snapshot["bytes"].as_u64()),
    ]
}
