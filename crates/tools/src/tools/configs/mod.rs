//! `kafka-configs`: describes and changes the settings of topics, brokers, loggers, groups and client metrics.

mod alter;
mod describe;
mod entities;

use ottla_client::Client;

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::stop::Stop;
use crate::talk::say;
use entities::{Entities, EntityType};

pub(super) const TOOL: Tool = Tool {
    name: "configs",
    classes: &["kafka.admin.ConfigCommand"],
    run,
};

/// Why a command fails, which decides on how it is told.
enum Problem {
    /// The arguments are wrong: the message alone.
    Argument(String),
    /// The cluster refused, or could not be reached: the arguments and the exception.
    Failure(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        Problem::Failure(failure)
    }
}

impl From<ottla_client::ClientError> for Problem {
    fn from(error: ottla_client::ClientError) -> Problem {
        Problem::Failure(error.into())
    }
}

fn options() -> Options {
    let options = Options::new()
        .value(
            "bootstrap-server",
            "host:port,...",
            "Where the brokers are.",
        )
        .value(
            "bootstrap-controller",
            "host:port,...",
            "Where controllers are; there are none to connect to, use --bootstrap-server.",
        )
        .value("command-config", "file", "Properties of the client.")
        .flag("alter", "Change settings.")
        .flag("describe", "Show settings.")
        .flag(
            "all",
            "With --describe: all settings with their values, not only those that were set.",
        )
        .value(
            "entity-type",
            "type",
            &format!("What has settings: {}.", EntityType::list()),
        )
        .value("entity-name", "name", "Its name, or a broker's id.")
        .flag(
            "entity-default",
            "What all entities of the type have by default.",
        )
        .value(
            "add-config",
            "name=value,...",
            "Settings to set; a value with commas stands in brackets: a=1,b=[x,y].",
        )
        .value(
            "add-config-file",
            "file",
            "Settings to set, in a file of properties.",
        )
        .value(
            "delete-config",
            "name,...",
            "Settings to put back to their default.",
        );
    entities::add_flags(options)
}

fn run(args: &[String]) -> Result<(), Stop> {
    let parsed = options().parse(args)?;
    parsed.help_or_version(
        "This tool shows and changes the settings of topics, brokers, loggers, groups and client metrics.",
    )?;
    if parsed.given(&["alter", "describe"]).len() != 1 {
        return Err(parsed.usage("Command must include exactly one action: --describe, --alter"));
    }
    parsed.exclude("describe", &["add-config", "delete-config"])?;
    let entities = Entities::of(&parsed).map_err(Stop::Failed)?;
    check_alter(&parsed, &entities).map_err(Stop::Failed)?;
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let bootstrap = parsed.value("bootstrap-server")?.unwrap_or_default();
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "describeConfigs").await?;
        carry_out(client, &parsed, &entities).await
    })
    .map_err(|problem| tell(problem, args))
}

async fn carry_out(
    client: &mut Client,
    parsed: &Parsed,
    entities: &Entities,
) -> Result<(), Problem> {
    if entities.entity_type.is_of_quotas() {
        return Err(Problem::Argument(format!(
            "Settings of {} are quotas and credentials, which this tool does not manage",
            entities.entity_type.name()
        )));
    }
    if parsed.has("alter") {
        alter::run(client, parsed, entities).await
    } else {
        describe::run(client, entities, parsed.has("all")).await
    }
}

/// What `--alter` needs.
fn check_alter(parsed: &Parsed, entities: &Entities) -> Result<(), String> {
    if !parsed.has("alter") {
        return Ok(());
    }
    if entities.entity_type.has_default() {
        if entities.name.is_none() {
            return Err("An entity-name or default entity must be specified with --alter of users, clients, brokers or ips".to_owned());
        }
    } else if entities.name.as_deref().is_none_or(str::is_empty) {
        return Err(format!(
            "An entity name must be specified with --alter of {}",
            entities.entity_type.name()
        ));
    }
    match (
        parsed.has("add-config"),
        parsed.has("add-config-file"),
        parsed.has("delete-config"),
    ) {
        (true, true, _) => {
            Err("Only one of --add-config or --add-config-file must be specified".to_owned())
        }
        (false, false, false) => Err(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn tell(problem: Problem, args: &[String]) -> Stop {
    match problem {
        Problem::Argument(message) => say!("{message}"),
        Problem::Failure(failure) => {
            say!(
                "Error while executing config command with args '{}'",
                args.join(" ")
            );
            say!(
                "java.util.concurrent.ExecutionException: {}: {failure}",
                failure.class()
            );
        }
    }
    Stop::Exit(1)
}
