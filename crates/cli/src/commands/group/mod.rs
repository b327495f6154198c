//! `ottla group`: consumer groups and where they stand.

mod delete;
pub(crate) mod describe;
mod list;
mod reset_offsets;
mod target;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups
    List(list::ListArgs),
    /// Show a group's members, offsets and lag
    Describe(describe::DescribeArgs),
    /// Move a group that has no members to other offsets
    ResetOffsets(reset_offsets::ResetOffsetsArgs),
    /// Delete groups that have no members, with their offsets
    Delete(delete::DeleteArgs),
}

pub async fn run(command: GroupCommand) -> anyhow::Result<()> {
    match command {
        GroupCommand::List(args) => list::run(args).await,
        GroupCommand::Describe(args) => describe::run(args).await,
        GroupCommand::ResetOffsets(args) => reset_offsets::run(args).await,
        GroupCommand::Delete(args) => delete::run(args).await,
    }
}
