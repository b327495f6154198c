//! `ottla snapshot`: all state of a broker under a name, and back.

mod delete;
mod list;
mod restore;
mod save;
mod views;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Save all state of a running broker
    Save(save::SaveArgs),
    /// List the snapshots of a running broker, or those in a data directory
    List(list::ListArgs),
    /// Bring a snapshot into a data directory that no broker uses
    Restore(restore::RestoreArgs),
    /// Delete a snapshot of a running broker
    Delete(delete::DeleteArgs),
}

pub async fn run(command: SnapshotCommand) -> anyhow::Result<()> {
    match command {
        SnapshotCommand::Save(args) => save::run(args).await,
        SnapshotCommand::List(args) => list::run(args).await,
        SnapshotCommand::Restore(args) => restore::run(args).await,
        SnapshotCommand::Delete(args) => delete::run(args).await,
    }
}
