//! `ottla snapshot delete`.

use std::io;

use clap::Args;
use serde_json::Value;

use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Its name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: DeleteArgs) -> anyhow::Result<()> {
    let http = Http::new(&args.client);
    let place = path(&["v1", "snapshots", &args.name], &[]);
    let deleted: Value = http.delete(&place).await?;
    if args.json {
        output::json(&mut io::stdout(), &deleted)?;
        return Ok(());
    }
    say!("Deleted snapshot {}.", args.name);
    Ok(())
}
