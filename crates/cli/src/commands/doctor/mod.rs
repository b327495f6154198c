//! `ottla doctor`: finds out, from a client's side, why clients do not reach a broker.

mod address;
mod examine;
mod peer;
mod report;
mod verdict;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::output;
use crate::time::parse_duration;
use address::Address;

const HELP: &str = "\
Looks as a client does: resolves the name, connects, asks for the cluster's metadata, and follows each address that it is told there. \
Works with any broker of Kafka's protocol. The exit code is 0 if clients find their way from here, 1 if not.

Examples:
  ottla doctor
  ottla doctor localhost:9092 192.168.1.7:9092
  docker compose exec app ottla doctor kafka:9092";

/// Diagnoses.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct DoctorArgs {
    /// Where clients start
    #[arg(
        value_name = "HOST:PORT",
        env = "OTTLA_BOOTSTRAP_SERVER",
        default_value = "127.0.0.1:9092",
        value_delimiter = ','
    )]
    bootstrap: Vec<Address>,
    /// How long each step may take
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = step_time)]
    timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn step_time(text: &str) -> Result<Duration, String> {
    let ms = u64::try_from(parse_duration(text)?)
        .ok()
        .filter(|ms| *ms > 0);
    ms.map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no time at all"))
}

pub async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let examined = examine::examine(&args.bootstrap, args.timeout).await;
    let verdict = verdict::verdict(&examined);
    let checks = report::checks(&examined);
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &report::as_json(&checks, &verdict))?;
    } else {
        report::print(&mut out, &checks, &verdict)?;
    }
    Ok(match verdict.problem {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}
