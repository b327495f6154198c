//! `ottla dlq nack`.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
#[command(
    after_help = "The record is the one at the group's position, or, if the group has no members, any one after it."
)]
pub struct NackArgs {
    /// The group that failed
    group: String,
    /// The topic
    topic: String,
    /// The partition
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// The record's offset
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    /// Why it failed
    #[arg(short, long, default_value = "")]
    reason: String,
    /// Dead-letter it at once, however often it failed
    #[arg(long)]
    reject: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Nacked {
    moved: bool,
    attempts: Option<u32>,
}

pub async fn run(args: NackArgs) -> anyhow::Result<()> {
    let body = json!({
        "topic": args.topic,
        "partition": args.partition,
        "offset": args.offset,
        "reason": args.reason,
        "reject": args.reject,
    });
    let answer: Value = Http::new(&args.client)
        .post(&path(&["v1", "groups", &args.group, "nack"], &[]), &body)
        .await?;
    if args.json {
        output::json(&mut std::io::stdout(), &answer)?;
        return Ok(());
    }
    let nacked: Nacked = super::views::typed(&answer)?;
    let record = format!("{}-{}@{}", args.topic, args.partition, args.offset);
    match nacked.attempts {
        _ if nacked.moved => say!("Moved {record}. See it with: ottla dlq peek {}", args.topic),
        Some(1) => say!("{record} stays: it failed once so far."),
        failed => say!(
            "{record} stays: it failed {} times so far.",
            failed.unwrap_or(0)
        ),
    }
    Ok(())
}
