//! `find-hanging`: transactions that are open in a partition and that no coordinator knows, so that nothing will end them.

use std::collections::BTreeMap;

use ottla_client::admin::{ActiveProducer, TransactionFilter};
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{Client, Topics};

use super::describe::producers_reason;
use super::{failed, now_ms, reason, show_table};
use crate::errors::Failure;
use crate::java::{DEFAULT_CAPACITY, hash_order_of, partition_hash};
use crate::options::{Options, Parsed};
use crate::stop::Stop;

/// How many partitions the original asks for at once.
const PARTITIONS_PER_REQUEST: usize = 500;
const MINUTE_MS: i64 = 60_000;
/// What `transaction.max.timeout.ms` is by default: a transaction that is open for longer may hang.
const LONGEST_MIN: i32 = 15;

pub(super) fn options(options: Options) -> Options {
    options
        .value("broker-id", "id", "The broker whose partitions to look at.")
        .value(
            "max-transaction-timeout",
            "minutes",
            "How long a transaction may be open; 15 if left out.",
        )
        .value(
            "topic",
            "name",
            "The topic to look at; --partition needs it.",
        )
        .value("partition", "number", "The partition to look at.")
}

pub(super) struct FindHanging {
    broker: Option<i32>,
    longest_ms: i64,
    topic: Option<String>,
    partition: Option<i32>,
}

/// A transaction that has been open for long, and its partition.
struct Open {
    topic: String,
    partition: i32,
    producer: ActiveProducer,
}

impl FindHanging {
    pub fn of(parsed: &Parsed) -> Result<FindHanging, Stop> {
        let longest = parsed.number::<i32>("max-transaction-timeout")?;
        Ok(FindHanging {
            broker: parsed.number("broker-id")?,
            longest_ms: i64::from(longest.unwrap_or(LONGEST_MIN)) * MINUTE_MS,
            topic: parsed.value("topic")?.map(str::to_owned),
            partition: parsed.number("partition")?,
        })
    }

    pub fn check(&self) -> Result<(), Stop> {
        if self.topic.is_none() && self.broker.is_none() {
            return Err(Stop::Failed("The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search".to_owned()));
        }
        if self.topic.is_none() && self.partition.is_some() {
            return Err(Stop::Failed(
                "The --partition argument requires --topic to be provided".to_owned(),
            ));
        }
        Ok(())
    }

    pub fn failure(&self) -> String {
        match self.topic {
            Some(_) => "Failed to describe 1 topics".to_owned(),
            None => "Failed to list topics".to_owned(),
        }
    }

    pub async fn run(&self, client: &mut Client) -> Result<(), Stop> {
        let partitions = self.partitions(client).await?;
        let mut open = self.open_for_long(client, &partitions).await?;
        // By producer, as the original's map of them goes.
        let mut producers: Vec<i64> = open.iter().map(|one| one.producer.producer_id).collect();
        producers.sort_unstable();
        producers.dedup();
        hash_order_of(&mut producers, DEFAULT_CAPACITY, |id| hash_of_long(*id));
        open.sort_by_key(|one| {
            let of = one.producer.producer_id;
            producers.iter().position(|id| *id == of)
        });
        let known = known_partitions(client, &open).await?;
        open.retain(|one| {
            let known = known.get(&one.producer.producer_id);
            !known.is_some_and(|known| known.contains(&(one.topic.clone(), one.partition)))
        });
        show(open);
        Ok(())
    }

    async fn partitions(&self, client: &mut Client) -> Result<Vec<(String, i32)>, Stop> {
        if let (Some(topic), Some(partition)) = (&self.topic, self.partition) {
            return Ok(vec![(topic.clone(), partition)]);
        }
        let asked: Vec<&str> = self.topic.iter().map(|topic| &**topic).collect();
        let topics = match asked.is_empty() {
            true => Topics::All,
            false => Topics::Named(&asked),
        };
        let failure = |why: &Failure| failed(&self.failure(), why);
        let metadata = client.metadata(topics, false).await;
        let metadata = metadata.map_err(|error| failure(&Failure::from(error)))?;
        let mut found = Vec::new();
        for topic in metadata.topics {
            if let Some(error) = topic.error {
                Failure::of_code(error.code(), None).map_err(|why| failure(&why))?;
            }
            let here = topic.partitions.iter().filter(|partition| {
                self.broker
                    .is_none_or(|broker| partition.replicas.contains(&broker))
            });
            found.extend(here.map(|partition| (topic.name.clone(), partition.index)));
        }
        Ok(found)
    }

