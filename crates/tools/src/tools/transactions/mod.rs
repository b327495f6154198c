//! `kafka-transactions`: who has transactions open, and the end of those that hang.

mod abort;
mod describe;
mod hanging;
mod list;

use ottla_client::ClientError;
use ottla_client::kafka_protocol::ResponseError;

use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed, Subcommands};
use crate::stop::Stop;
use crate::talk::print_line;
use crate::{KAFKA_VERSION, Tool};

pub(super) const TOOL: Tool = Tool {
    name: "transactions",
    classes: &["org.apache.kafka.tools.TransactionsCommand"],
    run,
};

fn tool() -> Subcommands {
    Subcommands::new(
        "kafka-transactions",
        "This tool shows the transactions of producers, and ends those that hang.",
    )
    .common(|options| {
        options
            .flag_aliases(
                &["version", "v"],
                "Show the version of Kafka that this tool stands in for.",
            )
            .value(
                "bootstrap-server",
                "host:port,...",
                "REQUIRED. Where the brokers are.",
            )
            .value("command-config", "file", "Properties of the client.")
    })
    .command("list", "List transactional ids.", list::options)
    .command(
        "describe",
        "Describe a transactional id.",
        describe::id_options,
    )
    .command(
        "describe-producers",
        "Describe the producers that a partition knows.",
        describe::producer_options,
    )
    .command(
        "abort",
        "Abort a hanging transaction in a partition.",
        abort::options,
    )
    .command(
        "find-hanging",
        "Find transactions that no coordinator will end.",
        hanging::options,
    )
    .command(
        "forceTerminateTransaction",
        "Abort what a transactional id has open, and fence its producer.",
        abort::force_options,
    )
}

/// `--topic` and `--partition`, of which a command needs both.
fn partition_options(options: Options) -> Options {
    options
        .value("topic", "name", "REQUIRED. The topic.")
        .value("partition", "number", "REQUIRED. The partition.")
}

fn run(args: &[String]) -> Result<(), Stop> {
    // Asked for in the place of a command.
    if let Some("-v" | "--version") = args.first().map(String::as_str) {
        print_line!("{KAFKA_VERSION}");
        return Ok(());
    }
    let tool = tool();
    let (common, command, parsed) = tool.parse(args)?;
    let misuse = |stop| tool.command_error(command, stop);
    let bootstrap = required(&common, "bootstrap-server").map_err(misuse)?;
    let action = Action::of(command, &parsed).map_err(misuse)?;
    action.check()?;
    let properties = cluster::read_properties(common.value("command-config")?)?;
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, action.call())
            .await
            .map_err(|failure| failed(&action.failure(), &failure))?;
        match &action {
            Action::List(list) => list.run(client).await,
            Action::Describe(describe) => describe.run(client).await,
            Action::DescribeProducers(describe) => describe.run(client).await,
            Action::Abort(abort) => abort.run(client).await,
            Action::FindHanging(find) => find.run(client).await,
            Action::Terminate(terminate) => terminate.run(client).await,
        }
    })
}

/// A command with its arguments.
enum Action {
    List(list::List),
    Describe(describe::Describe),
    DescribeProducers(describe::DescribeProducers),
    Abort(abort::Abort),
    FindHanging(hanging::FindHanging),
    Terminate(abort::Terminate),
}

impl Action {
    fn of(command: &str, parsed: &Parsed) -> Result<Action, Stop> {
        Ok(match command {
            "list" => Action::List(list::List::of(parsed)?),
            "describe" => Action::Describe(describe::Describe::of(parsed)?),
            "describe-producers" => {
                Action::DescribeProducers(describe::DescribeProducers::of(parsed)?)
            }
            "abort" => Action::Abort(abort::Abort::of(parsed)?),
            "find-hanging" => Action::FindHanging(hanging::FindHanging::of(parsed)?),
            _ => Action::Terminate(abort::Terminate::of(parsed)?),
        })
    }

    /// What does not fit together, which the original finds after it has read all arguments.
    fn check(&self) -> Result<(), Stop> {
        match self {
            Action::Abort(abort) => abort.check(),
            Action::FindHanging(find) => find.check(),
            _ => Ok(()),
        }
    }

    /// The call that the original waits for when no broker answers.
    fn call(&self) -> &'static str {
        match self {
            Action::List(_) => "findAllBrokers",
            Action::Describe(_) | Action::Terminate(_) => "findCoordinator",
            Action::DescribeProducers(_) | Action::Abort(_) => "topicMetadata",
            Action::FindHanging(_) => "listTopics",
        }
    }

    fn failure(&self) -> String {
        match self {
            Action::List(_) => list::FAILURE.to_owned(),
            Action::Describe(describe) => describe.failure(),
            Action::DescribeProducers(describe) => describe.failure(),
            Action::Abort(abort) => abort.failure(),
            Action::FindHanging(find) => find.failure(),
            Action::Terminate(terminate) => terminate.failure(),
        }
    }
}

/// The value of an option that a command cannot do without.
fn required<'a>(parsed: &'a Parsed, name: &str) -> Result<&'a str, Stop> {
    parsed
        .value(name)?
        .ok_or_else(|| Stop::Failed(format!("argument --{name} is required")))
}

/// The same for a number.
fn required_number<T: std::str::FromStr>(parsed: &Parsed, name: &str) -> Result<T, Stop> {
    required(parsed, name)?;
    Ok(parsed.number(name)?.expect("it was just looked for"))
}

/// As the original tells what could not be done, and why.
fn failed(what: &str, why: &Failure) -> Stop {
    Stop::Failed(format!(
        "{what}: {why}. Enable debug logging for additional detail."
    ))
}

/// Why a request about `what` failed: errors of the broker in the words that Kafka's clients have for this request.
fn reason(error: ClientError, of_code: impl FnOnce(ResponseError) -> Option<String>) -> Failure {
    let words = error.broker_error().and_then(of_code);
    let failure = Failure::from(error);
    words.map_or(failure, Failure::new)
}

fn show_table<const N: usize>(header: [&str; N], rows: &[[String; N]]) {
    print_line!("{}", crate::table::table(header, rows));
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
