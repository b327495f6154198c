//! `ottla snapshot save`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use ottla_storage::fs::OsFs;
use ottla_storage::snapshot;
use serde_json::{Value, json};

use super::views::{as_json, contents};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

const HELP: &str = "\
Topics, records, groups, offsets and settings are saved as they are at one moment, while clients go on. The snapshot is in the broker's \
data directory, where it takes little room: records are linked and not copied.

Examples:
  ottla snapshot save seeded
  ottla snapshot save seeded --to ./fixtures";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct SaveArgs {
    /// Its name: letters, digits, '.', '_' and '-'
    name: String,
    /// Also put a copy into this directory of the machine that the broker runs on
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: SaveArgs) -> anyhow::Result<()> {
    if let Some(to) = args.to.as_deref().filter(|to| !to.is_dir()) {
        bail!("--to {}: there is no such directory", to.display());
    }
    let http = Http::new(&args.client);
    let body = json!({"name": args.name});
    let mut saved: Value = http.post(&path(&["v1", "snapshots"], &[]), &body).await?;
    if let Some(to) = &args.to {
        let from = saved["path"].as_str().map(Path::new);
        let from = from.context("the broker does not say where the snapshot is")?;
        if !from.is_dir() {
            bail!(
                "the snapshot is saved, in {} on the broker's machine, which is not this one: --to works there only",
                from.display()
            );
        }
        let copied = snapshot::copy(&OsFs, from, to).with_context(|| {
            format!(
                "the snapshot is saved, but not copied from {}",
                from.display()
            )
        })?;
        saved["copy"] = as_json(&copied)["path"].clone();
    }
    if args.json {
        output::json(&mut io::stdout(), &saved)?;
        return Ok(());
    }
    say!("Saved {}: {}.", args.name, contents(&saved)?);
    let at = saved.get("copy").unwrap_or(&saved["path"]);
    say!("It is in {}", at.as_str().unwrap_or_default());
    Ok(())
}
