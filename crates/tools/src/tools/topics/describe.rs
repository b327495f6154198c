//! Describing topics: their settings, their partitions.

use std::fmt::Write as _;

use ottla_client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, PARTITIONS_PER_PAGE, PartitionDescription,
    TopicDescription,
};
use ottla_client::{Client, Topics};

use super::change::plain;
use super::{REPORTS, ensure_found, names};
use crate::errors::Failure;
use crate::java::{DEFAULT_CAPACITY, hash_order, join, parse_uuid, show_uuid};
use crate::options::Parsed;
use crate::talk::print_line;

pub(super) async fn run(client: &mut Client, parsed: &Parsed) -> Result<(), Failure> {
    let mut topics = find(client, parsed).await?;
    let count = topics.len();
    hash_order(&mut topics, count, |topic| topic.topic.name.clone());
    let brokers: Vec<i32> = client
        .metadata(Topics::Named(&[]), false)
        .await?
        .brokers
        .iter()
        .map(|broker| broker.id)
        .collect();
    let reports = parsed.given(&REPORTS);
    for topic in &topics {
        let resource = ConfigResource::Topic(topic.topic.name.clone());
        let mut configs = client.describe_configs(&resource).await?;
        hash_order(&mut configs, DEFAULT_CAPACITY, |config| config.name.clone());
        let min_isr = min_isr(&configs);
        let overrides: Vec<&ConfigEntry> = configs
            .iter()
            .filter(|config| config.source != ConfigSource::Default)
            .collect();
        let overrides_alone = parsed.has("topics-with-overrides");
        if reports.is_empty() && !(overrides_alone && overrides.is_empty()) {
            print_line!("{}", head(topic, &overrides));
        }
        if overrides_alone {
            continue;
        }
        for partition in &topic.partitions {
            if is_shown(partition, &reports, min_isr, &brokers) {
                print_line!("{}", line(&topic.topic.name, partition));
            }
        }
    }
    Ok(())
}

/// The topics that are asked for.
async fn find(client: &mut Client, parsed: &Parsed) -> Result<Vec<TopicDescription>, Failure> {
    let exclude_internal = parsed.has("exclude-internal");
    let if_exists = parsed.has("if-exists");
    let id = parsed.value("topic-id").map_err(plain)?;
    let id = id.map(parse_uuid).transpose()?.filter(|id| !id.is_nil());
    if let Some(id) = id {
        let metadata = client.metadata(Topics::All, false).await?;
        let found = metadata
            .topics
            .into_iter()
            .find(|topic| topic.id == id && !(exclude_internal && topic.internal));
        return match found {
            // Kafka's client asks for metadata here, which tells nothing of eligible leaders.
            Some(topic) => Ok(vec![topic.into()]),
            None if if_exists => Ok(Vec::new()),
            None => Err(Failure::new(format!(
                "TopicId '{}' does not exist as expected",
                show_uuid(id)
            ))),
        };
    }
    let asked = parsed.value("topic").map_err(plain)?;
    let names = names(client, asked, exclude_internal).await?;
    ensure_found(&names, asked, if_exists)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let page = parsed
        .number("partition-size-limit-per-response")
        .map_err(plain)?
        .unwrap_or(PARTITIONS_PER_PAGE);
    Ok(client.describe_topics(&names, page).await?)
}

fn min_isr(configs: &[ConfigEntry]) -> usize {
    configs
        .iter()
        .find(|config| config.name == "min.insync.replicas")
        .and_then(|config| config.value.as_deref()?.parse().ok())
        .unwrap_or(1)
}

fn is_shown(
    partition: &PartitionDescription,
    reports: &[&str],
    min_isr: usize,
    brokers: &[i32],
) -> bool {
    let partition = &partition.partition;
    let in_sync = partition.isr.len();
    reports.is_empty()
        || reports.iter().any(|report| match *report {
            "under-replicated-partitions" => partition.replicas.len() > in_sync,
            "under-min-isr-partitions" => partition.leader.is_none() || in_sync < min_isr,
            "at-min-isr-partitions" => in_sync == min_isr,
            _ => partition
                .leader
                .is_none_or(|leader| !brokers.contains(&leader)),
        })
}

fn head(topic: &TopicDescription, overrides: &[&ConfigEntry]) -> String {
    let mut line = format!("Topic: {}", topic.topic.name);
    if !topic.topic.id.is_nil() {
        let _ = write!(line, "\tTopicId: {}", show_uuid(topic.topic.id));
    }
    let replicas = topic
        .partitions
        .first()
        .map_or(0, |first| first.partition.replicas.len());
    let configs: Vec<String> = overrides
        .iter()
        .map(|config| {
            let value = config.value.as_deref().unwrap_or("null");
            format!("{}={value}", config.name)
        })
        .collect();
    let _ = write!(
        line,
        "\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {}",
        topic.partitions.len(),
        configs.join(",")
    );
    line
}

fn line(topic: &str, description: &PartitionDescription) -> String {
    let partition = &description.partition;
    let leader = match partition.leader {
        Some(leader) => leader.to_string(),
        None => "none".to_owned(),
    };
    let elr = |ids: &Option<Vec<i32>>| match ids {
        Some(ids) => join(ids, ","),
        None => "N/A".to_owned(),
    };
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
        partition.index,
        join(&partition.replicas, ","),
        join(&partition.isr, ","),
        elr(&description.eligible_leaders),
        elr(&description.last_known_eligible_leaders),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_client::PartitionMetadata;

    fn partition(leader: Option<i32>, isr: &[i32]) -> PartitionDescription {
        PartitionDescription {
            partition: PartitionMetadata {
                index: 0,
                leader,
                leader_epoch: 0,
                replicas: vec![1, 2, 3],
                isr: isr.to_vec(),
            },
            eligible_leaders: Some(Vec::new()),
            last_known_eligible_leaders: None,
        }
    }

    #[test]
    fn each_report_shows_the_partitions_in_its_state() {
        let whole = partition(Some(1), &[1, 2, 3]);
        let at_min = partition(Some(1), &[1, 2]);
        let under_min = partition(Some(1), &[1]);
        let leaderless = partition(None, &[]);
        let gone = partition(Some(9), &[1, 2, 3]);
        for (report, shown) in [
            (REPORTS[0], [false, true, true, true, false]),
            (REPORTS[1], [false, false, true, true, false]),
            (REPORTS[2], [false, true, false, false, false]),
            (REPORTS[3], [false, false, false, true, true]),
        ] {
            let all = [&whole, &at_min, &under_min, &leaderless, &gone];
            let found = all.map(|p| is_shown(p, &[report], 2, &[1, 2, 3]));
            assert_eq!(found, shown, "{report}");
        }
        assert!(is_shown(&whole, &[], 2, &[1]));
    }

    #[test]
    fn a_partition_without_a_leader_has_none() {
        assert_eq!(
            line("a", &partition(None, &[2])),
            "\tTopic: a\tPartition: 0\tLeader: none\tReplicas: 1,2,3\tIsr: 2\tElr: \tLastKnownElr: N/A"
        );
    }
}
