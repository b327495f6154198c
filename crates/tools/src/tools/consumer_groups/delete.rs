//! `--delete` and `--delete-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::Client;
use ottla_client::kafka_protocol::ResponseError;

use super::partitions::{self, Partition};
use super::{Ending, connect, thrown};
use crate::errors::Failure;
use crate::options::Parsed;
use crate::talk::print_line;

pub(super) async fn groups(parsed: &Parsed) -> Result<(), Ending> {
    let call = "deleteConsumerGroups(api=FIND_COORDINATOR)";
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    match connect(parsed, call).await? {
        Ok(mut client) => {
            for group in super::groups(&mut client, parsed).await? {
                match client.delete_group(&group).await.map_err(Failure::from) {
                    Ok(()) => deleted.push(format!("'{group}'")),
                    Err(failure) => failed.push((group, failure)),
                }
            }
        }
        Err(failure) if parsed.has("all-groups") => return Err(super::wrapped(&failure)),
        Err(failure) => {
            for group in parsed.values("group") {
                failed.push((group.clone(), failure.clone()));
            }
        }
    }
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        print_line!("Deletion of requested consumer groups ({deleted}) was successful.");
        return Ok(());
    }
    print_line!("\nError: Deletion of some consumer groups failed:");
    for (group, failure) in failed {
        print_line!(
            "* Group '{group}' could not be deleted due to: {}",
            thrown(&failure)
        );
    }
    if !deleted.is_empty() {
        print_line!("\nThese consumer groups were deleted successfully: {deleted}");
    }
    Ok(())
}

/// What became of each partition; partition -1 stands for a topic that is not there.
type Results = BTreeMap<Partition, Option<Failure>>;

pub(super) async fn offsets(parsed: &Parsed) -> Result<(), Ending> {
    let group = parsed.value("group")?.expect("the check asks for it");
    let (mut known, mut topics) = (BTreeSet::new(), BTreeSet::new());
    for argument in parsed.values("topic") {
        match partitions::parse(argument) {
            Some(parsed) => known.extend(parsed?),
            None => drop(topics.insert(&**argument)),
        }
    }
    let mut results = Results::new();
    let outcome = match connect(parsed, "listNodes").await? {
        Err(failure) => {
            for topic in topics {
                results.insert((topic.to_owned(), -1), Some(failure.clone()));
            }
            results.extend(known.into_iter().map(|p| (p, Some(failure.clone()))));
            Some(failure)
        }
        Ok(mut client) => {
            for topic in topics {
                match partitions::topics(&mut client, &BTreeSet::from([topic])).await {
                    Ok(found) => {
                        let indexes = found.iter().flat_map(|topic| &topic.partitions);
                        known.extend(indexes.map(|p| (topic.to_owned(), p.index)));
                    }
                    Err(failure) => {
                        results.insert((topic.to_owned(), -1), Some(failure));
                    }
                }
            }
            delete(&mut client, group, known, &mut results).await
        }
    };
    tell(group, outcome.as_ref());
    print(&results);
    Ok(())
}

/// Deletes; answers with the failure of the whole, or of the first partition that has one.
async fn delete(
    client: &mut Client,
    group: &str,
    partitions: BTreeSet<Partition>,
    results: &mut Results,
) -> Option<Failure> {
    let partitions: Vec<Partition> = partitions.into_iter().collect();
    match client.delete_each_offset(group, &partitions).await {
        Ok(each) => {
            let each: Vec<_> = each
                .into_iter()
                .map(|(partition, result)| (partition, result.err().map(Failure::from)))
                .collect();
            let first = each.iter().find_map(|(_, failure)| failure.clone());
            results.extend(each);
            first
        }
        Err(error) => {
            let failure = Failure::from(error);
            let each = partitions.into_iter().map(|p| (p, Some(failure.clone())));
            results.extend(each);
            Some(failure)
        }
    }
}

fn tell(group: &str, outcome: Option<&Failure>) {
    use ResponseError as E;
    let Some(failure) = outcome else {
        print_line!("Request succeeded for deleting offsets from group {group}.");
        return;
    };
    match failure.error {
        Some(
            E::InvalidGroupId | E::GroupIdNotFound | E::GroupAuthorizationFailed | E::NonEmptyGroup,
        ) => print_line!("\nError: {failure}"),
        Some(
            E::GroupSubscribedToTopic | E::TopicAuthorizationFailed | E::UnknownTopicOrPartition,
        ) => print_line!(
            "\nError: Encountered some partition-level error, see the follow-up details."
        ),
        Some(error) => print_line!(
            "\nError: Encountered some unknown error: {}",
            ottla_client::BrokerError(error)
        ),
        None => print_line!("\nError: Encountered some unknown error: {failure}"),
    }
}

fn print(results: &Results) {
    let widest = results.keys().map(|(topic, _)| topic.chars().count()).max();
    let width = widest.unwrap_or(0).max(15);
    let row = |topic: &str, partition: &str, status: &str| {
        print_line!("{topic:<width$} {partition:<10} {status:<15}");
    };
    print_line!("");
    row("TOPIC", "PARTITION", "STATUS");
    for ((topic, partition), failure) in results {
        let partition = match partition {
            -1 => "-".to_owned(),
            index => index.to_string(),
        };
        let status = match failure {
            Some(failure) => format!("Error: {}", thrown(failure)),
            None => "Successful".to_owned(),
        };
        row(topic, &partition, &status);
    }
}
