//! A mixed load with churn for an hour, and whether the broker stays as it was. See docs/LONG_RUN.md.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ottla_tests::arguments::{above_zero, minutes, seconds};
use ottla_tests::long_run::{Plan, run};

/// Puts the broker under a mixed load with churn, and says whether memory, files, threads and disk stay as they were.
#[derive(Debug, Parser)]
#[command(name = "long-run", after_help = "OTTLA_BIN names the binary.")]
struct Args {
    /// For so long
    #[arg(long, value_name = "N", default_value = "60", value_parser = minutes)]
    minutes: Duration,
    /// Where results go
    #[arg(long, value_name = "DIR", default_value = "target/long-run")]
    output: PathBuf,
    /// How much of the usual load
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = above_zero)]
    load: f64,
    /// Start the broker anew so often in the first half; every three minutes, or six times in all, when not said
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    restart_every: Option<Duration>,
    /// Leak this, to see that it is found
    #[arg(long, value_enum)]
    leak: Option<Leak>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Leak {
    Connections,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let usual = Plan::of(args.minutes, args.output);
    let plan = Plan {
        load: args.load,
        leak: args.leak.is_some(),
        restart_every: args.restart_every.unwrap_or(usual.restart_every),
        ..usual
    };
    match run(&plan) {
        Ok(report) => {
            print!("{report}");
            println!("Written to {}", plan.output.display());
            if report.is_good() {
                println!("acknowledged and lost: 0; twice: 0; nothing grows");
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
