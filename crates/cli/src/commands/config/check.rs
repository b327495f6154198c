//! `ottla config check`: what is wrong with a file of settings, by line.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use ottla_broker::settings::{self, properties};
use serde_json::{Value, json};

use crate::commands::serve::config;
use crate::commands::serve::sources::{Origin, Sources};
use crate::output;

const HELP: &str = "\
Reads a file in the form of Kafka's server.properties as ottla serve --config would, without flags and environment, and tells all that \
is wrong with it: lines that are malformed, values that cannot be, settings that contradict each other (errors); names that are not \
known or given twice (warnings); names that do nothing in Ottla (notes).

Exits with 0 if the broker would start, with 1 if it would not.

Examples:
  ottla config check server.properties
  ottla config check server.properties --json";

/// Tells what is wrong with a file of settings.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct CheckArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Note,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

/// One thing to be said of a file.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Counted from 1; `None` if no line is to blame alone.
    line: Option<usize>,
    level: Level,
    /// The setting.
    name: Option<String>,
    message: String,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let path = args.file.display().to_string();
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {path}"))?;
    let findings = findings(&path, &text);
    let mut out = io::stdout().lock();
    match args.json {
        true => output::json(&mut out, &as_json(&path, &findings))?,
        false => print(&mut out, &path, &findings)?,
    }
    Ok(match is_ok(&findings) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn is_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Error)
}

/// Everything to be said, in the order of the lines.
fn findings(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sources = Sources::default();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for entry in properties::entries(text) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                findings.push(Finding {
                    line: Some(error.line),
                    level: Level::Error,
                    name: None,
                    message: error.reason,
                });
                continue;
            }
        };
        if let Some(earlier) = lines.insert(entry.name.clone(), entry.line) {
            findings.push(Finding {
                line: Some(entry.line),
                level: Level::Warning,
                message: format!(
                    "{} is on line {earlier} already: this value goes before it",
                    entry.name
                ),
                name: Some(entry.name.clone()),
            });
        }
        let path = path.to_owned();
        let line = entry.line;
        sources.set(&entry.name, entry.value, Origin::File { path, line });
    }
    config::settle(&mut sources);
    let mut say = |level, name: &str, message: String| {
        findings.push(Finding {
            line: lines.get(name).copied(),
            level,
            name: Some(name.to_owned()),
            message,
        });
    };
    let inspection = sources.inspect();
    for problem in &inspection.problems {
        say(Level::Error, &problem.name, problem.to_string());
    }
    for name in sources.unknown() {
        let meant = settings::nearest(name);
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        say(
            Level::Warning,
            name,
            format!("unknown setting {name}, ignored{meant}"),
        );
    }
    for name in &inspection.without_effect {
        say(Level::Note, name, format!("{name} has no effect in Ottla"));
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn print(out: &mut impl Write, path: &str, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        let line = finding
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        writeln!(
            out,
            "{path}{line}: {}: {}",
            finding.level.name(),
            finding.message
        )?;
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let counted: Vec<String> = [Level::Error, Level::Warning, Level::Note]
        .into_iter()
        .map(|level| (count(level), level.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| match count {
            1 => format!("1 {name}"),
            count => format!("{count} {name}s"),
        })
        .collect();
    match (counted.is_empty(), is_ok(findings)) {
        (true, _) => writeln!(out, "{path}: all is well"),
        (false, true) => writeln!(out, "{path}: {}; a broker would start", counted.join(", ")),
        (false, false) => writeln!(out, "{path}: {}; no broker would start", counted.join(", ")),
    }
}

fn as_json(path: &str, findings: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "line": finding.line,
            "level": finding.level.name(),
            "name": finding.name,
            "message": finding.message,
        })
    };
    json!({
        "file": path,
        "ok": is_ok(findings),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let mut out = Vec::new();
        print(&mut out, "f", &findings("f", text)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_that_is_wrong_is_told_by_line() {
        let text = "# mine\nnum.partitions=many\n=x\nnum.partitons=1\nlisteners=A://:1,\\\n  B://:1\n\
                    zookeeper.connect=zk\nnode.id=1\nnode.id=2\nbroker.id=3\nremote.log.reader.threads=1\n";
        insta::assert_snapshot!(told(text), @r"
        f:2: error: num.partitions=many: Not a number of type INT (Partitions of a topic whose creator does not say.)
        f:3: error: there is no name before the value in `=x`
        f:4: warning: unknown setting num.partitons, ignored; did you mean num.partitions?
        f:5: error: listeners=A://:1,B://:1: A and B have the same port 1: give each listener its own
        f:7: note: zookeeper.connect has no effect in Ottla
        f:9: warning: node.id is on line 8 already: this value goes before it
        f:10: error: broker.id=3: node.id is 2: set one of the two, or both to the same
        f:11: note: remote.log.reader.threads has no effect in Ottla
        f: 4 errors, 2 warnings, 2 notes; no broker would start
        ");
    }

    #[test]
    fn a_file_without_faults_is_well_and_one_with_notes_starts() {
        assert_eq!(told("num.partitions=3\n"), "f: all is well\n");
        assert_eq!(
            told("num.io.threads=8\n"),
            "f:1: note: num.io.threads has no effect in Ottla\nf: 1 note; a broker would start\n"
        );
    }
}
