//! `ottla snapshot restore`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use ottla_storage::fs::OsFs;
use ottla_storage::snapshot::{self, SnapshotError};
use serde_json::json;

use super::views::{absolute, as_json, contents};
use crate::output;
use crate::talk::say;

const HELP: &str = "\
A broker that is started on the directory afterwards has what there was when the snapshot was saved. The snapshot stays as it is. \
If anything goes wrong the directory holds what it held before.

Examples:
  ottla snapshot restore seeded --replace
  ottla snapshot restore ./fixtures/seeded --data-dir /tmp/test";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RestoreArgs {
    /// A name, as `list` shows it, or the directory of a snapshot
    #[arg(value_name = "NAME|DIR")]
    snapshot: String,
    /// The data directory
    #[arg(short, long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Replace the data that the directory holds
    #[arg(long)]
    replace: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let from = place(&args.snapshot, &args.data_dir)?;
    let restored = snapshot::restore(&OsFs, &from, &args.data_dir, args.replace)?;
    let mut told = as_json(&restored);
    told["data_dir"] = json!(absolute(&args.data_dir));
    if args.json {
        output::json(&mut io::stdout(), &told)?;
        return Ok(());
    }
    say!("Restored {}: {}.", restored.name, contents(&told)?);
    say!(
        "Start a broker on it: ottla serve --data-dir {}",
        args.data_dir.display()
    );
    Ok(())
}

/// A directory is one that is there, or is written as one.
fn place(snapshot: &str, data_dir: &Path) -> Result<PathBuf, SnapshotError> {
    let dir = Path::new(snapshot);
    match snapshot.contains('/') || dir.join("snapshot.json").is_file() {
        true => Ok(dir.to_owned()),
        false => snapshot::path_of(data_dir, snapshot),
    }
}
