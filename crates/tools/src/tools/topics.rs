//! `kafka-topics`: lists topics.

use ottla_client::{Client, Topics};

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::Options;
use crate::stop::Stop;
use crate::talk::print_line;
use crate::topic_filter::{TopicFilter, is_internal};

pub(super) const TOOL: Tool = Tool {
    name: "topics",
    classes: &[
        "kafka.admin.TopicCommand",
        "org.apache.kafka.tools.TopicCommand",
    ],
    run,
};

fn options() -> Options {
    Options::new()
        .value(
            "bootstrap-server",
            "host:port,...",
            "REQUIRED. Where the brokers are.",
        )
        .value("command-config", "file", "Properties of the client.")
        .flag("list", "List topics.")
        .value(
            "topic",
            "pattern",
            "The topic, or a regular expression for topics.",
        )
        .flag("exclude-internal", "Leave internal topics out.")
}

fn run(args: &[String]) -> Result<(), Stop> {
    let parsed = options().parse(args)?;
    parsed.help_or_version("List topics.")?;
    let Some(bootstrap) = parsed.value("bootstrap-server")? else {
        return Err(Stop::Failed(
            "--bootstrap-server must be specified".to_owned(),
        ));
    };
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let pattern = parsed.value("topic")?;
    block_on(async {
        let mut client = cluster::connect(bootstrap, &properties, "listTopics").await?;
        let names = names(&mut client, pattern, parsed.has("exclude-internal")).await?;
        print_line!("{}", names.join("\n"));
        Ok(())
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
