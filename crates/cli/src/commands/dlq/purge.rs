//! `ottla dlq purge`.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::redrive::print_first;
use super::selection::SelectionArgs;
use super::views::{self, DryRun, records};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// The topic whose dead letters they are
    topic: String,
    /// Only say what would be deleted
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Delete without asking
    #[arg(short, long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Purged {
    queue: String,
    records: u64,
}

pub async fn run(args: PurgeArgs) -> anyhow::Result<()> {
    let http = Http::new(&args.client);
    let place = path(&["v1", "dlq", &args.topic, "purge"], &[]);
    let body = |dry_run: bool| json!({"selection": args.selection.json(), "dry_run": dry_run});
    if !args.yes {
        let answer: Value = http.post(&place, &body(true)).await?;
        if args.dry_run && args.json {
            output::json(&mut std::io::stdout(), &answer)?;
            return Ok(());
        }
        let run: DryRun = views::typed(&answer)?;
        if args.dry_run {
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "Would delete {} from {}.",
                records(run.records),
                run.queue
            )?;
            print_first(&mut out, &run)?;
            return Ok(());
        }
        if run.records == 0 {
            say!("There is nothing to delete.");
            return Ok(());
        }
        if !confirmed(&run)? {
            say!("Nothing was deleted.");
            return Ok(());
        }
    }
    let answer: Value = http.post(&place, &body(false)).await?;
    if args.json {
        output::json(&mut std::io::stdout(), &answer)?;
        return Ok(());
    }
    let purged: Purged = views::typed(&answer)?;
    say!("Deleted {} from {}.", records(purged.records), purged.queue);
    Ok(())
}

fn confirmed(run: &DryRun) -> anyhow::Result<bool> {
    let count = records(run.records);
    if !std::io::stdin().is_terminal() {
        bail!(
            "this deletes {count} from {} for good: add --yes to do it, --dry-run to see them",
            run.queue
        );
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "Delete {count} from {} for good? [y/N] ", run.queue)?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
