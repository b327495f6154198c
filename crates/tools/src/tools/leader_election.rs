//! `kafka-leader-election`: has preferred or unclean leaders elected.

use ottla_client::Client;
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_client::kafka_protocol::messages::{ElectLeadersRequest, TopicName};
use ottla_client::kafka_protocol::protocol::StrBytes;
use serde_json::Value;

use crate::Tool;
use crate::cluster::{self, Properties, block_on};
use crate::errors::Failure;
use crate::java::{DEFAULT_CAPACITY, hash_order_of, partition_hash};
use crate::options::{Options, Parsed};
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "leader-election",
    classes: &[
        "kafka.admin.LeaderElectionCommand",
        "org.apache.kafka.tools.LeaderElectionCommand",
    ],
    run,
};

/// How long the broker may take.
const TIMEOUT_MS: i32 = 30_000;

fn run(args: &[String]) -> Result<(), Stop> {
    let options = Options::new()
        .bootstrap_server()
        .value("command-config", "file", "Properties of the client.")
        .value("admin.config", "file", "The old name of --command-config.")
        .value(
            "election-type",
            "preferred|unclean",
            "REQUIRED. Which replica to elect: the first of the list, or any that is alive.",
        )
        .value("topic", "topic", "The topic of --partition.")
        .value("partition", "number", "The partition to elect a leader of.")
        .flag(
            "all-topic-partitions",
            "Elect leaders of all partitions that need it.",
        )
        .value(
            "path-to-json-file",
            "file",
            "The partitions, as in {\"partitions\": [{\"topic\": \"a\", \"partition\": 0}]}.",
        );
    let parsed = options.parse(args)?;
    parsed.help_or_version("This tool has the leaders of partitions elected.")?;
    let election = Election::of(&parsed)?;
    parsed.exclude("admin.config", &["command-config"])?;
    let bootstrap = parsed.value("bootstrap-server")?.unwrap_or_default();
    let mut properties: Properties = cluster::client_properties(&parsed, "admin.config")?;
    properties
        .entry("default.api.timeout.ms".to_owned())
        .or_insert_with(|| TIMEOUT_MS.to_string());
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "electLeaders").await?;
        election.hold(client).await
    })
    .map_err(|failure: Failure| Stop::Failed(failure.to_string()))
}

/// A partition and how its election ended.
type Outcome = ((String, i32), Result<(), Failure>);

struct Election {
    name: &'static str,
    code: i8,
    /// `None` for all.
    partitions: Option<Vec<(String, i32)>>,
}

impl Election {
    fn of(parsed: &Parsed) -> Result<Election, Stop> {
        let failed = |message: String| Stop::Failed(message);
        let required = ["bootstrap-server", "election-type"];
        let missing: Vec<&str> = required
            .into_iter()
            .filter(|name| !parsed.has(name))
            .collect();
        if !missing.is_empty() {
            return Err(failed(format!(
                "Missing required option(s): {}",
                missing.join(", ")
            )));
        }
        let (name, code) = match parsed.value("election-type")?.unwrap_or_default() {
            kind if kind.eq_ignore_ascii_case("preferred") => ("PREFERRED", 0),
            kind if kind.eq_ignore_ascii_case("unclean") => ("UNCLEAN", 1),
            other => {
                return Err(failed(format!(
                    "Cannot parse argument '{other}' of option election-type"
                )));
            }
        };
        let ways = ["topic", "all-topic-partitions", "path-to-json-file"];
        if parsed.given(&ways).len() != 1 {
            return Err(failed(format!(
                "One and only one of the following options is required: {}",
                ways.join(", ")
            )));
        }
        let partitions = match (parsed.value("topic")?, parsed.number("partition")?) {
            (Some(topic), Some(partition)) => Some(vec![(topic.to_owned(), partition)]),
            (Some(_), None) => {
                return Err(failed("Missing required option(s): partition".to_owned()));
            }
            (None, Some(_)) => {
                return Err(failed(
                    "Option partition is only allowed if topic is used".to_owned(),
                ));
            }
            (None, None) => match parsed.value("path-to-json-file")? {
                Some(file) => Some(read(file).map_err(failed)?),
                None => None,
            },
        };
        Ok(Election {
            name,
            code,
            partitions,
        })
    }

