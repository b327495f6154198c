//! `kafka-groups`: lists groups of all types.

use ottla_client::admin::GroupListing;

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "groups",
    classes: &["org.apache.kafka.tools.GroupsCommand"],
    run,
};

const TYPES: [&str; 4] = ["Classic", "Consumer", "Share", "Streams"];

fn options() -> Options {
    Options::new()
        .bootstrap_server()
        .value("command-config", "file", "Properties of the client.")
        .flag("list", "List groups.")
        .value(
            "group-type",
            "type",
            "Groups of this type alone: classic, consumer, share or streams.",
        )
        .value("protocol", "protocol", "Groups of this protocol alone.")
        .flag(
            "consumer",
            "Groups of consumers alone, among them those that hold offsets without members.",
        )
        .flag("share", "Share groups alone.")
        .flag("streams", "Streams groups alone.")
}

fn run(args: &[String]) -> Result<(), Stop> {
    let options = options();
    let parsed = options.parse(args).map_err(|stop| match stop {
        Stop::Failed(message) => options.usage(message),
        stop => stop,
    })?;
    check(&parsed)?;
    let bootstrap = parsed
        .value("bootstrap-server")?
        .expect("the check asks for it");
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let wanted = kind(parsed.value("group-type")?);
    let protocol = parsed.value("protocol")?;
    let groups = block_on(async {
        let mut client = cluster::connect(bootstrap, &properties, "findAllBrokers").await?;
        Ok(client.list_groups().await?)
    });
    let mut groups = groups.map_err(|failure: Failure| {
        print_line!("Error while executing groups command : {failure}");
        Stop::Exit(1)
    })?;
    groups.retain(|group| is_meant(group, &parsed, wanted, protocol));
    print(&groups);
    Ok(())
}

fn check(parsed: &Parsed) -> Result<(), Stop> {
    parsed.help_or_version("This tool helps to list groups of all types.")?;
    if !parsed.has("bootstrap-server") {
        return Err(parsed.usage("Missing required option(s) [bootstrap-server]"));
    }
    if !parsed.has("list") {
        return Err(parsed.usage("Command must include exactly one action: --list."));
    }
    if let Some(given) = parsed.value("group-type")?
        && kind(Some(given)).is_none()
    {
        return Err(Stop::Failed(
            "--group-type must be a valid group type.".to_owned(),
        ));
    }
    parsed.exclude("consumer", &["group-type", "protocol", "share", "streams"])?;
    parsed.exclude("share", &["consumer", "group-type", "protocol", "streams"])?;
    parsed.exclude("streams", &["consumer", "group-type", "protocol", "share"])
}

fn kind(name: Option<&str>) -> Option<&'static str> {
    let name = name?;
    TYPES
        .into_iter()
        .find(|kind| kind.eq_ignore_ascii_case(name))
}

fn is_meant(
    group: &GroupListing,
    parsed: &Parsed,
    wanted: Option<&str>,
    protocol: Option<&str>,
) -> bool {
    let kind = kind(Some(&group.group_type));
    let of_protocol = protocol.is_none_or(|protocol| group.protocol_type == protocol);
    if wanted.is_some() {
        kind == wanted && of_protocol
    } else if parsed.has("consumer") {
        ["consumer", ""].contains(&&*group.protocol_type) || kind == Some("Consumer")
    } else if parsed.has("share") {
        kind == Some("Share")
    } else if parsed.has("streams") {
        kind == Some("Streams")
    } else {
        of_protocol
    }
}

fn print(groups: &[GroupListing]) {
    let rows: Vec<[&str; 3]> = groups
        .iter()
        .map(|group| {
            let kind = kind(Some(&group.group_type)).unwrap_or_default();
            [&*group.group, kind, &*group.protocol_type]
        })
        .collect();
    let widest = rows.iter().flatten().map(|cell| cell.chars().count()).max();
    let width = widest.unwrap_or(0).max(20);
    print_line!(
        "{:<width$} {:<width$} {:<width$}",
        "GROUP",
        "TYPE",
        "PROTOCOL"
    );
    for [group, kind, protocol] in rows {
        print_line!("{group:<width$} {kind:<width$} {protocol:<width$} ");
    }
}
