//! Every kind of crash against the real binary, one episode after the other. See docs/CRASH_SUITE.md.

use std::collections::BTreeMap;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ottla_tests::arguments::minutes;
use ottla_tests::crash::kinds::{Episode, Kind, run};
use ottla_tests::crash::promises::Promise;
use serde_json::{Map, Value, json};

/// Crashes in an episode: its log is read after each.
const CRASHES: u64 = 8;

/// Kills the broker in every way there is, under load, and holds what is left against what was acknowledged.
#[derive(Debug, Parser)]
#[command(name = "crash-suite", after_help = "OTTLA_BIN names the binary.")]
struct Args {
    /// For so long; each kind has an episode once at least
    #[arg(long, value_name = "N", default_value = "10", value_parser = minutes)]
    minutes: Duration,
    /// Episodes of each kind, in place of the time
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    rounds: Option<usize>,
    /// Of the first episode; by chance when not said
    #[arg(long, default_value_t = rand::random_range(0..1_000_000), hide_default_value = true)]
    seed: u64,
    /// This kind alone
    #[arg(long, value_name = "KIND", value_enum)]
    only: Option<Kind>,
    /// Write the summary here as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What came of all episodes.
#[derive(Default)]
struct Outcome {
    totals: BTreeMap<Kind, Episode>,
    failures: Vec<String>,
}

impl Outcome {
    fn run(&mut self, kind: Kind, seed: u64) {
        println!("{}, seed {seed}", kind.name());
        let started = Instant::now();
        match panic::catch_unwind(move || run(kind, seed, CRASHES)) {
            Ok(episode) => {
                let total = self.totals.entry(kind).or_default();
                total.crashes += episode.crashes;
                total.summary.add(&episode.summary);
                let counts = episode
                    .summary
                    .counts()
                    .map(|(name, n)| format!("{n} {name}"));
                println!(
                    "  {} crashes, {}; {} s",
                    episode.crashes,
                    counts.join(", "),
                    started.elapsed().as_secs()
                );
            }
            Err(_) => {
                println!("  FAILED: what did not hold, and where its files are, is above");
                let failure = format!("--only '{}' --seed {seed} --rounds 1", kind.name());
                self.failures.push(failure);
            }
        }
    }

    fn total(&self) -> Episode {
        let mut all = Episode::default();
        for episode in self.totals.values() {
            all.crashes += episode.crashes;
            all.summary.add(&episode.summary);
        }
        all
    }

    fn print(&self) {
        let names = Episode::default().summary.counts().map(|(name, _)| name);
        print!("\n{:<14}{:>9}", "", "crashes");
        names.iter().for_each(|name| print!("{name:>16}"));
        println!();
        let total = ("all", self.total());
        let rows = self
            .totals
            .iter()
            .map(|(kind, episode)| (kind.name(), *episode));
        for (name, episode) in rows.chain([total]) {
            print!("{name:<14}{:>9}", episode.crashes);
            let counts = episode.summary.counts();
            counts.iter().for_each(|(_, n)| print!("{n:>16}"));
            println!();
        }
        println!();
        for promise in Promise::ALL {
            println!("{:<28}{:>6}", promise.breach(), promise.broken());
        }
        println!("{:<28}{:>6}", "episodes that failed", self.failures.len());
        for failure in &self.failures {
            println!("FAILED; again: scripts/crash-suite.sh {failure}");
        }
    }

    fn json(&self, seed: u64, took: Duration) -> Value {
        let counted = |episode: &Episode| {
            let mut counts = Map::new();
            counts.insert("crashes".to_owned(), json!(episode.crashes));
            for (name, n) in episode.summary.counts() {
                counts.insert(name.replace(' ', "_"), json!(n));
            }
            Value::Object(counts)
        };
        let kinds = self
            .totals
            .iter()
            .map(|(kind, e)| (kind.name().replace(' ', "_"), counted(e)));
        let broken = Promise::ALL.map(|p| (p.breach().replace(' ', "_"), json!(p.broken())));
        json!({
            "seed": seed,
            "seconds": took.as_secs(),
            "kinds": kinds.collect::<Map<_, _>>(),
            "all": counted(&self.total()),
            "broken": broken.into_iter().collect::<Map<_, _>>(),
            "failed": self.failures,
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let started = Instant::now();
    let until = started + args.minutes;
    println!("seed {}", args.seed);
    let kinds: Vec<Kind> = args.only.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let mut outcome = Outcome::default();
    for (number, kind) in kinds.iter().cycle().enumerate() {
        let over = match args.rounds {
            Some(rounds) => number >= rounds * kinds.len(),
            None => number >= kinds.len() && Instant::now() >= until,
        };
        if over {
            break;
        }
        outcome.run(*kind, args.seed.wrapping_add(number as u64));
    }
    outcome.print();
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", outcome.json(args.seed, started.elapsed()));
        if let Err(error) = std::fs::write(path, text) {
            eprintln!("error: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    let broken: u64 = Promise::ALL.iter().map(|p| p.broken()).sum();
    match outcome.failures.is_empty() && broken == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
