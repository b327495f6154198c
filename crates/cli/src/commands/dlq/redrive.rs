//! `ottla dlq redrive`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::peek;
use super::progress::Progress;
use super::selection::SelectionArgs;
use super::views::{self, DryRun, Kept, Task, records};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::signals::Signals;
use crate::talk::say;

/// How long the broker may wait before it says how far a redrive is.
const POLL_MS: u64 = 500;

const HELP: &str = "\
Records go back to the partition that they came from, with key, headers and time as they were. All groups of that topic see
them again; --for-group sends them to one group's retry topic instead.

Examples:
  ottla dlq redrive orders --dry-run
  ottla dlq redrive orders --reason timeout --rate 100
  ottla dlq redrive orders --partition 0 --offset 3 --value '{\"total\": 12}'";

/// Moves dead letters back.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RedriveArgs {
    /// The topic whose dead letters they are
    topic: String,
    /// Send them to this topic instead
    #[arg(short, long, value_name = "TOPIC", conflicts_with = "for_group")]
    target: Option<String>,
    /// Send them to this group alone, through its retry topic
    #[arg(long, value_name = "GROUP")]
    for_group: Option<String>,
    /// At most so many records a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Give the one record this value
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "edit",
        requires = "offset"
    )]
    value: Option<String>,
    /// Give the one record the content of this file as its value
    #[arg(long, value_name = "FILE", requires = "offset")]
    edit: Option<PathBuf>,
    /// Only say what would move
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the end
    #[arg(short, long)]
    detach: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: RedriveArgs) -> anyhow::Result<()> {
    let http = Http::new(&args.client);
    let answer: Value = http
        .post(
            &path(&["v1", "dlq", &args.topic, "redrive"], &[]),
            &body(&args)?,
        )
        .await?;
    if args.dry_run {
        return tell_dry_run(&args, &answer);
    }
    let task: Task = views::typed(&answer)?;
    if args.detach {
        if args.json {
            output::json(&mut std::io::stdout(), &answer)?;
            return Ok(());
        }
        tell_notes(&task.notes);
        say!(
            "Redrive {id} runs. See how far it is with: ottla dlq redrives. End it with: ottla dlq cancel {id}",
            id = task.id
        );
        return Ok(());
    }
    if !args.json {
        tell_notes(&task.notes);
    }
    follow(&http, &args, answer, task).await
}

fn body(args: &RedriveArgs) -> anyhow::Result<Value> {
    let mut body = json!({"selection": args.selection.json(), "dry_run": args.dry_run});
    if let Some(target) = &args.target {
        body["target"] = json!(target);
    }
    if let Some(group) = &args.for_group {
        body["for_group"] = json!(group);
    }
    if let Some(rate) = args.rate {
        body["rate"] = json!(rate);
    }
    if let Some(value) = new_value(args)? {
        body["edit"] = json!({"value": value});
    }
    Ok(body)
}

fn new_value(args: &RedriveArgs) -> anyhow::Result<Option<Value>> {
    if let Some(text) = &args.value {
        return Ok(Some(json!({"text": text})));
    }
    let Some(file) = &args.edit else {
        return Ok(None);
    };
    let bytes =
        std::fs::read(file).with_context(|| format!("cannot read the value {}", file.display()))?;
    let blob = match String::from_utf8(bytes) {
        Ok(text) => json!({"text": text}),
        Err(error) => {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
            json!({"base64": text})
        }
    };
    Ok(Some(blob))
}

/// Waits for the end. Ctrl-C ends the waiting, not the redrive.
async fn follow(
    http: &Http,
    args: &RedriveArgs,
    mut answer: Value,
    mut task: Task,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let mut progress = Progress::new(&task, args.json || task.state != "running");
    let id = task.id.to_string();
    let wait = [("wait_ms", POLL_MS.to_string())];
    let status = path(&["v1", "redrives", &id], &wait);
    while task.state == "running" {
        progress.show(&task);
        answer = tokio::select! {
            answer = http.get(&status) => answer?,
            _ = signals.next() => {
                progress.end();
                say!(
                    "Redrive {id} goes on without this command. See how far it is with: ottla dlq redrives. \
                     End it with: ottla dlq cancel {id}"
                );
                return Ok(());
            }
        };
        task = views::typed(&answer)?;
    }
    progress.end();
    if args.json {
        output::json(&mut std::io::stdout(), &answer)?;
    }
    tell_end(&task, args)
}

fn tell_end(task: &Task, args: &RedriveArgs) -> anyhow::Result<()> {
    let moved = records(task.moved);
    match task.state.as_str() {
        "done" if args.json => {}
        "done" => {
            say!("Moved {moved} to {}.", task.target);
            tell_kept(task.kept, &task.kept_records);
        }
        "failed" => bail!(
            "redrive {} failed after {moved}: {}",
            task.id,
            task.error
                .as_deref()
                .unwrap_or("the broker does not say why")
        ),
        "cancelled" => bail!("redrive {} was cancelled after {moved}", task.id),
        state => say!(
            "Redrive {id} is {state} after {moved}. Let it go on with: ottla dlq resume {id}",
            id = task.id
        ),
    }
    Ok(())
}

/// Records that were meant and stay.
pub(super) fn tell_kept(count: u64, first: &[Kept]) {
    if count == 0 {
        return;
    }
    say!(
        "{} in the queue:",
        match count {
            1 => "1 record stays".to_owned(),
            n => format!("{n} records stay"),
        }
    );
    for kept in first {
        say!("  {}@{}: {}", kept.partition, kept.offset, kept.why);
    }
    if count > first.len() as u64 {
        say!("  and {} more", count - first.len() as u64);
    }
}

fn tell_notes(notes: &[String]) {
    for note in notes {
        say!("Note: {note}");
    }
}

fn tell_dry_run(args: &RedriveArgs, answer: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        output::json(&mut out, answer)?;
        return Ok(());
    }
    let run: DryRun = views::typed(answer)?;
    let target = run.target.as_deref().unwrap_or("nowhere");
    writeln!(
        out,
        "Would move {} from {} to {target}.",
        records(run.records),
        run.queue
    )?;
    print_first(&mut out, &run)?;
    tell_kept(run.kept, &run.kept_records);
    if run.older_than_retention > 0 {
        say!(
            "Note: {} older than what {target} keeps; they may be deleted there soon.",
            records(run.older_than_retention)
        );
    }
    tell_notes(&run.notes);
    if run.records > 0 {
        say!("Nothing was changed; leave --dry-run out to do it.");
    }
    Ok(())
}

pub(super) fn print_first(out: &mut impl Write, run: &DryRun) -> std::io::Result<()> {
    for record in &run.first {
        peek::print(out, record)?;
    }
    let more = run.records.saturating_sub(run.first.len() as u64);
    if more > 0 {
        writeln!(out, "... and {more} more")?;
    }
    Ok(())
}
