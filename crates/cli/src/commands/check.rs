//! `ottla check`: verifies a data directory.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use ottla_storage::{CheckReport, Problem};
use serde_json::{Value, json};

use crate::output;

const HELP: &str = "\
Opens the directory as a start of the broker would, with its lock: what the journal holds is brought into the segments, \
and what a crash left half-written is cut off. Nothing that was acknowledged is changed, and damage is told, not repaired. \
Then every batch is read and held against its checksum and its neighbours, and every index against its segment.

Exits with 0 if all is well, with 1 if anything is damaged or the directory cannot be opened.

Examples:
  ottla check
  ottla check --data-dir /var/lib/ottla --json";

/// Verifies a data directory that no broker uses.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct CheckArgs {
    /// The data directory
    #[arg(short, long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    crate::start_client_logging();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let report = runtime.block_on(ottla_broker::check_data_dir(&args.data_dir))?;
    let mut out = io::stdout().lock();
    if args.json {
        let shown = args.data_dir.display().to_string();
        output::json(&mut out, &as_json(&shown, &report))?;
    } else {
        print(&mut out, &report)?;
    }
    Ok(match report.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn print(out: &mut impl Write, report: &CheckReport) -> io::Result<()> {
    if !report.problems.is_empty() {
        let row = |problem: &Problem| {
            vec![
                problem.topic.clone(),
                problem.partition.to_string(),
                format!("{:020}", problem.segment),
                problem.reason.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = report.problems.iter().map(row).collect();
        output::table(out, &["TOPIC", "PARTITION", "SEGMENT", "PROBLEM"], &rows)?;
        writeln!(out)?;
    }
    writeln!(
        out,
        "Verified {} and {} ({}) in {} of {}: {}.",
        count(report.batches, "batch", "batches"),
        count(report.bytes, "byte", "bytes"),
        count(report.segments, "segment", "segments"),
        count(report.partitions, "partition", "partitions"),
        count(report.topics, "topic", "topics"),
        match report.problems.len() {
            0 => "all is well".to_owned(),
            1 => "one problem".to_owned(),
            n => format!("{n} problems"),
        }
    )
}

fn count(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

fn as_json(data_dir: &str, report: &CheckReport) -> Value {
    let problem = |problem: &Problem| {
        json!({
            "topic": problem.topic,
            "partition": problem.partition,
            "segment": problem.segment,
            "reason": problem.reason,
        })
    };
    json!({
        "data_dir": data_dir,
        "ok": report.problems.is_empty(),
        "topics": report.topics,
        "partitions": report.partitions,
        "segments": report.segments,
        "batches": report.batches,
        "bytes": report.bytes,
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: Vec<Problem>) -> CheckReport {
        CheckReport {
            topics: 2,
            partitions: 3,
            segments: 1,
            batches: 17,
            bytes: 1234,
            problems,
        }
    }

    fn printed(report: &CheckReport) -> String {
        let mut out = Vec::new();
        print(&mut out, report).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_sound_directory_is_told_in_one_line() {
        insta::assert_snapshot!(printed(&report(vec![])), @"Verified 17 batches and 1234 bytes (1 segment) in 3 partitions of 2 topics: all is well.");
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let problem = Problem {
            topic: "orders".to_owned(),
            partition: 1,
            segment: 100,
            reason: "batch at offset 107: the CRC is wrong".to_owned(),
        };
        insta::assert_snapshot!(printed(&report(vec![problem])), @r"
        TOPIC   PARTITION  SEGMENT               PROBLEM
        orders  1          00000000000000000100  batch at offset 107: the CRC is wrong

        Verified 17 batches and 1234 bytes (1 segment) in 3 partitions of 2 topics: one problem.
        ");
    }
}
