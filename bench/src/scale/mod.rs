//! Curves: what a size costs as it grows. What is measured is mostly counted or CPU of the broker, which other work on the machine
//! disturbs least.

mod connections;
mod cost;
mod groups;
mod log_size;
mod partitions;
mod plot;
mod producers;
mod report;
mod sparse;
mod topics;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::measure::Sample;
use crate::target::{Programs, Target};
use report::Report;

/// What `ottla-bench scale` is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run only the curves whose name contains this (repeatable)
    #[arg(long = "curve", value_name = "NAME")]
    curves: Vec<String>,
    /// Leave out larger sizes
    #[arg(long, value_name = "SIZE")]
    largest: Option<u64>,
    /// As --largest, for Kafka alone
    #[arg(long, value_name = "SIZE", default_value_t = 1000)]
    kafka_largest: u64,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    /// Partitions of one topic.
    Partitions,
    /// Topics of one partition.
    Topics,
    /// Groups of one member each.
    Groups,
    /// Connections.
    Connections,
    /// Gigabytes in one partition.
    Log,
    /// Producer ids in one partition.
    Producers,
}

impl Curve {
    const ALL: [Curve; 6] = [
        Curve::Partitions,
        Curve::Topics,
        Curve::Groups,
        Curve::Connections,
        Curve::Log,
        Curve::Producers,
    ];

    fn name(self) -> &'static str {
        match self {
            Curve::Partitions => "partitions of a topic",
            Curve::Topics => "topics of one partition",
            Curve::Groups => "groups",
            Curve::Connections => "connections",
            Curve::Log => "gigabytes in a partition",
            Curve::Producers => "producer ids in a partition",
        }
    }

    fn sizes(self) -> &'static [u64] {
        match self {
            Curve::Partitions | Curve::Topics => &[10, 100, 1000, 10_000],
            Curve::Groups => &[1, 10, 100, 1000],
            Curve::Connections => &[50, 500, 5000],
            Curve::Log => &[1, 10, 100],
            Curve::Producers => &[10, 1000, 100_000],
        }
    }

    /// The log is written by the storage of one of them.
    fn takes(self, target: Target) -> bool {
        self != Curve::Log || target == Target::Ottla
    }

    async fn run(self, programs: &Programs, target: Target, size: u64) -> Result<Vec<Sample>> {
        match self {
            Curve::Partitions => partitions::run(programs, target, 1, size).await,
            Curve::Topics => partitions::run(programs, target, size, 1).await,
            Curve::Groups => groups::run(programs, target, size).await,
            Curve::Connections => connections::run(programs, target, size).await,
            Curve::Log => log_size::run(programs, size).await,
            Curve::Producers => producers::run(programs, target, size).await,
        }
    }
}

/// Measures each curve, and writes `scale.json`, `scale.md` and an SVG a curve to `output`.
pub async fn run(
    arguments: &Arguments,
    programs: &Programs,
    targets: &[Target],
    machine: BTreeMap<&'static str, String>,
    output: &Path,
) -> Result<()> {
    let wanted = |curve: &Curve| {
        arguments.curves.is_empty() || arguments.curves.iter().any(|c| curve.name().contains(c))
    };
    let curves: Vec<Curve> = Curve::ALL.into_iter().filter(wanted).collect();
    ensure!(!curves.is_empty(), "no curve has such a name");
    // File systems do not give out again at once what was removed, and ext4 searches long for what it may give out (in 5 minutes after 10,000
    // directories a new one costs ten times as much). So nothing is removed before the end.
    let scratch = tempfile::TempDir::new_in(&programs.scratch)?;
    let programs = &Programs {
        scratch: scratch.path().to_owned(),
        keep_data: true,
        ..programs.clone()
    };
    let mut report = Report::new(machine);
    for curve in curves {
        for &size in curve.sizes() {
            for &target in targets {
                let bound = match target {
                    Target::Ottla => arguments.largest,
                    _ => Some(
                        arguments
                            .largest
                            .unwrap_or(u64::MAX)
                            .min(arguments.kafka_largest),
                    ),
                };
                if bound.is_some_and(|b| size > b) || !curve.takes(target) {
                    continue;
                }
                let started = Instant::now();
                let samples = curve
                    .run(programs, target, size)
                    .await
                    .with_context(|| format!("{size} {}, {}", curve.name(), target.title()))?;
                eprintln!(
                    "{size} {}, {}: {:.1} s",
                    curve.name(),
                    target.title(),
                    started.elapsed().as_secs_f64()
                );
                report.add(curve.name(), target, size, samples);
                // A run that is broken off leaves what it has.
                report.write(output)?;
            }
        }
    }
    println!("{}", report.markdown());
    println!("Written to {}", output.display());
    Ok(())
}
