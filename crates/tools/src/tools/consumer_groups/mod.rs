//! `kafka-consumer-groups`: lists, describes, deletes and moves groups.

mod delete;
mod describe;
mod list;
mod partitions;
mod place;
mod plan;
mod reset;

use ottla_client::Client;
use regex_syntax::ParserBuilder;

use crate::Tool;
use crate::cluster::{self, Properties, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::stop::Stop;
use crate::talk::{print_line, say};

pub(super) const TOOL: Tool = Tool {
    name: "consumer-groups",
    classes: &[
        "kafka.admin.ConsumerGroupCommand",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ],
    run,
};

const ACTIONS: [&str; 6] = [
    "list",
    "describe",
    "delete",
    "reset-offsets",
    "delete-offsets",
    "validate-regex",
];
/// Where `--reset-offsets` can move a group.
const PLACES: [&str; 8] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "shift-by",
    "from-file",
];

/// How a command ends that does not do what was asked.
#[derive(Debug)]
enum Ending {
    /// The arguments were wrong, which showed late: the usage follows, and exit code 1.
    Usage(String),
    /// It failed, as the original words it. Exit code 0, also as the original.
    Failed(String),
    /// The client could not be made: the reason.
    NoClient(String),
    /// An argument could not be read.
    Stop(Stop),
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Ending {
        match stop {
            // A value that is no number.
            Stop::Failed(message) => Ending::Failed(message),
            stop => Ending::Stop(stop),
        }
    }
}

/// A failure that comes out of a future of Kafka's client: the exception's class is part of its words.
fn thrown(failure: &Failure) -> String {
    format!("{}: {failure}", failure.class())
}

/// The same inside another exception.
fn wrapped(failure: &Failure) -> Ending {
    Ending::Failed(format!(
        "java.util.concurrent.ExecutionException: {}",
        thrown(failure)
    ))
}

fn options() -> Options {
    Options::new()
        .value(
            "bootstrap-server",
            "host:port,...",
            "REQUIRED, but for --validate-regex. Where the brokers are.",
        )
        .value("command-config", "file", "Properties of the client.")
        .flag("list", "List groups.")
        .flag(
            "describe",
            "Describe groups: where they stand in each partition, and how far that is from its end.",
        )
        .flag("delete", "Delete groups and all their offsets.")
        .flag("delete-offsets", "Delete a group's offsets of topics.")
        .flag(
            "reset-offsets",
            "Move a group without members to other offsets, or show where it would be moved to.",
        )
        .value("validate-regex", "regex", "Check a regular expression.")
        .value("group", "id", "The group; may be repeated.")
        .flag("all-groups", "All groups.")
        .value(
            "topic",
            "topic",
            "The topic, or some of its partitions as in orders:0,1; may be repeated.",
        )
        .flag("all-topics", "All topics that the group has offsets of.")
        .flag("offsets", "Describe offsets, which is the default.")
        .flag("members", "Describe the members.")
        .optional_value(
            "state",
            "states",
            "Describe the state; with --list: show states, and groups of these states alone.",
        )
        .optional_value(
            "type",
            "types",
            "With --list: show types, and groups of these types alone.",
        )
        .flag("verbose", "Describe more.")
        .value(
            "timeout",
            "ms",
            "How long to try, in milliseconds; 30000 by default.",
        )
        .flag("dry-run", "Show the new offsets alone, which is the default.")
        .flag("execute", "Move the group.")
        .flag("export", "Show the new offsets as CSV.")
        .value(PLACES[0], "offset", "Move to this offset.")
        .value(
            PLACES[1],
            "datetime",
            "Move to the first records at or after this time, as in 2026-01-31T12:00:00.000.",
        )
        .value(
            PLACES[2],
            "duration",
            "Move to the first records of the time since so long ago, as in PT1H30M.",
        )
        .flag(PLACES[3], "Move to the beginning.")
        .flag(PLACES[4], "Move to the end.")
        .flag(PLACES[5], "Stay.")
        .value(
            PLACES[6],
            "number",
            "Move so many offsets on, or back if it is negative.",
        )
        .value(
            PLACES[7],
            "file",
            "Move to offsets in a file of CSV, as --export writes it.",
        )
}

fn run(args: &[String]) -> Result<(), Stop> {
    let parsed = options().parse(args)?;
    check(&parsed)?;
    if let Some(regex) = parsed.value("validate-regex")? {
        validate_regex(regex);
        return Ok(());
    }
    match block_on(act(&parsed)) {
        Ok(()) => Ok(()),
        Err(Ending::Usage(message)) => Err(parsed.usage(message)),
        Err(Ending::Stop(stop)) => Err(stop),
        Err(Ending::Failed(reason)) => {
            print_line!("\nError: Executing consumer group command failed due to {reason}");
            Ok(())
        }
        Err(Ending::NoClient(reason)) => {
            print_line!(
                "\nError: Executing consumer group command failed due to Failed to create new KafkaAdminClient"
            );
            say!("Caused by: org.apache.kafka.common.config.ConfigException: {reason}");
            Ok(())
        }
    }
}

