//! `kafka-topics`: lists, describes, creates, alters and deletes topics.

mod change;
mod describe;

use ottla_client::{Client, Topics};

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::stop::Stop;
use crate::talk::{print_line, say};
use crate::topic_filter::{TopicFilter, is_internal};

pub(super) const TOOL: Tool = Tool {
    name: "topics",
    classes: &[
        "kafka.admin.TopicCommand",
        "org.apache.kafka.tools.TopicCommand",
    ],
    run,
};

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
/// What shows partitions in a certain state alone.
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

fn options() -> Options {
    Options::new()
        .bootstrap_server()
        .value("command-config", "file", "Properties of the client.")
        .flag("list", "List topics.")
        .flag("describe", "Describe topics and their partitions.")
        .flag("create", "Create a topic.")
        .flag("alter", "Raise the number of partitions.")
        .flag("delete", "Delete topics.")
        .value(
            "topic",
            "topic",
            "The topic; a regular expression with any action but --create.",
        )
        .value("topic-id", "id", "The id of the topic to describe.")
        .value(
            "config",
            "name=value",
            "With --create: a setting of the topic; may be repeated. Settings of a topic that exists are kafka-configs' matter.",
        )
        .value("delete-config", "name", "No longer supported, as in Kafka 4.0.")
        .value(
            "partitions",
            "number",
            "How many partitions to create, or to raise the topic to. More partitions move keys to other partitions.",
        )
        .value(
            "replication-factor",
            "number",
            "How many replicas each partition has.",
        )
        .value(
            "replica-assignment",
            "id:id,id:id,...",
            "The brokers of each partition's replicas.",
        )
        .flag(
            REPORTS[0],
            "Describe partitions with replicas out of sync alone.",
        )
        .flag(
            REPORTS[1],
            "Describe partitions with fewer replicas in sync than min.insync.replicas alone.",
        )
        .flag(
            REPORTS[2],
            "Describe partitions with just as many replicas in sync as min.insync.replicas alone.",
        )
        .flag(REPORTS[3], "Describe partitions without a leader alone.")
        .flag(
            "topics-with-overrides",
            "Describe topics with settings of their own alone, without partitions.",
        )
        .flag(
            "if-exists",
            "Let a topic that is not there be no error when altering, deleting, describing.",
        )
        .flag(
            "if-not-exists",
            "Let a topic that is there be no error when creating.",
        )
        .flag(
            "exclude-internal",
            "Leave internal topics out of lists and descriptions.",
        )
        .value(
            "partition-size-limit-per-response",
            "number",
            "How many partitions to ask for at once when describing.",
        )
}

fn run(args: &[String]) -> Result<(), Stop> {
    let parsed = options().parse(args)?;
    parsed.help_or_version("This tool lists, describes, creates, alters and deletes topics.")?;
    check(&parsed)?;
    let bootstrap = parsed
        .value("bootstrap-server")?
        .expect("the check asks for it");
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let topic = parsed.value("topic")?;
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "listTopics").await?;
        if parsed.has("create") {
            return change::create(client, &parsed).await;
        }
        if parsed.has("describe") {
            return describe::run(client, &parsed).await;
        }
        let names = names(client, topic, parsed.has("exclude-internal")).await?;
        if parsed.has("list") {
            print_line!("{}", names.join("\n"));
            return Ok(());
        }
        ensure_found(&names, topic, parsed.has("if-exists"))?;
        if parsed.has("alter") {
            change::alter(client, &names, &parsed).await
        } else {
            change::delete(client, &names).await
        }
    })
    .map_err(|failure: Failure| {
        print_line!("Error while executing topic command : {failure}");
        Stop::Exit(1)
    })
}

/// The names of the topics that `pattern` means, or of all, sorted.
async fn names(
    client: &mut Client,
    pattern: Option<&str>,
    exclude_internal: bool,
) -> Result<Vec<String>, Failure> {
    let filter = pattern.map(TopicFilter::new).transpose()?;
    let metadata = client.metadata(Topics::All, false).await?;
    let mut names: Vec<String> = metadata
        .topics
        .into_iter()
        .filter(|topic| !(exclude_internal && topic.internal))
        .map(|topic| topic.name)
        .filter(|name| match &filter {
            Some(filter) => filter.allows(name, exclude_internal),
            None => !(exclude_internal && is_internal(name)),
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Whether there is a topic where one was asked for by name or pattern.
fn ensure_found(names: &[String], asked: Option<&str>, if_exists: bool) -> Result<(), Failure> {
    match asked {
        Some(asked) if !asked.is_empty() && !if_exists && names.is_empty() => Err(Failure::new(
            format!("Topic '{asked}' does not exist as expected"),
        )),
        _ => Ok(()),
    }
}

/// Checks that the options fit together.
fn check(parsed: &Parsed) -> Result<(), Stop> {
    if parsed.given(&ACTIONS).len() != 1 {
        return Err(parsed.usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ));
    }
    if parsed.has("delete-config") {
        say!("--delete-config is not supported since Kafka 4.0, and ignored");
    }
    if !parsed.has("bootstrap-server") {
        return Err(Stop::Failed(
            "--bootstrap-server must be specified".to_owned(),
        ));
    }
    if parsed.has("describe") && parsed.has("if-exists") {
        match (parsed.has("topic"), parsed.has("topic-id")) {
            (false, false) => {
                return Err(parsed.usage("--topic or --topic-id is required to describe a topic"));
            }
            (true, true) => print_line!(
                "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID"
            ),
            _ => {}
        }
    }
    if !parsed.has("list") && !parsed.has("describe") {
        parsed.require(&["topic"])?;
    }
    if parsed.has("alter") {
        if parsed.has("config") {
            return Err(parsed.usage(
                "Option combination \"[bootstrap-server],[config]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)",
            ));
        }
        parsed.require(&["partitions"])?;
    }
    check_actions(parsed)
}

/// Checks that each option is given with an action that knows it.
fn check_actions(parsed: &Parsed) -> Result<(), Stop> {
    let but = |allowed: &[&str]| -> Vec<&str> {
        let mut actions = ACTIONS.to_vec();
        actions.retain(|action| !allowed.contains(action));
        actions
    };
    parsed.exclude("config", &but(&["alter", "create"]))?;
    parsed.exclude("partitions", &but(&["alter", "create"]))?;
    parsed.exclude("replication-factor", &but(&["create"]))?;
    parsed.exclude("replica-assignment", &but(&["alter", "create"]))?;
    if parsed.has("create") {
        parsed.exclude("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        parsed.exclude(report, &but(&["describe"]))?;
        parsed.exclude(report, &["topics-with-overrides"])?;
    }
    parsed.exclude("topics-with-overrides", &but(&["describe"]))?;
    parsed.exclude("if-exists", &but(&["alter", "delete", "describe"]))?;
    parsed.exclude("if-not-exists", &but(&["create"]))?;
    parsed.exclude("exclude-internal", &but(&["list", "describe"]))
}
