//! `kafka-get-offsets`: where partitions begin, end, or were at a time.

use std::collections::BTreeMap;

use ottla_client::consumer::{Isolation, OffsetSpec};
use ottla_client::{Client, Topics};
use regex::Regex;

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::stop::Stop;
use crate::talk::{print_line, say};
use crate::topic_filter::TopicFilter;

pub(super) const TOOL: Tool = Tool {
    name: "get-offsets",
    classes: &[
        "kafka.tools.GetOffsetShell",
        "org.apache.kafka.tools.GetOffsetShell",
    ],
    run,
};

/// A topic's pattern, then `:` and a partition, a range of partitions with an open end, or nothing.
const RULE: &str = r"^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$";

fn options() -> Options {
    Options::new()
        .aliases(
            &["bootstrap-server", "broker-list"],
            "host:port,...",
            "REQUIRED. Where the brokers are.",
        )
        .value(
            "topic-partitions",
            "topic:partition,...",
            "Partitions: a pattern of topics, then a partition (a:0) or a range whose end is left out (a:2-4, a:2-).",
        )
        .value("topic", "pattern", "The topic, or a regular expression; all if left out.")
        .value("partitions", "number,...", "The partitions; all if left out.")
        .value(
            "time",
            "time",
            "latest (-1, the default), earliest (-2), max-timestamp (-3), earliest-local (-4), latest-tiered (-5), earliest-pending-upload (-6), or milliseconds since 1970.",
        )
        .aliases(&["command-config"], "file", "Properties of the client.")
        .flag("exclude-internal-topics", "Leave internal topics out.")
}

/// What `--time` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    Offset(OffsetSpec),
    /// Of tiered storage, of which there is none: no partition has an answer.
    Tiered,
}

fn run(args: &[String]) -> Result<(), Stop> {
    execute(args).map_err(|stop| match stop {
        Stop::Failed(message) => Stop::Failed(format!("Error occurred: {message}")),
        other => other,
    })
}

fn execute(args: &[String]) -> Result<(), Stop> {
    let parsed = options().parse(args)?;
    parsed.help_or_version("This tool shows where partitions begin, end, or were at a time.")?;
    if !parsed.has("bootstrap-server") {
        return Err(parsed.usage("Missing required argument \"[bootstrap-server]\""));
    }
    let bootstrap = parsed.value("bootstrap-server")?.unwrap_or_default();
    if !bootstrap.split(',').all(has_port) {
        return Err(parsed.usage("Please provide valid host:port like host1:9091,host2:9092"));
    }
    let time = time(parsed.value("time")?.unwrap_or("latest"))?;
    let filter = Filter::of(&parsed)?;
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let exclude_internal = parsed.has("exclude-internal-topics");
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "listTopics").await?;
        let partitions = partitions(client, &filter, exclude_internal).await?;
        if partitions.is_empty() {
            return Err(Failure::new(
                "Could not match any topic-partitions with the specified filters",
            ));
        }
        for ((topic, partition), offset) in offsets(client, partitions, time).await {
            print_line!("{topic}:{partition}:{offset}");
        }
        Ok(())
    })
    .map_err(|failure: Failure| Stop::Failed(failure.as_cause()))
}

