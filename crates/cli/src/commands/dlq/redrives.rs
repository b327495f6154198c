//! `ottla dlq redrives`, `cancel`, `pause` and `resume`.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::views::{self, Task};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct RedrivesArgs {
    /// Print JSON, a line for each redrive
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct TaskArgs {
    /// The redrive's number: ottla dlq redrives lists them
    id: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// What to do to a redrive.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Cancel,
    Pause,
    Resume,
}

#[derive(Deserialize)]
struct Redrives {
    redrives: Vec<Value>,
}

pub async fn run(args: RedrivesArgs) -> anyhow::Result<()> {
    let Redrives { redrives } = Http::new(&args.client)
        .get(&path(&["v1", "redrives"], &[]))
        .await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for redrive in &redrives {
            output::json(&mut out, redrive)?;
        }
        return Ok(());
    }
    if redrives.is_empty() {
        say!("There are no redrives. Start one with: ottla dlq redrive TOPIC");
        return Ok(());
    }
    let tasks: Vec<Task> = redrives
        .iter()
        .map(views::typed)
        .collect::<Result<_, _>>()?;
    print(&mut out, &tasks)?;
    Ok(())
}

pub(super) async fn change(args: TaskArgs, change: Change) -> anyhow::Result<()> {
    let id = args.id.to_string();
    let (verb, done) = match change {
        Change::Cancel => ("cancel", "is cancelled; what it moved stays moved"),
        Change::Pause => ("pause", "is paused; go on with: ottla dlq resume"),
        Change::Resume => (
            "resume",
            "goes on; see how far it is with: ottla dlq redrives",
        ),
    };
    let answer: Value = Http::new(&args.client)
        .post(&path(&["v1", "redrives", &id, verb], &[]), &json!({}))
        .await?;
    if args.json {
        output::json(&mut std::io::stdout(), &answer)?;
        return Ok(());
    }
    let task: Task = views::typed(&answer)?;
    let id = match change {
        Change::Pause => format!(" {}", task.id),
        Change::Cancel | Change::Resume => String::new(),
    };
    say!("Redrive {} {done}{id}.", task.id);
    Ok(())
}

/// A table of redrives.
pub(super) fn print(out: &mut impl Write, tasks: &[Task]) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            let note = task.error.as_ref().or(task.waiting.as_ref());
            vec![
                task.id.to_string(),
                task.source.clone(),
                task.target.clone(),
                output::or_dash(task.for_group.clone()),
                task.state.clone(),
                task.moved.to_string(),
                task.kept.to_string(),
                progress(task),
                output::or_dash(note.map(|note| super::show::one_line(note))),
            ]
        })
        .collect();
    let header = [
        "REDRIVE", "TOPIC", "TARGET", "FOR", "STATE", "MOVED", "KEPT", "DONE", "NOTE",
    ];
    output::table(out, &header, &rows)
}

fn progress(task: &Task) -> String {
    match task.to_look_at {
        0 => "100%".to_owned(),
        all => format!("{}%", task.looked_at.min(all) * 100 / all),
    }
}
