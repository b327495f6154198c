//! `ottla topic describe`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use ottla_client::TopicMetadata;
use ottla_client::admin::{ConfigEntry, ConfigResource, ConfigSource};
use ottla_client::consumer::{Isolation, OffsetSpec};
use serde_json::{Map, Value, json};

use crate::args::ClientArgs;
use crate::output::{self, list, or_dash};

#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The topic's name
    name: String,
    /// Show settings that have their default, too
    #[arg(long)]
    all_configs: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

type Offsets = BTreeMap<(String, i32), Option<i64>>;

pub async fn run(args: DescribeArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let topic = client.topic(&args.name, false).await?;
    let partitions: Vec<(String, i32)> = topic
        .partitions
        .iter()
        .map(|partition| (topic.name.clone(), partition.index))
        .collect();
    let isolation = Isolation::ReadUncommitted;
    let starts = client
        .list_offsets(&partitions, OffsetSpec::Earliest, isolation)
        .await?;
    let ends = client
        .list_offsets(&partitions, OffsetSpec::Latest, isolation)
        .await?;
    let mut configs = client
        .describe_configs(&ConfigResource::Topic(topic.name.clone()))
        .await?;
    configs.retain(|config| args.all_configs || config.source == ConfigSource::Topic);
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &as_json(&topic, &starts, &ends, &configs))?;
    } else {
        print(&mut out, &topic, &starts, &ends, &configs)?;
    }
    Ok(())
}

fn as_json(
    topic: &TopicMetadata,
    starts: &Offsets,
    ends: &Offsets,
    configs: &[ConfigEntry],
) -> Value {
    let partitions: Vec<Value> = topic
        .partitions
        .iter()
        .map(|partition| {
            let key = (topic.name.clone(), partition.index);
            json!({
                "partition": partition.index,
                "leader": partition.leader,
                "replicas": partition.replicas,
                "isr": partition.isr,
                "start": starts.get(&key).copied().flatten(),
                "end": ends.get(&key).copied().flatten(),
            })
        })
        .collect();
    let configs: Map<String, Value> = configs
        .iter()
        .map(|config| (config.name.clone(), json!(config.value)))
        .collect();
    json!({
        "topic": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "partitions": partitions,
        "configs": configs,
    })
}

fn print(
    out: &mut impl Write,
    topic: &TopicMetadata,
    starts: &Offsets,
    ends: &Offsets,
    configs: &[ConfigEntry],
) -> io::Result<()> {
    writeln!(out, "Topic: {}", topic.name)?;
    writeln!(out, "Id:    {}", topic.id)?;
    writeln!(out)?;
    let rows: Vec<Vec<String>> = topic
        .partitions
        .iter()
        .map(|partition| {
            let key = (topic.name.clone(), partition.index);
            let start = starts.get(&key).copied().flatten();
            let end = ends.get(&key).copied().flatten();
            vec![
                partition.index.to_string(),
                or_dash(partition.leader),
                list(&partition.replicas),
                list(&partition.isr),
                or_dash(start),
                or_dash(end),
                or_dash(start.zip(end).map(|(start, end)| end - start)),
            ]
        })
        .collect();
    let header = [
        "PARTITION",
        "LEADER",
        "REPLICAS",
        "ISR",
        "START",
        "END",
        "OFFSETS",
    ];
    output::table(out, &header, &rows)?;
    if !configs.is_empty() {
        writeln!(out)?;
        for config in configs {
            let value = config.value.as_deref().unwrap_or("(hidden)");
            writeln!(out, "{}={value}", config.name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ottla_client::PartitionMetadata;

    use super::*;

    fn fixture() -> (TopicMetadata, Offsets, Offsets, Vec<ConfigEntry>) {
        let partition = |index, leader| PartitionMetadata {
            index,
            leader,
            leader_epoch: 0,
            replicas: vec![1],
            isr: vec![1],
        };
        let topic = TopicMetadata {
            name: "orders".to_owned(),
            id: uuid::Uuid::from_u128(7),
            internal: false,
            error: None,
            partitions: vec![partition(0, Some(1)), partition(1, None)],
        };
        let starts = Offsets::from([(("orders".to_owned(), 0), Some(5))]);
        let ends = Offsets::from([(("orders".to_owned(), 0), Some(12))]);
        let config = ConfigEntry {
            name: "retention.ms".to_owned(),
            value: Some("1000".to_owned()),
            source: ConfigSource::Topic,
            read_only: false,
            sensitive: false,
            synonyms: Vec::new(),
        };
        (topic, starts, ends, vec![config])
    }

    #[test]
    fn a_topic_is_shown_with_its_partitions_and_settings() {
        let (topic, starts, ends, configs) = fixture();
        let mut out = Vec::new();
        print(&mut out, &topic, &starts, &ends, &configs).unwrap();
        insta::assert_snapshot!("topic", String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_topic_is_shown_as_json() {
        let (topic, starts, ends, configs) = fixture();
        insta::assert_snapshot!(
            "topic_json",
            as_json(&topic, &starts, &ends, &configs).to_string()
        );
    }
}
