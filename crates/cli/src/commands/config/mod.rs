//! `ottla config`: what the settings of a broker come to.

mod check;
mod compose;
mod explain;

use std::process::ExitCode;

use clap::Subcommand;

/// Explain, check and translate settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tell each setting's value, and where it came from
    Explain(explain::ExplainArgs),
    /// Tell what is wrong with a file of settings
    Check(check::CheckArgs),
    /// Tell what a compose file's Kafka would become
    FromCompose(compose::FromComposeArgs),
}

pub fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    crate::start_client_logging();
    match command {
        ConfigCommand::Explain(args) => explain::run(args),
        ConfigCommand::Check(args) => check::run(args),
        ConfigCommand::FromCompose(args) => compose::run(args),
    }
}
