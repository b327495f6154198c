//! `ottla reset`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

const HELP: &str = "\
All topics, records, groups, offsets and dead letters go in one step, while the broker runs and clients stay connected. Settings of the \
broker stay, and so do snapshots.

Examples:
  ottla reset --yes
  ottla reset --keep-topics --yes";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ResetArgs {
    /// Let groups and their members stay; their offsets go with the topics
    #[arg(long)]
    topics_only: bool,
    /// Let topics stay, empty, with their partitions and settings
    #[arg(long, conflicts_with = "topics_only")]
    keep_topics: bool,
    /// Do it without asking
    #[arg(short, long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Done {
    topics: u64,
    groups: u64,
}

pub async fn run(args: ResetArgs) -> anyhow::Result<()> {
    if !args.yes && !confirmed(&args)? {
        say!("Nothing was taken away.");
        return Ok(());
    }
    let scope = match (args.topics_only, args.keep_topics) {
        (true, _) => "topics",
        (_, true) => "keep-topics",
        _ => "all",
    };
    let http = Http::new(&args.client);
    let body = json!({"scope": scope});
    let answer: Value = http.post(&path(&["v1", "reset"], &[]), &body).await?;
    if args.json {
        output::json(&mut io::stdout(), &answer)?;
        return Ok(());
    }
    let done: Done = serde_json::from_value(answer)
        .context("the broker's answer is none that this version knows")?;
    let topics = count(done.topics, "topic");
    let groups = count(done.groups, "group");
    match (args.topics_only, args.keep_topics) {
        (true, _) => say!("Took away {topics}."),
        (_, true) => say!("Emptied {topics}, took away {groups}."),
        _ => say!("Took away {topics} and {groups}."),
    }
    Ok(())
}

fn count(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

fn confirmed(args: &ResetArgs) -> anyhow::Result<bool> {
    let broker = args.client.bootstrap_server.join(",");
    if !io::stdin().is_terminal() {
        bail!("this takes away all that the broker at {broker} holds: add --yes to do it");
    }
    let mut stderr = io::stderr();
    write!(
        stderr,
        "Take away all that the broker at {broker} holds? [y/N] "
    )?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
