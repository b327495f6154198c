//! `ottla wait`: ends when a broker, its topics and its groups are as asked for.

mod condition;
mod look;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::args::ClientArgs;
use crate::output;
use crate::talk::say;
use crate::time::parse_duration;
use condition::Condition;
use look::{Looker, Seen};

/// The pauses between two looks: from short, for what comes at once, to what a broker does not feel.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Even without time left, one look is taken.
const ONE_LOOK: Duration = Duration::from_secs(1);

const HELP: &str = "\
Conditions, all of which must hold at the same time:
  ready                    the broker answers, and what it was started with is there
  topic=NAME               the topic is there and has leaders; also :partitions=N
  group=NAME               the group is there; also :lag=N (at most), :state=Stable, :members=N
  dlq=TOPIC:records=N      so many dead letters of the topic wait in its queue; 0 if left out
  http, http=HOST:PORT     GET /readyz is answered with 200

A broker that cannot be reached yet is waited for. The exit code is 0 when all holds, 1 when the time is over.

Examples:
  ottla wait
  ottla wait --for topic=orders:partitions=3 --timeout 1m
  ottla wait --for topic=orders --for group=billing:lag=0";

/// Waits.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct WaitArgs {
    /// What is to hold; repeatable
    #[arg(long = "for", value_name = "CONDITION", default_value = "ready")]
    conditions: Vec<Condition>,
    /// How long to wait: 90s, 1h 30m; 0s looks once
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = waiting_time, allow_hyphen_values = true)]
    timeout: Duration,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

fn waiting_time(text: &str) -> Result<Duration, String> {
    let ms = parse_duration(text)?;
    let ms = u64::try_from(ms).map_err(|_| format!("`{text}` is less than nothing"))?;
    Ok(Duration::from_millis(ms))
}

pub async fn run(args: WaitArgs) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let mut looker = Looker::new(&args.client);
    let mut pause = FIRST_PAUSE;
    let mut seen: Vec<Seen> = Vec::new();
    let all_hold = loop {
        let left = args.timeout.saturating_sub(begun.elapsed());
        let limit = if seen.is_empty() {
            left.max(ONE_LOOK)
        } else {
            left
        };
        // A look that is cut off leaves what was seen before.
        match timeout(limit, looker.look(&args.conditions)).await {
            Ok(now) => seen = now,
            Err(_) if seen.is_empty() => {
                let nothing = || Seen::not("there was no answer");
                seen = args.conditions.iter().map(|_| nothing()).collect();
            }
            Err(_) => {}
        }
        if seen.iter().all(|seen| seen.holds) {
            break true;
        }
        let left = args.timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break false;
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    tell(&args, all_hold, &seen, begun.elapsed())?;
    Ok(match all_hold {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn tell(args: &WaitArgs, all_hold: bool, seen: &[Seen], waited: Duration) -> io::Result<()> {
    if args.json {
        let one = |(condition, seen): (&Condition, &Seen)| {
            json!({
                "condition": condition.to_string(),
                "holds": seen.holds,
                "state": seen.state,
            })
        };
        let conditions: Vec<_> = args.conditions.iter().zip(seen).map(one).collect();
        let told = json!({
            "holds": all_hold,
            "waited_ms": u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            "conditions": conditions,
        });
        output::json(&mut io::stdout().lock(), &told)?;
    }
    if !all_hold && !args.quiet {
        say!(
            "ottla: after {:.1} s this does not hold:",
            waited.as_secs_f64()
        );
        for (condition, seen) in args.conditions.iter().zip(seen) {
            if !seen.holds {
                say!("  {condition}: {}", seen.state);
            }
        }
    }
    Ok(())
}
