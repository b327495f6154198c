//! The command line's shape. Each command's own arguments are beside the command.

use clap::{Args, Parser, Subcommand};
use ottla_client::{Client, ClientError, ClientOptions};

use crate::commands::{
    check, completions, config, consume, dlq, doctor, group, kafka, produce, reset, serve,
    snapshot, topic, wait,
};

/// A message broker that speaks Kafka's protocol, and a client for any such broker.
#[derive(Debug, Parser)]
#[command(
    name = "ottla",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a broker
    Serve(serve::ServeArgs),
    /// Create, list, describe, alter and delete topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Send records, one a line, from stdin or a file
    Produce(produce::ProduceArgs),
    /// Read records
    Consume(consume::ConsumeArgs),
    /// List, describe, reset and delete consumer groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Look at dead letters, move them back, delete them
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Find out why clients do not reach a broker
    Doctor(doctor::DoctorArgs),
    /// Wait until a broker, its topics and its groups are as asked for
    Wait(wait::WaitArgs),
    /// Run one of Kafka's command line tools: `ottla kafka topics --bootstrap-server localhost:9092 --list`
    Kafka(kafka::KafkaArgs),
    /// Explain, check and translate settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Save all state of a broker under a name, and restore it
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Take all topics and groups of a running broker away
    Reset(reset::ResetArgs),
    /// Verify a data directory that no broker uses
    Check(check::CheckArgs),
    /// Print a shell's completion script
    Completions(completions::CompletionsArgs),
}

/// How a client command reaches its broker.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Where the brokers are
    #[arg(
        short = 'b',
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        env = "OTTLA_BOOTSTRAP_SERVER",
        default_value = "127.0.0.1:9092"
    )]
    pub bootstrap_server: Vec<String>,
}

impl ClientArgs {
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.bootstrap_server, ClientOptions::default()).await
    }
}

/// Parses `name=value`.
pub fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected name=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_is_a_name_and_a_value_that_may_hold_further_equals_signs() {
        assert_eq!(
            name_value("a.b=c=d"),
            Ok(("a.b".to_owned(), "c=d".to_owned()))
        );
        assert!(name_value("=x").is_err());
        assert!(name_value("x").is_err());
    }

    #[test]
    fn every_command_has_the_help_that_is_kept_here() {
        let mut help = String::new();
        render(&mut Cli::command(), &mut help);
        insta::assert_snapshot!("help", help);
    }

    #[test]
    fn every_command_that_a_script_would_call_prints_json() {
        let lacking: Vec<String> = leaves(&Cli::command())
            .into_iter()
            .filter(|command| command.get_arguments().all(|arg| arg.get_id() != "json"))
            .map(|command| command.get_name().to_owned())
            .collect();
        // One says all it has in its log (--log-format json), one prints nothing but JSON, one prints what Kafka's tools
        // print, one prints a script.
        assert_eq!(lacking, ["serve", "export", "kafka", "completions"]);
    }

    /// The commands that have none below them.
    fn leaves(command: &clap::Command) -> Vec<clap::Command> {
        if !command.has_subcommands() {
            return vec![command.clone()];
        }
        command.get_subcommands().flat_map(leaves).collect()
    }

    fn render(command: &mut clap::Command, help: &mut String) {
        use std::fmt::Write as _;
        let name = command.get_name().to_owned();
        write!(help, "==== {name}\n{}\n", command.render_long_help()).unwrap();
        for sub in command
            .get_subcommands_mut()
            .filter(|c| c.get_name() != "help")
        {
            render(sub, help);
        }
    }
}
