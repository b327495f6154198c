//! `ottla serve`: runs a broker until it is told to stop.

mod announce;
mod banner;
pub mod config;
pub mod environment;
mod ephemeral;
mod init;
mod ports;
pub mod sources;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ottla_broker::Broker;
use ottla_broker::settings::BrokerConfig;

use crate::logging::{self, LogFormat};
use crate::signals::{Signals, Stop};
use crate::talk::say;
use announce::Announce;
use config::SettingArgs;
use ephemeral::Ephemeral;
use init::{InitArgs, Plan};
use ports::PortFile;

const HELP: &str = "\
Of several sources the later wins: --config, then the environment (KAFKA_NUM_PARTITIONS=3), then --port, --host, --http-port and --durability, then --override. What comes of them: ottla config explain.

Examples:
  ottla serve
  ottla serve --port 0 --port-file broker.port --data-dir /tmp/scratch --durability os
  OTTLA_TOPICS=orders:3,payments:6:cleanup.policy=compact ottla serve --init-dir ./seed
  ottla serve --host 0.0.0.0 --override advertised.listeners=PLAINTEXT://broker.example:9092";

/// A load takes again within that what it frees (docs/PERFORMANCE.md, memory after a load).
const FREED_MEMORY_WAITS: Duration = Duration::from_millis(100);
/// Clients that waited for the broker have had their first answers by then.
const START_IS_OVER: Duration = Duration::from_secs(1);

/// Runs a broker.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ServeArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Keep the data in a temporary directory that is removed when the broker stops; nothing is synced unless --durability
    /// disk says so
    #[arg(
        long,
        env = "OTTLA_EPHEMERAL",
        value_parser = clap::builder::FalseyValueParser::new(),
        conflicts_with = "data_dir"
    )]
    ephemeral: bool,
    /// How log lines look; what is logged is set by the environment variable RUST_LOG
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    init: InitArgs,
    /// File for the first listener's port, written when the broker is ready and removed when it stops; all addresses, in
    /// JSON, if its name ends in .json
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Say on standard output that the broker is ready, in the words that tools for this one wait for
    #[arg(long, value_enum, env = "OTTLA_ANNOUNCE", hide_short_help = true)]
    announce: Option<Announce>,
    /// Threads that serve connections
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    ottla_memory::give_back_freed_after(FREED_MEMORY_WAITS);
    logging::start("info", args.log_format);
    let mut config = settings(&args.settings)?;
    // Removed when this ends, however it does, but for a second signal.
    let ephemeral = match args.ephemeral {
        true => Some(Ephemeral::for_broker(&mut config)?),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(args.threads))
        .enable_all()
        .build()
        .context("cannot start the threads that serve connections")?;
    runtime.block_on(async {
        // Before the broker starts, so that a signal during recovery is heeded too.
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let plan = Plan::gather(&args.init, |name| std::env::var(name).ok())?;
        let mut port_file = args.port_file.map(PortFile::claim).transpose()?;
        let broker = tokio::select! {
            started = start(config, plan) => started?,
            stop = signals.next() => return Ok(stop.exit_code()),
        };
        if let Some(file) = &mut port_file {
            file.write(&broker)?;
        }
        say!("{}", banner::render(&banner::facts(&broker)).trim_end());
        if ephemeral.is_some() {
            say!(
                "The data is in a temporary directory, which goes with this broker (--ephemeral)."
            );
        }
        ports::print(&broker);
        if let Some(announce) = args.announce {
            ports::say_to_programs(&announce.lines(broker.node_id()));
        }
        let stop = match tokio::time::timeout(START_IS_OVER, signals.next()).await {
            Ok(stop) => stop,
            Err(_) => {
                ottla_memory::give_back_code();
                signals.next().await
            }
        };
        say!("Stopping on {}; once more to stop at once.", stop.name());
        // From here on nobody is to be sent to it.
        drop(port_file);
        shut_down(broker, signals).await
    })
}

/// What the broker is started with. What is unknown is warned of, what cannot be is told with where it came from.
fn settings(args: &SettingArgs) -> anyhow::Result<BrokerConfig> {
    let (sources, warnings) = config::sources(args, std::env::vars_os())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let problems = sources.inspect().problems;
    if !problems.is_empty() {
        let told: Vec<String> = problems
            .iter()
            .map(|problem| sources.tell(problem))
            .collect();
        anyhow::bail!("{}", told.join("\n"));
    }
    Ok(sources.broker_config())
}

/// Starts a broker that serves nobody before its first topics are made.
async fn start(config: BrokerConfig, plan: Plan) -> anyhow::Result<Broker> {
    let broker = Broker::start_closed(config).await?;
    match init::make(plan, broker.first_topics()).await {
        Ok(()) => {
            broker.open();
            Ok(broker)
        }
        Err(error) => {
            broker.shutdown().await?;
            Err(error)
        }
    }
}

/// Stops gracefully; a second signal ends the process at once, with the code that a shell gives to that signal.
async fn shut_down(broker: Broker, mut signals: Signals) -> anyhow::Result<ExitCode> {
    tokio::select! {
        stopped = broker.shutdown() => {
            stopped.context("the broker did not stop cleanly; nothing acknowledged is lost")?;
            say!("Stopped.");
            Ok(ExitCode::SUCCESS)
        }
        stop = signals.next() => exit_at_once(stop),
    }
}

fn exit_at_once(stop: Stop) -> ! {
    std::process::exit(stop.code())
}
