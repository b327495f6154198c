//! Every kind of crash against the real binary, one episode after the other, until the time is over. See docs/CRASH_SUITE.md.
//!   crash-suite [--minutes N] [--seed S] [--only KIND]

use std::collections::BTreeMap;
use std::panic;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ottla_tests::crash::kinds::{Episode, Kind, run};

/// Crashes in an episode: its log is read after each.
const ROUNDS: u64 = 8;

struct Args {
    minutes: f64,
    seed: u64,
    only: Option<Kind>,
}

fn args() -> Result<Args, String> {
    let mut args = Args {
        minutes: 10.0,
        seed: rand::random_range(0..1_000_000),
        only: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let wrong = || format!("{name} {value}: not to be understood");
        match name.as_str() {
            "--minutes" => args.minutes = value.parse().map_err(|_| wrong())?,
            "--seed" => args.seed = value.parse().map_err(|_| wrong())?,
            "--only" => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == value);
                let names = Kind::ALL.map(Kind::name).join(", ");
                args.only = Some(kind.ok_or(format!("{value}: no such kind ({names})"))?);
            }
            _ => {
                return Err(format!(
                    "{name}: no such option (--minutes, --seed, --only)"
                ));
            }
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(2);
        }
    };
    let until = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    println!("seed {}", args.seed);
    let mut totals: BTreeMap<Kind, Episode> = BTreeMap::new();
    let mut failures = Vec::new();
    let kinds: Vec<Kind> = args.only.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    // Each kind once at least.
    for (number, kind) in kinds.iter().cycle().enumerate() {
        if number >= kinds.len() && Instant::now() >= until {
            break;
        }
        let seed = args.seed.wrapping_add(number as u64);
        println!("{}, seed {seed}", kind.name());
        let episode = *kind;
        match panic::catch_unwind(move || run(episode, seed, ROUNDS)) {
            Ok(episode) => {
                let total = totals.entry(*kind).or_default();
                total.crashes += episode.crashes;
                total.summary.records += episode.summary.records;
                total.summary.transactions += episode.summary.transactions;
                total.summary.topics += episode.summary.topics;
                total.summary.compacted += episode.summary.compacted;
                println!("  {episode:?}");
            }
            Err(_) => failures.push(format!("{} with seed {seed}", kind.name())),
        }
    }
    println!(
        "\n{:<14}{:>9}{:>12}{:>14}{:>9}{:>16}",
        "", "crashes", "records", "transactions", "topics", "compacted away"
    );
    for (kind, Episode { crashes, summary }) in &totals {
        println!(
            "{:<14}{crashes:>9}{:>12}{:>14}{:>9}{:>16}",
            kind.name(),
            summary.records,
            summary.transactions,
            summary.topics,
            summary.compacted
        );
    }
    if failures.is_empty() {
        println!("acknowledged and lost: 0; twice: 0");
        return ExitCode::SUCCESS;
    }
    for failure in failures {
        println!("FAILED: {failure}: what did not hold, and where its files are, is above");
    }
    ExitCode::FAILURE
}
