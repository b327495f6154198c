//! The command line's shape. Each command's own arguments are beside the command.

use std::ffi::OsString;

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

impl Cli {
    /// What this process was called with. Ends it with 2 on a usage error, as clap does by itself.
    pub fn of_process() -> Cli {
        start_of_a_broker(&std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(Cli::parse)
    }
}

/// The one command that is there to stay: its shape is built alone, so that a broker does not keep the pages of code that build all the
/// others. `None` for what is not its start, a request for help and mistakes, which the whole shape answers.
fn start_of_a_broker(args: &[OsString]) -> Option<Cli> {
    #[derive(Parser)]
    #[command(name = "ottla", version)]
    struct Start {
        #[command(subcommand)]
        command: Only,
    }
    #[derive(Subcommand)]
    enum Only {
        Serve(serve::ServeArgs),
    }
    if args.get(1)? != "serve" {
        return None;
    }
    let Only::Serve(args) = Start::try_parse_from(args).ok()?.command;
    Some(Cli {
        command: Command::Serve(args),
    })
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
    fn a_broker_starts_the_same_whether_its_command_is_alone_or_among_all() {
        let alone = |args: &[&str]| {
            let args: Vec<OsString> = ["ottla"].iter().chain(args).map(OsString::from).collect();
            start_of_a_broker(&args)
        };
        for args in [
            &["serve"][..],
            &["serve", "--port", "0", "--http-port=off", "-d", "/data"],
            &[
                "serve",
                "-o",
                "a=b",
                "--override",
                "c=d",
                "--config",
                "file",
            ],
            &["serve", "--host", "0.0.0.0", "--durability", "os"],
        ] {
            let whole = Cli::parse_from(["ottla"].iter().chain(args));
            assert_eq!(format!("{:?}", alone(args)), format!("{:?}", Some(whole)));
        }
        for args in [
            &[][..],
            &["--version"],
            &["serve", "--help"],
            &["serve", "--nonsense"],
            &["serve", "--port", "x"],
            &["topic", "list"],
        ] {
            assert!(alone(args).is_none(), "{args:?}");
        }
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
