//! Creating, altering and deleting topics.

use ottla_client::Client;
use ottla_client::admin::NewTopic;
use ottla_client::kafka_protocol::ResponseError;

use crate::errors::Failure;
use crate::java::join;
use crate::options::Parsed;
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) async fn create(client: &mut Client, parsed: &Parsed) -> Result<(), Failure> {
    let name = parsed.value("topic").map_err(plain)?.unwrap_or_default();
    let partitions: Option<i32> = parsed.number("partitions").map_err(plain)?;
    let replication_factor: Option<i32> = parsed.number("replication-factor").map_err(plain)?;
    let replicas = assignment(parsed)?;
    let configs = configs(parsed.values("config"))?;
    if name.contains(['.', '_']) {
        print_line!(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both."
        );
    }
    let replication_factor = match replication_factor.map(i16::try_from) {
        None => None,
        Some(Ok(factor @ 1..)) => Some(factor),
        Some(_) => {
            return Err(Failure::new(
                "The replication factor must be between 1 and 32767 inclusive",
            ));
        }
    };
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Failure::new("The partitions must be greater than 0"));
    }
    let topic = NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor,
        configs,
    };
    let created = match replicas {
        Some(replicas) => client.create_topic_of_replicas(&topic, &replicas).await,
        None => match client.create_topics(&[topic], false).await?.pop() {
            Some((_, result)) => result.map(drop),
            None => return Err(Failure::new("the broker's answer leaves the topic out")),
        },
    };
    match created.map_err(Failure::from) {
        Ok(()) => print_line!("Created topic {name}."),
        Err(failure)
            if failure.error == Some(ResponseError::TopicAlreadyExists)
                && parsed.has("if-not-exists") => {}
        Err(failure) => return Err(failure),
    }
    Ok(())
}

pub(super) async fn alter(
    client: &mut Client,
    names: &[String],
    parsed: &Parsed,
) -> Result<(), Failure> {
    let Some(partitions) = parsed.number("partitions").map_err(plain)? else {
        return Err(Failure::new("--partitions must be specified"));
    };
    let replicas = assignment(parsed)?;
    let mut first = Ok(());
    for name in names {
        let new = match &replicas {
            Some(replicas) => {
                let there = client.topic(name, false).await?.partitions.len();
                Some(replicas.get(there..).unwrap_or_default())
            }
            None => None,
        };
        let raised = client
            .create_partitions_of_replicas(name, partitions, new)
            .await;
        // Kafka asks for all of them at once, so one failure keeps none of the others from it.
        first = first.and(raised.map_err(Failure::from));
    }
    first
}

pub(super) async fn delete(client: &mut Client, names: &[String]) -> Result<(), Failure> {
    let mut first = Ok(());
    for (_, deleted) in client.delete_topics(names).await? {
        first = first.and(deleted.map_err(Failure::from));
    }
    first
}

/// The settings of `--config name=value`; a name that is given twice has the last value.
fn configs(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut configs: Vec<(String, String)> = Vec::new();
    for config in given {
        let mut parts: Vec<&str> = config.split('=').map(str::trim).collect();
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        let [name, value] = parts[..] else {
            return Err(Failure::new(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        configs.retain(|(known, _)| known != name);
        configs.push((name.to_owned(), value.to_owned()));
    }
    Ok(configs)
}

/// The replicas of each partition, of `--replica-assignment 1:2,2:1`.
fn assignment(parsed: &Parsed) -> Result<Option<Vec<Vec<i32>>>, Failure> {
    match parsed.value("replica-assignment").map_err(plain)? {
        None | Some("") => Ok(None),
        Some(text) => parse_assignment(text).map(Some),
    }
}

fn parse_assignment(text: &str) -> Result<Vec<Vec<i32>>, Failure> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, replicas) in text.split(',').enumerate() {
        let mut ids: Vec<i32> = Vec::new();
        for id in replicas.split(':').map(str::trim) {
            let id = id
                .parse()
                .map_err(|_| Failure::new(format!("For input string: \"{id}\"")))?;
            if ids.contains(&id) {
                return Err(Failure::new(format!(
                    "Partition replica lists may not contain duplicate entries: {id}"
                )));
            }
            ids.push(id);
        }
        if partitions
            .first()
            .is_some_and(|first| first.len() != ids.len())
        {
            return Err(Failure::new(format!(
                "Partition {index} has different replication factor: [{}]",
                join(&ids, ", ")
            )));
        }
        partitions.push(ids);
    }
    Ok(partitions)
}

/// An option's error where the topic command tells it.
pub(super) fn plain(stop: Stop) -> Failure {
    match stop {
        Stop::Failed(message) | Stop::Usage { message, .. } => Failure::new(message),
        Stop::Exit(code) => Failure::new(format!("exit code {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_need_a_name_and_a_value_and_the_last_one_counts() {
        let configs =
            |given: &[&str]| configs(&given.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            configs(&["a = 1", "b=2", "a=3"]).unwrap(),
            [
                ("b".to_owned(), "2".to_owned()),
                ("a".to_owned(), "3".to_owned())
            ]
        );
        for wrong in ["a", "a=", "a=b=c"] {
            assert!(configs(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_assignment_gives_each_partition_as_many_brokers_once_each() {
        assert_eq!(
            parse_assignment("1:2, 2:1").unwrap(),
            [vec![1, 2], vec![2, 1]]
        );
        for (wrong, message) in [
            ("1:x", "For input string: \"x\""),
            (
                "1:1",
                "Partition replica lists may not contain duplicate entries: 1",
            ),
            ("1:2,3", "Partition 1 has different replication factor: [3]"),
        ] {
            assert_eq!(parse_assignment(wrong).unwrap_err().to_string(), message);
        }
    }
}
