//! `ottla dlq`: dead letters. Talks HTTP, on the port of Kafka's protocol.

mod config;
mod export;
mod list;
mod nack;
mod peek;
mod progress;
mod purge;
mod redrive;
mod redrives;
mod selection;
mod show;
mod stats;
mod suspects;
mod views;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List the queues
    List(list::ListArgs),
    /// Show a topic's queue: how many, of which groups, why, and what goes on
    Show(show::ShowArgs),
    /// Print records of a queue
    Peek(peek::PeekArgs),
    /// Count a queue's records by partition, group and reason
    Stats(stats::StatsArgs),
    /// Say that a group failed on a record
    Nack(nack::NackArgs),
    /// Move records back to where they came from
    Redrive(redrive::RedriveArgs),
    /// List redrives that run, are paused, or ended lately
    Redrives(redrives::RedrivesArgs),
    /// End a redrive; what it moved stays moved
    Cancel(redrives::TaskArgs),
    /// Stop a redrive until it is resumed
    Pause(redrives::TaskArgs),
    /// Let a paused redrive go on
    Resume(redrives::TaskArgs),
    /// Delete records of a queue for good
    Purge(purge::PurgeArgs),
    /// Print all records of a queue as JSON, a line for each
    Export(export::ExportArgs),
    /// Show and change the settings of dead letters
    Config(config::ConfigArgs),
    /// Show what groups fail on now
    Suspects(suspects::SuspectsArgs),
}

pub async fn run(command: DlqCommand) -> anyhow::Result<()> {
    match command {
        DlqCommand::List(args) => list::run(args).await,
        DlqCommand::Show(args) => show::run(args).await,
        DlqCommand::Peek(args) => peek::run(args).await,
        DlqCommand::Stats(args) => stats::run(args).await,
        DlqCommand::Nack(args) => nack::run(args).await,
        DlqCommand::Redrive(args) => redrive::run(args).await,
        DlqCommand::Redrives(args) => redrives::run(args).await,
        DlqCommand::Cancel(args) => redrives::change(args, redrives::Change::Cancel).await,
        DlqCommand::Pause(args) => redrives::change(args, redrives::Change::Pause).await,
        DlqCommand::Resume(args) => redrives::change(args, redrives::Change::Resume).await,
        DlqCommand::Purge(args) => purge::run(args).await,
        DlqCommand::Export(args) => export::run(args).await,
        DlqCommand::Config(args) => config::run(args).await,
        DlqCommand::Suspects(args) => suspects::run(args).await,
    }
}
