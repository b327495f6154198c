//! `ottla config`: what the settings of a broker come to.

mod compose;

use std::process::ExitCode;

use clap::Subcommand;

/// Explain, check and translate settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tell what a compose file's Kafka would become
    FromCompose(compose::FromComposeArgs),
}

pub fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    crate::start_client_logging();
    match command {
        ConfigCommand::FromCompose(args) => compose::run(args),
    }
}
