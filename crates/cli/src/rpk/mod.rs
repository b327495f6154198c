//! What compose files, health checks and Testcontainers modules call in Redpanda's images: `rpk redpanda start`,
//! `rpk cluster health`, `rpk topic create` and their like. The binary is this when it is called by the name `rpk`.

mod address;
mod cluster;
mod flags;
mod node_config;
mod rest;
mod start;
mod topic;

pub(crate) use start::settings_of;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ottla_client::{Client, ClientOptions};
use serde_json::Value;

use crate::failure;

/// Where a broker in a container says how it can be reached (`ottla serve --port-file`).
const PORT_FILE: &str = "/run/ottla/broker.json";

/// Ottla by the commands of Redpanda's rpk, as far as scripts in containers call them.
#[derive(Debug, Parser)]
#[command(name = "rpk", version, arg_required_else_help = true)]
struct Rpk {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker
    #[command(subcommand)]
    Redpanda(RedpandaCommand),
    /// Look at the cluster
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Create, list and delete topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
enum RedpandaCommand {
    /// Start the broker
    #[command(disable_help_flag = true)]
    Start {
        /// What says where to listen, what to tell clients and where the data is; all others are accepted
        #[arg(
            value_name = "FLAGS",
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        flags: Vec<String>,
    },
}

/// Where the brokers are.
#[derive(Debug, Args)]
struct Brokers {
    /// The brokers' addresses [default: the broker of this container, or 127.0.0.1:9092]
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        env = "RPK_BROKERS"
    )]
    brokers: Vec<String>,
    /// rpk's own settings; of them `brokers=HOST:PORT` is heeded
    #[arg(short = 'X', long = "config-opt", value_name = "NAME=VALUE")]
    options: Vec<String>,
}

impl Brokers {
    async fn connect(&self) -> anyhow::Result<Client> {
        let option = self
            .options
            .iter()
            .find_map(|option| option.strip_prefix("brokers="));
        let brokers = match option {
            Some(list) => list.split(',').map(str::to_owned).collect(),
            None if self.brokers.is_empty() => vec![broker_here()],
            None => self.brokers.clone(),
        };
        Ok(Client::connect(&brokers, ClientOptions::default()).await?)
    }
}

/// The broker that runs in this container; else the well-known port.
fn broker_here() -> String {
    let told = std::fs::read_to_string(PORT_FILE).ok();
    let told = told.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let address =
        told.and_then(|told| Some(told.pointer("/listeners/0/address")?.as_str()?.to_owned()));
    address.unwrap_or_else(|| "127.0.0.1:9092".to_owned())
}

/// Runs rpk if the binary was called by that name.
pub fn run_if_called_as_rpk() -> Option<ExitCode> {
    let called = std::env::args_os().next()?;
    if Path::new(&called).file_name()? != "rpk" {
        return None;
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    Some(failure::exit_code(run(Rpk::parse_from(args).command)))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Redpanda(RedpandaCommand::Start { flags }) => start::run(&flags),
        Command::Cluster(command) => crate::client(cluster::run(command)),
        Command::Topic(command) => crate::client(topic::run(command)),
        Command::Version => {
            println!("Ottla {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Rpk::command().debug_assert();
    }
}