    async fn hold(&self, client: &mut Client) -> Result<(), Failure> {
        let request = ElectLeadersRequest::default()
            .with_election_type(self.code)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_partitions(self.partitions.as_ref().map(|partitions| {
                partitions
                    .iter()
                    .map(|(topic, partition)| {
                        TopicPartitions::default()
                            .with_topic(TopicName(StrBytes::from_string(topic.clone())))
                            .with_partitions(vec![*partition])
                    })
                    .collect()
            }));
        let answer = client
            .retry(async |client| client.controller().await?.call(&request).await)
            .await?;
        Failure::of_code(answer.error_code, None)?;
        let mut results: Vec<Outcome> = answer
            .replica_election_results
            .iter()
            .flat_map(|topic| {
                topic.partition_result.iter().map(|partition| {
                    let key = (topic.topic.to_string(), partition.partition_id);
                    let message = partition.error_message.as_deref();
                    (key, Failure::of_code(partition.error_code, message))
                })
            })
            .collect();
        hash_order_of(&mut results, DEFAULT_CAPACITY, |((topic, partition), _)| {
            partition_hash(topic, *partition)
        });
        self.tell(&results)
    }

    fn tell(&self, results: &[Outcome]) -> Result<(), Failure> {
        let mut elected = Vec::new();
        let mut not_needed = Vec::new();
        let mut failed = Vec::new();
        for ((topic, partition), result) in results {
            let name = format!("{topic}-{partition}");
            match result {
                Ok(()) => elected.push(name),
                Err(failure) if failure.error == Some(ResponseError::ElectionNotNeeded) => {
                    not_needed.push(name);
                }
                Err(failure) => failed.push((name, failure)),
            }
        }
        if !elected.is_empty() {
            print_line!(
                "Successfully completed leader election ({}) for partitions {}",
                self.name,
                elected.join(", ")
            );
        }
        if !not_needed.is_empty() {
            print_line!(
                "Valid replica already elected for partitions {}",
                not_needed.join(", ")
            );
        }
        if failed.is_empty() {
            return Ok(());
        }
        for (name, failure) in &failed {
            print_line!(
                "Error completing leader election ({}) for partition: {name}: {}: {failure}",
                self.name,
                failure.class()
            );
        }
        Err(Failure::new(format!(
            "{} replica(s) could not be elected",
            failed.len()
        )))
    }
}

/// The partitions of a file; the error is a message.
fn read(file: &str) -> Result<Vec<(String, i32)>, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("Unable to read file {file}: {error}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<(String, i32)>, String> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("Replica election data is no JSON: {error}"))?;
    let list = json
        .get("partitions")
        .and_then(Value::as_array)
        .ok_or_else(|| "Replica election data is missing \"partitions\" field".to_owned())?;
    let mut partitions = Vec::new();
    for entry in list {
        let topic = entry.get("topic").and_then(Value::as_str);
        let partition = entry.get("partition").and_then(Value::as_i64);
        let (Some(topic), Some(Ok(partition))) = (topic, partition.map(i32::try_from)) else {
            return Err(format!(
                "Replica election data needs a topic and a partition in {entry}"
            ));
        };
        let key = (topic.to_owned(), partition);
        if partitions.contains(&key) {
            return Err(format!(
                "Replica election data contains duplicate partitions: [{topic}-{partition}]"
            ));
        }
        partitions.push(key);
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_and_what_is_wrong_is_said() {
        assert_eq!(
            parse(r#"{"partitions":[{"topic":"a","partition":0}]}"#),
            Ok(vec![("a".to_owned(), 0)])
        );
        let entry = r#"{"topic":"a","partition":0}"#;
        for (text, part) in [
            ("", "no JSON"),
            ("{}", "missing \"partitions\""),
            (r#"{"partitions":[{"topic":"a"}]}"#, "needs a topic and"),
            (&format!("{{\"partitions\":[{entry},{entry}]}}"), "[a-0]"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