async fn act(parsed: &Parsed) -> Result<(), Ending> {
    if parsed.has("list") {
        list::run(parsed).await
    } else if parsed.has("describe") {
        describe::run(parsed).await
    } else if parsed.has("delete") {
        delete::groups(parsed).await
    } else if parsed.has("delete-offsets") {
        delete::offsets(parsed).await
    } else {
        reset::run(parsed).await
    }
}

/// Connects; `call` is what Kafka's client would be at.
async fn connect(parsed: &Parsed, call: &str) -> Result<Result<Client, Failure>, Ending> {
    let bootstrap = parsed
        .value("bootstrap-server")?
        .expect("the check asks for it");
    let mut properties: Properties = cluster::read_properties(parsed.value("command-config")?)?;
    let timeout: u32 = parsed.number("timeout")?.unwrap_or(30_000);
    properties.insert("default.api.timeout.ms".to_owned(), timeout.to_string());
    match cluster::connect(bootstrap, &properties, call).await {
        Ok(client) => Ok(Ok(client)),
        Err(failure) if failure.error.is_some() => Ok(Err(failure)),
        Err(failure) => Err(Ending::NoClient(failure.to_string())),
    }
}

/// The groups that the arguments mean.
async fn groups(client: &mut Client, parsed: &Parsed) -> Result<Vec<String>, Ending> {
    if parsed.has("all-groups") {
        return list::names(client).await.map_err(|f| wrapped(&f));
    }
    let mut groups = Vec::new();
    for group in parsed.values("group") {
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    Ok(groups)
}

fn check(parsed: &Parsed) -> Result<(), Stop> {
    let with = |flag: &str, allowed: &[&str]| {
        let unavailable = parsed.has(flag) && parsed.given(allowed).is_empty();
        unavailable.then(|| {
            Stop::Failed(format!(
                "Option(s) [{flag}] are unavailable given other options on the command line"
            ))
        })
    };
    for flag in ["members", "verbose", "offsets"] {
        with(flag, &["describe", "help", "version"]).map_or(Ok(()), Err)?;
    }
    with("state", &["describe", "list", "help", "version"]).map_or(Ok(()), Err)?;
    with("type", &["list", "help", "version"]).map_or(Ok(()), Err)?;
    parsed.help_or_version(
        "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
    )?;
    if !parsed.has("validate-regex") {
        parsed.require(&["bootstrap-server"])?;
    }
    if parsed.has("describe") {
        one_scope(parsed, "describe")?;
        if parsed.given(&["members", "offsets", "state"]).len() > 1 {
            return Err(parsed.usage(
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ));
        }
        if parsed.value("state")?.is_some() {
            return Err(parsed.usage("Option [describe] does not take a value for [state]"));
        }
    }
    if parsed.has("delete") {
        one_scope(parsed, "delete")?;
        if parsed.has("topic") {
            return Err(parsed.usage(
                "The consumer does not support topic-specific offset deletion from a consumer group.",
            ));
        }
    }
    if parsed.has("delete-offsets") && parsed.given(&["group", "topic"]).len() < 2 {
        return Err(
            parsed.usage("Option [delete-offsets] takes the following options: [topic], [group]")
        );
    }
    if parsed.has("reset-offsets") {
        check_reset(parsed)?;
    }
    parsed.exclude("group", &["all-groups"])?;
    parsed.exclude("group", &["list"])?;
    parsed.exclude("topic", &["list", "describe"])?;
    if parsed.given(&ACTIONS).len() != 1 {
        let actions: Vec<String> = ACTIONS.iter().map(|name| format!("--{name}")).collect();
        return Err(parsed.usage(format!(
            "Command must include exactly one action: {}",
            actions.join(", ")
        )));
    }
    Ok(())
}

fn one_scope(parsed: &Parsed, action: &str) -> Result<(), Stop> {
    if parsed.given(&["group", "all-groups"]).is_empty() {
        return Err(parsed.usage(format!(
            "Option [{action}] takes one of these options: [all-groups], [group]"
        )));
    }
    Ok(())
}

fn check_reset(parsed: &Parsed) -> Result<(), Stop> {
    match parsed.given(&["dry-run", "execute"])[..] {
        [_, _] => {
            return Err(
                parsed.usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
            );
        }
        [] => say!(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting."
        ),
        _ => {}
    }
    one_scope(parsed, "reset-offsets")?;
    for place in PLACES {
        let others: Vec<&str> = PLACES.into_iter().filter(|other| *other != place).collect();
        parsed.exclude(place, &others)?;
    }
    Ok(())
}

fn validate_regex(regex: &str) {
    match ParserBuilder::new().build().parse(regex) {
        Ok(_) => print_line!("The regular expression `{regex}` is valid."),
        Err(error) => {
            let reason = error_kind(&error);
            print_line!("The regular expression `{regex}` is invalid: {reason}.");
        }
    }
}

/// The words of RE2 for what scripts and people meet most.
fn error_kind(error: &regex_syntax::Error) -> String {
    use regex_syntax::ast::ErrorKind as E;
    match error {
        regex_syntax::Error::Parse(error) => match error.kind() {
            E::ClassUnclosed => "missing closing ]".to_owned(),
            E::GroupUnclosed => "missing closing )".to_owned(),
            E::GroupUnopened => "unexpected )".to_owned(),
            E::RepetitionMissing => "missing argument to repetition operator".to_owned(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
