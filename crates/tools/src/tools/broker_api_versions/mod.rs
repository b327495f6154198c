//! `kafka-broker-api-versions`: which APIs each broker speaks, and which of their versions a client of Kafka 4.3 would use.

mod client_apis;

use std::collections::BTreeMap;

use ottla_client::Topics;

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::Options;
use crate::stop::Stop;
use crate::talk::print_line;
use client_apis::CLIENT_APIS;

pub(super) const TOOL: Tool = Tool {
    name: "broker-api-versions",
    classes: &[
        "kafka.admin.BrokerApiVersionsCommand",
        "org.apache.kafka.tools.BrokerApiVersionsCommand",
    ],
    run,
};

fn run(args: &[String]) -> Result<(), Stop> {
    let options = Options::new().bootstrap_server().value(
        "command-config",
        "file",
        "Properties of the client.",
    );
    let parsed = options.parse(args)?;
    parsed.help_or_version("This tool shows which APIs and versions each broker speaks.")?;
    parsed.require(&["bootstrap-server"])?;
    let bootstrap = parsed.value("bootstrap-server")?.unwrap_or_default();
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    block_on(async {
        let mut client = cluster::connect(bootstrap, &properties, "apiVersions").await?;
        let brokers = client.metadata(Topics::Named(&[]), false).await?.brokers;
        for broker in brokers {
            let (address, id) = (broker.address(), broker.id);
            match client.node(id).await {
                // A rack is not known from the connection; Kafka's tool shows none either unless the broker has one.
                Ok(node) => print_line!(
                    "{address} (id: {id} rack: null isFenced: false) -> {}",
                    show(node.versions().iter().map(|(key, range)| (*key, *range)))
                ),
                Err(error) => {
                    print_line!("{address} (id: {id} rack: null isFenced: false) -> ERROR: {error}")
                }
            }
        }
        Ok(())
    })
    .map_err(|failure: Failure| Stop::Failed(failure.to_string()))
}

/// A broker's APIs by key, one a line, with those that it lacks.
fn show(versions: impl Iterator<Item = (i16, (i16, i16))>) -> String {
    let mut lines: BTreeMap<i16, String> = CLIENT_APIS
        .iter()
        .map(|(key, name, ..)| (*key, format!("{name}({key}): UNSUPPORTED")))
        .collect();
    lines.extend(versions.map(|(key, range)| (key, line(key, range))));
    let lines: Vec<String> = lines.into_values().collect();
    format!("(\n\t{}\n)", lines.join(",\n\t"))
}

fn line(key: i16, (lowest, highest): (i16, i16)) -> String {
    let range = if lowest == highest {
        lowest.to_string()
    } else {
        format!("{lowest} to {highest}")
    };
    match CLIENT_APIS.iter().find(|(known, ..)| *known == key) {
        None => format!("UNKNOWN({key}): {range}"),
        Some((_, name, oldest, latest)) => {
            let usable = if *latest < lowest {
                "unusable: node too new".to_owned()
            } else if highest < *oldest {
                "unusable: node too old".to_owned()
            } else {
                format!("usable: {}", highest.min(*latest))
            };
            format!("{name}({key}): {range} [{usable}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_is_shown_with_the_version_that_both_speak() {
        for (key, range, expected) in [
            (0, (0, 20), "Produce(0): 0 to 20 [usable: 13]"),
            (3, (0, 9), "Metadata(3): 0 to 9 [usable: 9]"),
            (46, (0, 0), "ListPartitionReassignments(46): 0 [usable: 0]"),
            (1, (0, 3), "Fetch(1): 0 to 3 [unusable: node too old]"),
            (
                19,
                (8, 9),
                "CreateTopics(19): 8 to 9 [unusable: node too new]",
            ),
            (9999, (1, 2), "UNKNOWN(9999): 1 to 2"),
        ] {
            assert_eq!(line(key, range), expected);
        }
    }

    #[test]
    fn apis_are_in_the_order_of_their_keys_whether_there_or_not() {
        let text = show([(3, (0, 13)), (9999, (0, 0))].into_iter());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "\tProduce(0): UNSUPPORTED,");
        assert_eq!(lines[4], "\tMetadata(3): 0 to 13 [usable: 13],");
        assert_eq!(lines[lines.len() - 2], "\tUNKNOWN(9999): 0");
    }
}
