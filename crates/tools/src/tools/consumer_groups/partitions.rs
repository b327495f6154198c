//! Which partitions arguments mean, and whether they are there.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::consumer::{Isolation, OffsetSpec};
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{Client, TopicMetadata, Topics};

use super::Ending;
use crate::errors::Failure;

/// A topic and a partition.
pub(super) type Partition = (String, i32);

/// `orders:0,1`; `None` for a topic alone.
pub(super) fn parse(argument: &str) -> Option<Result<Vec<Partition>, Ending>> {
    argument
        .contains(':')
        .then(|| parse_partitions(argument).map_err(Ending::Usage))
}

fn parse_partitions(argument: &str) -> Result<Vec<Partition>, String> {
    let parts: Vec<&str> = argument.trim_end_matches(':').split(':').collect();
    let [topic, partitions] = parts[..] else {
        return Err(format!(
            "Invalid topic arg '{argument}', expected topic name and partitions"
        ));
    };
    partitions
        .split(',')
        .map(|partition| match partition.parse() {
            Ok(index) => Ok((topic.to_owned(), index)),
            Err(_) => Err(format!(
                "Invalid partition '{partition}' specified in topic arg '{argument}''"
            )),
        })
        .collect()
}

/// Metadata of topics, each of which must exist.
pub(super) async fn topics(
    client: &mut Client,
    names: &BTreeSet<&str>,
) -> Result<Vec<TopicMetadata>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = names.iter().copied().collect();
    let metadata = client.metadata(Topics::Named(&names), false).await?;
    for topic in &metadata.topics {
        if let Some(error) = topic.error {
            Failure::of_code(error.code(), None)?;
        }
    }
    Ok(metadata.topics)
}

/// The names of these partitions' topics.
pub(super) fn names<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> BTreeSet<&'a str> {
    partitions.into_iter().map(|(topic, _)| &**topic).collect()
}

/// Offsets of partitions that exist: the beginning, the end, or that of a time.
pub(super) async fn offsets(
    client: &mut Client,
    partitions: &[Partition],
    spec: OffsetSpec,
) -> Result<BTreeMap<Partition, Option<i64>>, Failure> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(client
        .list_offsets(partitions, spec, Isolation::ReadUncommitted)
        .await?)
}

/// The failure of a partition that is not there.
pub(super) fn unknown(message: String) -> Failure {
    let mut failure = Failure::new(message);
    failure.error = Some(ResponseError::UnknownTopicOrPartition);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_the_topic_behind_a_colon() {
        let all = |argument| parse(argument).map(|p| p.unwrap());
        assert_eq!(all("a"), None);
        assert_eq!(
            all("a:0,2"),
            Some(vec![("a".to_owned(), 0), ("a".to_owned(), 2)])
        );
        for (argument, expected) in [
            ("a:x", "Invalid partition 'x' specified in topic arg 'a:x''"),
            (
                "a:",
                "Invalid topic arg 'a:', expected topic name and partitions",
            ),
            (
                "a:1:2",
                "Invalid topic arg 'a:1:2', expected topic name and partitions",
            ),
        ] {
            assert_eq!(parse_partitions(argument).unwrap_err(), expected);
        }
    }
}