fn has_port(address: &str) -> bool {
    address
        .trim()
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn time(text: &str) -> Result<Time, Stop> {
    Ok(match text {
        "latest" | "-1" => Time::Offset(OffsetSpec::Latest),
        // Without tiered storage all that there is, is local.
        "earliest" | "-2" | "earliest-local" | "-4" => Time::Offset(OffsetSpec::Earliest),
        "max-timestamp" | "-3" => Time::Offset(OffsetSpec::MaxTimestamp),
        "latest-tiered" | "-5" | "earliest-pending-upload" | "-6" => Time::Tiered,
        other => Time::Offset(OffsetSpec::Timestamp(other.parse().map_err(|_| {
            Stop::Failed(format!(
                "Malformed time argument {other}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        })?)),
    })
}

/// Which partitions are asked for: those that any of these rules means.
struct Filter(Vec<(TopicFilter, Partitions)>);

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    All,
    These(Vec<i32>),
    /// From the first to before the second.
    Range(i32, i32),
}

impl Filter {
    fn of(parsed: &Parsed) -> Result<Filter, Stop> {
        let topic_partitions = parsed.value("topic-partitions")?;
        if let Some(rules) = topic_partitions {
            if parsed.has("topic") || parsed.has("partitions") {
                return Err(Stop::Failed(
                    "--topic-partitions cannot be used with --topic or --partitions".to_owned(),
                ));
            }
            return rules
                .split(',')
                .map(rule)
                .collect::<Result<_, _>>()
                .map(Filter);
        }
        let partitions = match parsed.value("partitions")? {
            None | Some("") => Partitions::All,
            Some(list) => Partitions::These(numbers(list)?),
        };
        let topics = topics(parsed.value("topic")?.unwrap_or(".*"))?;
        Ok(Filter(vec![(topics, partitions)]))
    }

    fn allows_topic(&self, topic: &str) -> bool {
        self.0.iter().any(|(topics, _)| topics.allows(topic, false))
    }

    fn allows(&self, topic: &str, partition: i32) -> bool {
        self.0.iter().any(|(topics, partitions)| {
            topics.allows(topic, false)
                && match partitions {
                    Partitions::All => true,
                    Partitions::These(list) => list.contains(&partition),
                    Partitions::Range(from, to) => (*from..*to).contains(&partition),
                }
        })
    }
}

fn topics(pattern: &str) -> Result<TopicFilter, Stop> {
    TopicFilter::new(pattern).map_err(|failure| Stop::Failed(failure.to_string()))
}

fn numbers(list: &str) -> Result<Vec<i32>, Stop> {
    list.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| {
        Stop::Failed(format!(
            "--partitions expects a comma separated list of numeric partition ids, but received: {list}"
        ))
    })
}

fn rule(text: &str) -> Result<(TopicFilter, Partitions), Stop> {
    let invalid = || {
        Stop::Failed(format!(
            "org.apache.kafka.tools.TerseException: Invalid rule specification: {text}"
        ))
    };
    let regex = Regex::new(RULE).expect("the pattern is valid");
    let captures = regex.captures(text).ok_or_else(invalid)?;
    let part = |index| {
        captures
            .get(index)
            .map(|found| found.as_str())
            .filter(|found| !found.is_empty())
    };
    let number = |index| part(index).map(|digits| digits.parse().map_err(|_| invalid()));
    let topics = topics(part(1).unwrap_or(".*"))?;
    let partitions = match number(2) {
        Some(partition) => Partitions::These(vec![partition?]),
        None => Partitions::Range(
            number(3).transpose()?.unwrap_or(0),
            number(4).transpose()?.unwrap_or(i32::MAX),
        ),
    };
    Ok((topics, partitions))
}

/// The partitions that are asked for and there.
async fn partitions(
    client: &mut Client,
    filter: &Filter,
    exclude_internal: bool,
) -> Result<Vec<(String, i32)>, Failure> {
    let metadata = client.metadata(Topics::All, false).await?;
    Ok(metadata
        .topics
        .iter()
        .filter(|topic| !(exclude_internal && topic.internal) && filter.allows_topic(&topic.name))
        .flat_map(|topic| {
            let index = topic.partitions.iter().map(|partition| partition.index);
            index
                .filter(|index| filter.allows(&topic.name, *index))
                .map(|index| (topic.name.clone(), index))
        })
        .collect())
}

/// The offset of each partition that has one, in the order of `topic-partition`; what fails is told.
async fn offsets(
    client: &mut Client,
    partitions: Vec<(String, i32)>,
    time: Time,
) -> Vec<((String, i32), i64)> {
    let Time::Offset(spec) = time else {
        return Vec::new();
    };
    let by_name: BTreeMap<String, (String, i32)> = partitions
        .into_iter()
        .map(|(topic, partition)| (format!("{topic}-{partition}"), (topic, partition)))
        .collect();
    let all: Vec<(String, i32)> = by_name.values().cloned().collect();
    // All at once; where that fails each by itself, so that one does not hide the others.
    if let Ok(found) = client
        .list_offsets(&all, spec, Isolation::ReadUncommitted)
        .await
    {
        return all
            .into_iter()
            .filter_map(|partition| {
                let offset = found.get(&partition).copied().flatten()?;
                Some((partition, offset))
            })
            .collect();
    }
    let mut offsets = Vec::new();
    for (name, partition) in by_name {
        let one = std::slice::from_ref(&partition);
        match client
            .list_offsets(one, spec, Isolation::ReadUncommitted)
            .await
        {
            Ok(found) => {
                let offset = found.get(&partition).copied().flatten();
                offsets.extend(offset.map(|offset| (partition, offset)));
            }
            Err(error) => {
                let error = Failure::from(error).as_cause();
                say!("Skip getting offsets for topic-partition {name} due to error: {error}");
            }
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(args: &[&str]) -> Result<Filter, Stop> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Filter::of(&options().parse(&args).unwrap())
    }

    #[test]
    fn rules_mean_partitions_and_ranges_of_them() {
        for (rules, allowed) in [
            ("a", &[("a", 0), ("a", 9)][..]),
            ("a:1", &[("a", 1)]),
            ("a:1-3", &[("a", 1), ("a", 2)]),
            ("a:8-", &[("a", 8), ("a", 9)]),
            ("a:-2", &[("a", 0), ("a", 1)]),
            (":5", &[("a", 5), ("b", 5)]),
            ("a:0,b:9", &[("a", 0), ("b", 9)]),
            ("c.*", &[]),
        ] {
            let filter = filter(&["--topic-partitions", rules]).unwrap();
            for topic in ["a", "b"] {
                for partition in [0, 1, 2, 3, 5, 8, 9] {
                    let expected =
                        allowed.contains(&(topic, partition)) || rules == "a" && topic == "a";
                    assert_eq!(
                        filter.allows(topic, partition),
                        expected,
                        "{rules} {topic}-{partition}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_rule_and_no_time_is_named() {
        for args in [
            &["--topic-partitions", "a:x"][..],
            &["--topic-partitions", "a:99999999999"],
            &["--topic-partitions", "a", "--topic", "a"],
            &["--partitions", "1,x"],
            &["--topic", "a("],
        ] {
            assert!(filter(args).is_err(), "{args:?}");
        }
        assert!(time("yesterday").is_err());
        assert_eq!(time("1000"), Ok(Time::Offset(OffsetSpec::Timestamp(1000))));
    }
}
