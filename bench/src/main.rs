//! Ottla and Apache Kafka measured on one machine, in one run, in turns.
//!
//! `scripts/bench.sh` builds and installs what is needed and runs this. Broker CPU is the steady figure where client and
//! broker share the cores; throughput includes the client. Nothing here asserts a time.

mod batches;
mod floor;
mod measure;
mod pages;
mod plot;
mod report;
mod scale;
mod target;

use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use ottla_bench::{payload, process, stats};

use floor::Kind;
use measure::{Measurement, Scene};
use report::Report;
use target::{Programs, Target};

/// Measures Ottla and Apache Kafka side by side.
#[derive(Debug, Parser)]
#[command(name = "ottla-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run only the measurements whose name contains this (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// An eighth of the work: to see that it runs, not to quote
    #[arg(long)]
    quick: bool,
    /// What to measure
    #[arg(long, value_enum, default_value_t = Which::Both)]
    target: Which,
    /// Measure Kafka with log.flush.interval.messages=1 as well
    #[arg(long)]
    kafka_fsync: bool,
    /// Measure raw programs that do the least with the same load as well, where there are such
    #[arg(long)]
    floor: bool,
    /// The ottla binary
    #[arg(long, default_value = "target/release/ottla")]
    ottla: PathBuf,
    /// What the image runs
    #[arg(long, default_value = "image/start.sh")]
    image_start: PathBuf,
    /// The directory with Apache Kafka's jars
    #[arg(long, default_value = ".cache/java/libs")]
    kafka_jars: PathBuf,
    /// Where the brokers keep their data; its device is what is measured
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// Hold all memory but so many GB meanwhile, where a virtual machine's host takes what is free (docs/PERFORMANCE.md, "Fresh pages")
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u64).range(1..))]
    leave_free: Option<u64>,
    /// Where results.json, results.md and ratios.svg go
    #[arg(long, default_value = "target/bench-results")]
    output: PathBuf,
    /// Print the names of the measurements and end
    #[arg(long)]
    list: bool,
}

/// What is run instead of measurements.
#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what costs are as sizes grow: partitions, groups, connections, producers, the log
    Scale(scale::Arguments),
    /// Serve a load with nothing but what any server must do (the benchmark runs this itself)
    #[command(hide = true)]
    Floor(floor::Arguments),
    /// Hold memory (the benchmark runs this itself)
    #[command(hide = true)]
    Hold(pages::Arguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Ottla,
    Kafka,
    Both,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let command = arguments.command.take();
    // One thread for the load of many connections: it should not take both cores from the broker.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match command {
                Some(Command::Floor(floor)) => floor::serve(floor).await,
                Some(Command::Hold(hold)) => Ok(hold.hold()?),
                Some(Command::Scale(curves)) => {
                    let targets = targets(&arguments);
                    let programs = programs(&arguments, &targets)?;
                    let machine = machine(&arguments);
                    scale::run(&curves, &programs, &targets, machine, &arguments.output).await
                }
                None => run(arguments).await,
            }
        })
}

async fn run(arguments: Arguments) -> Result<()> {
    let measurements: Vec<_> = Measurement::all()
        .into_iter()
        .filter(|(name, _)| {
            arguments.only.is_empty() || arguments.only.iter().any(|only| name.contains(only))
        })
        .collect();
    ensure!(
        !measurements.is_empty(),
        "no measurement has such a name: see --list"
    );
    if arguments.list {
        for (name, _) in measurements {
            println!("{name}");
        }
        return Ok(());
    }
    let targets = targets(&arguments);
    let programs = programs(&arguments, &targets)?;
    let mut report = Report {
        machine: machine(&arguments),
        ..Report::default()
    };
    let mut failed = Vec::new();
    let left = arguments
        .leave_free
        .map(|gb| gb.saturating_mul(1_000_000_000));
    let _held = left.map(pages::Held::all_but).transpose()?;
    for round in 1..=arguments.rounds {
        for (name, measurement) in &measurements {
            for target in in_turns(&targets, round) {
                if !measurement.is_for(target) {
                    continue;
                }
                let scene = Scene {
                    programs: programs.clone(),
                    target,
                    floor: measurement.floor(),
                    scale: if arguments.quick { 0.125 } else { 1.0 },
                };
                let started = Instant::now();
                let which = format!(
                    "round {round}/{}: {name}, {}",
                    arguments.rounds,
                    target.title()
                );
                match measurement.run(&scene).await {
                    Ok(samples) => {
                        eprintln!("{which}: {:.1} s", started.elapsed().as_secs_f64());
                        report.add(name, target, samples);
                    }
                    // The others have their figures all the same.
                    Err(error) => {
                        eprintln!("{which}: failed: {error:#}");
                        failed.push(which);
                    }
                }
            }
        }
        // After each round: a run that is broken off leaves what it has.
        write(&arguments, &report, &targets)?;
    }
    println!("{}", report.table(&targets));
    println!("Written to {}", arguments.output.display());
    ensure!(failed.is_empty(), "failed: {}", failed.join("; "));
    Ok(())
}

fn targets(arguments: &Arguments) -> Vec<Target> {
    let mut targets = Vec::new();
    if arguments.target != Which::Kafka {
        targets.push(Target::Ottla);
    }
    if arguments.target != Which::Ottla {
        targets.push(Target::Kafka);
        if arguments.kafka_fsync {
            targets.push(Target::KafkaFsync);
        }
    }
    if arguments.floor {
        targets.extend([Kind::Answer, Kind::Synced].map(Target::Floor));
    }
    targets
}

/// The order changes with the round, so that none is always the first.
fn in_turns(targets: &[Target], round: u32) -> Vec<Target> {
    let mut order = targets.to_vec();
    order.rotate_left(round as usize % targets.len());
    order
}

fn programs(arguments: &Arguments, targets: &[Target]) -> Result<Programs> {
    let here = |path: &PathBuf| {
        std::fs::canonicalize(path)
            .with_context(|| format!("{} is not there: scripts/bench.sh makes it", path.display()))
    };
    let needs = |wanted: Target| targets.contains(&wanted);
    Ok(Programs {
        ottla: match needs(Target::Ottla) {
            true => here(&arguments.ottla)?,
            false => arguments.ottla.clone(),
        },
        kafka_jars: match needs(Target::Kafka) {
            true => here(&arguments.kafka_jars)?,
            false => arguments.kafka_jars.clone(),
        },
        image_start: here(&arguments.image_start)?,
        scratch: here(&arguments.scratch)?,
        keep_data: false,
    })
}

fn machine(arguments: &Arguments) -> std::collections::BTreeMap<&'static str, String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    [
        ("system", std::env::consts::OS.to_owned()),
        ("architecture", std::env::consts::ARCH.to_owned()),
        ("cores", cores.to_string()),
        ("rounds", arguments.rounds.to_string()),
        ("quick", arguments.quick.to_string()),
        ("seconds since 1970", seconds.to_string()),
    ]
    .into()
}

fn write(arguments: &Arguments, report: &Report, targets: &[Target]) -> Result<()> {
    let output = &arguments.output;
    std::fs::create_dir_all(output)?;
    let json = serde_json::to_string_pretty(report)?;
    std::fs::write(output.join("results.json"), json + "\n")?;
    std::fs::write(output.join("results.md"), report.table(targets))?;
    if targets.contains(&Target::Ottla) && targets.contains(&Target::Kafka) {
        std::fs::write(output.join("ratios.svg"), plot::svg(report, Target::Kafka))?;
    }
    Ok(())
}