    async fn open_for_long(
        &self,
        client: &mut Client,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Open>, Stop> {
        let mut open = Vec::new();
        // Of each request the original makes a map.
        let mut partitions = partitions.to_vec();
        for request in partitions.chunks_mut(PARTITIONS_PER_REQUEST) {
            let count = request.len();
            hash_order_of(request, count, |(topic, partition)| {
                partition_hash(topic, *partition)
            });
        }
        for (topic, partition) in &partitions {
            let described = client
                .describe_producers(topic, *partition, self.broker)
                .await;
            let producers = described.map_err(|error| {
                let broker = self
                    .broker
                    .map_or("Optional.empty".to_owned(), |id| format!("Optional[{id}]"));
                let count = partitions.len();
                let what = format!(
                    "Failed to describe producers for {count} partitions on broker {broker}"
                );
                failed(&what, &producers_reason(error, topic, *partition))
            })?;
            let now = now_ms();
            let long = producers.into_iter().filter(|producer| {
                producer.transaction_start.is_some()
                    && now - producer.last_timestamp > self.longest_ms
            });
            open.extend(long.map(|producer| Open {
                topic: topic.clone(),
                partition: *partition,
                producer,
            }));
        }
        Ok(open)
    }
}

/// The partitions that coordinators will write markers to, by producer.
async fn known_partitions(
    client: &mut Client,
    open: &[Open],
) -> Result<BTreeMap<i64, Vec<(String, i32)>>, Stop> {
    let mut known = BTreeMap::new();
    let mut producer_ids: Vec<i64> = open.iter().map(|one| one.producer.producer_id).collect();
    producer_ids.sort_unstable();
    producer_ids.dedup();
    // No filter would mean all.
    if producer_ids.is_empty() {
        return Ok(known);
    }
    let count = producer_ids.len();
    let filter = TransactionFilter {
        producer_ids: producer_ids.clone(),
        ..TransactionFilter::default()
    };
    let listed = client.list_transactions(&filter).await.map_err(|error| {
        let what = format!("Failed to list transactions for {count} producers");
        failed(&what, &Failure::from(error))
    })?;
    for one in listed {
        let described = client.describe_transaction(&one.transactional_id).await;
        match described {
            Ok(described) => _ = known.insert(one.producer_id, described.partitions),
            Err(error) if error.broker_error() == Some(ResponseError::TransactionalIdNotFound) => {}
            Err(error) => {
                let what = format!("Failed to describe {count} transactions");
                return Err(failed(&what, &reason(error, |_| None)));
            }
        }
    }
    Ok(known)
}

fn show(hanging: Vec<Open>) {
    let now = now_ms();
    let row = |one: Open| {
        let producer = one.producer;
        [
            one.topic,
            one.partition.to_string(),
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.max(-1).to_string(),
            producer.transaction_start.unwrap_or(-1).to_string(),
            producer.last_timestamp.to_string(),
            ((now - producer.last_timestamp) / MINUTE_MS).to_string(),
        ]
    };
    let rows: Vec<_> = hanging.into_iter().map(row).collect();
    show_table(
        [
            "Topic",
            "Partition",
            "ProducerId",
            "ProducerEpoch",
            "CoordinatorEpoch",
            "StartOffset",
            "LastTimestamp",
            "Duration(min)",
        ],
        &rows,
    );
}

/// `Long.hashCode`.
#[allow(clippy::cast_possible_truncation)] // That is what it does.
fn hash_of_long(number: i64) -> i32 {
    (number ^ (number.cast_unsigned() >> 32).cast_signed()) as i32
}
