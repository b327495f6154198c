//! `ottla dlq show`.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::suspects;
use super::views::{self, QueueDetail};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The topic whose dead letters they are
    topic: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: ShowArgs) -> anyhow::Result<()> {
    let http = Http::new(&args.client);
    let mut shown: Value = http.get(&path(&["v1", "dlq", &args.topic], &[])).await?;
    let failing = suspects::ask(&http, None, Some(&args.topic)).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        shown["groups_failing"] = failing;
        output::json(&mut out, &shown)?;
        return Ok(());
    }
    let detail: QueueDetail = views::typed(&shown)?;
    let queue = &detail.queue;
    writeln!(out, "Topic:    {}", queue.source)?;
    writeln!(out, "Queue:    {}", queue.queue)?;
    writeln!(out, "Records:  {}", queue.records)?;
    writeln!(out, "Oldest:   {}", views::time(queue.oldest))?;
    writeln!(out, "Newest:   {}", views::time(queue.newest))?;
    print_counts(&mut out, &detail)?;
    if !detail.redrives.is_empty() {
        writeln!(out)?;
        super::redrives::print(&mut out, &detail.redrives)?;
    }
    let failing = suspects::typed(&failing)?;
    if failing.iter().any(|group| !group.suspects.is_empty()) {
        writeln!(out, "\nFailing now:")?;
        suspects::print(&mut out, &failing)?;
    }
    if queue.records > 0 {
        say!(
            "See them with: ottla dlq peek {topic}. Move them back with: ottla dlq redrive {topic} --dry-run",
            topic = queue.source
        );
    }
    Ok(())
}

/// The tables by group, reason and partition.
pub(super) fn print_counts(out: &mut impl Write, detail: &QueueDetail) -> std::io::Result<()> {
    let groups: Vec<Vec<String>> = detail
        .queue
        .groups
        .iter()
        .map(|(group, records)| vec![group.clone(), records.to_string()])
        .collect();
    let reasons: Vec<Vec<String>> = detail
        .reasons
        .iter()
        .map(|reason| {
            let text = Some(one_line(&reason.reason)).filter(|text| !text.is_empty());
            vec![reason.records.to_string(), output::or_dash(text)]
        })
        .collect();
    let partitions: Vec<Vec<String>> = detail
        .partitions
        .iter()
        .filter(|partition| partition.records > 0)
        .map(|partition| {
            vec![
                partition.partition.to_string(),
                partition.records.to_string(),
            ]
        })
        .collect();
    for (header, rows) in [
        (["GROUP", "RECORDS"], groups),
        (["RECORDS", "REASON"], reasons),
        (["PARTITION", "RECORDS"], partitions),
    ] {
        if !rows.is_empty() {
            writeln!(out)?;
            output::table(out, &header, &rows)?;
        }
    }
    Ok(())
}

/// What others wrote, without what would leave its line.
pub(super) fn one_line(text: &str) -> String {
    super::views::Blob::Text(text.to_owned()).shown()
}
