//! `kafka-log-dirs`: which partitions a broker keeps where, and how large they are.

use std::collections::BTreeMap;

use ottla_client::kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use ottla_client::{Client, Topics};
use serde_json::{Value, json};

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::java::{DEFAULT_CAPACITY, hash_order_of, join, partition_hash};
use crate::options::Options;
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "log-dirs",
    classes: &[
        "kafka.admin.LogDirsCommand",
        "org.apache.kafka.tools.LogDirsCommand",
    ],
    run,
};

fn run(args: &[String]) -> Result<(), Stop> {
    let options = Options::new()
        .bootstrap_server()
        .value("command-config", "file", "Properties of the client.")
        .flag("describe", "REQUIRED. Show the directories of brokers.")
        .value(
            "topic-list",
            "topic,...",
            "The topics to show; all if left out.",
        )
        .value(
            "broker-list",
            "id,...",
            "The brokers to ask; all if left out.",
        );
    let parsed = options.parse(args)?;
    parsed.help_or_version("This tool shows how brokers use their directories, in JSON.")?;
    parsed.require(&["bootstrap-server", "describe"])?;
    let bootstrap = parsed.value("bootstrap-server")?.unwrap_or_default();
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let topics = list(parsed.value("topic-list")?);
    let brokers = list(parsed.value("broker-list")?)
        .into_iter()
        .map(|id| {
            id.parse()
                .map_err(|_| Stop::Failed(format!("For input string: \"{id}\"")))
        })
        .collect::<Result<Vec<i32>, Stop>>()?;
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "describeCluster").await?;
        let brokers = chosen(client, brokers).await?;
        print_line!("Querying brokers for log directories information");
        let mut answers = Vec::new();
        for id in &brokers {
            let request = DescribeLogDirsRequest::default().with_topics(None);
            let answer = client
                .retry(async |client| client.node(*id).await?.call(&request).await)
                .await?;
            Failure::of_code(answer.error_code, None)?;
            answers.push((*id, answer));
        }
        print_line!(
            "Received log directory information from brokers {}",
            join(&brokers, ",")
        );
        print_line!("{}", show(&answers, &topics));
        Ok(())
    })
    .map_err(|failure: Failure| Stop::Failed(failure.as_cause()))
}

fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The brokers asked for, all of which must be there; all that are there if none is asked for.
async fn chosen(client: &mut Client, asked: Vec<i32>) -> Result<Vec<i32>, Failure> {
    let metadata = client.metadata(Topics::Named(&[]), false).await?;
    let there: Vec<i32> = metadata.brokers.iter().map(|broker| broker.id).collect();
    if asked.is_empty() {
        return Ok(there);
    }
    let missing: Vec<i32> = asked
        .iter()
        .copied()
        .filter(|id| !there.contains(id))
        .collect();
    if missing.is_empty() {
        return Ok(asked);
    }
    Err(Failure::new(format!(
        "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
        join(&missing, ","),
        join(&there, ",")
    )))
}

fn show(answers: &[(i32, DescribeLogDirsResponse)], topics: &[String]) -> Value {
    let brokers: Vec<Value> = answers
        .iter()
        .map(|(broker, answer)| json!({"broker": broker, "logDirs": dirs(answer, topics)}))
        .collect();
    json!({"brokers": brokers, "version": 1})
}

fn dirs(answer: &DescribeLogDirsResponse, topics: &[String]) -> Vec<Value> {
    let dir = |dir: &ottla_client::kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult| {
        let mut partitions: BTreeMap<(String, i32), Value> = BTreeMap::new();
        for topic in &dir.topics {
            for partition in &topic.partitions {
                let key = (topic.name.to_string(), partition.partition_index);
                let shown = json!({
                    "partition": format!("{}-{}", key.0, key.1),
                    "size": partition.partition_size,
                    "offsetLag": partition.offset_lag,
                    "isFuture": partition.is_future_key,
                });
                partitions.insert(key, shown);
            }
        }
        partitions.retain(|(topic, _), _| topics.is_empty() || topics.contains(topic));
        let mut partitions: Vec<_> = partitions.into_iter().collect();
        hash_order_of(&mut partitions, DEFAULT_CAPACITY, |((topic, partition), _)| {
            partition_hash(topic, *partition)
        });
        let partitions: Vec<Value> = partitions.into_iter().map(|(_, shown)| shown).collect();
        let error = Failure::of_code(dir.error_code, None).err();
        json!({
            "partitions": partitions,
            "error": error.map(|failure| failure.class()),
            "logDir": dir.log_dir.to_string(),
        })
    };
    answer.results.iter().map(dir).collect()
}
