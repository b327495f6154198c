//! `ottla serve`: runs a broker until it is told to stop.

mod announce;
mod banner;
mod config;
mod environment;
mod ports;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use ottla_broker::Broker;

use crate::args::name_value;
use crate::logging::{self, LogFormat};
use crate::signals::{Signals, Stop};
use crate::talk::say;
use announce::Announce;
use ports::PortFile;

const HELP: &str = "\
Of several sources the later wins: --config, then the environment (OTTLA_NUM_PARTITIONS=3), then --port, --host, --http-port and --durability, then --override.

Examples:
  ottla serve
  ottla serve --port 0 --port-file broker.port --data-dir /tmp/scratch --durability os
  ottla serve --host 0.0.0.0 --override advertised.listeners=PLAINTEXT://broker.example:9092";

/// Runs a broker.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ServeArgs {
    /// Port to listen on; 0 takes a free one and says which [default: 9092]
    #[arg(short, long)]
    port: Option<u16>,
    /// Address to listen on; 0.0.0.0 for all [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// Port for HTTP (health, metrics, dead letters); 0 takes a free one, off turns HTTP off [default: 9644]
    #[arg(long, value_name = "PORT|off", value_parser = http_port)]
    http_port: Option<String>,
    /// Where to keep the data [default: the configuration's log.dirs, or ./data]
    #[arg(short, long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What an acknowledged record survives: disk, a power cut; os, the death of the process [default: disk]
    #[arg(long, value_enum)]
    durability: Option<Durability>,
    /// Settings in the form of Kafka's server.properties
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting, as in num.partitions=3; repeatable
    #[arg(short, long = "override", value_name = "NAME=VALUE", value_parser = name_value)]
    overrides: Vec<(String, String)>,
    /// How log lines look; what is logged is set by the environment variable RUST_LOG
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durability {
    Disk,
    Os,
}

/// Checked here, so that a mistake is one of usage.
fn http_port(text: &str) -> Result<String, String> {
    match text == "off" || text.parse::<u16>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("expected a port (0 to 65535) or off".to_owned()),
    }
}

pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    logging::start("info", args.log_format);
    let config = config::broker_config(&args, std::env::vars_os())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(args.threads))
        .enable_all()
        .build()
        .context("cannot start the threads that serve connections")?;
    runtime.block_on(async {
        // Before the broker starts, so that a signal during recovery is heeded too.
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let mut port_file = args.port_file.map(PortFile::claim).transpose()?;
        let broker = tokio::select! {
            started = Broker::start(config) => started?,
            stop = signals.next() => return Ok(stop.exit_code()),
        };
        if let Some(file) = &mut port_file {
            file.write(&broker)?;
        }
        say!("{}", banner::render(&banner::facts(&broker)).trim_end());
        ports::print(&broker);
        if let Some(announce) = args.announce {
            ports::say_to_programs(&announce.lines(broker.node_id()));
        }
        let stop = signals.next().await;
        say!("Stopping on {}; once more to stop at once.", stop.name());
        // From here on nobody is to be sent to it.
        drop(port_file);
        shut_down(broker, signals).await
    })
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
