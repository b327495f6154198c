//! Where records come from: a partition, or the topics of a group's member.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::consumer::{
    ConsumedRecord, ConsumerOptions, GroupConsumer, GroupOptions, OffsetReset, OffsetSpec,
    PartitionConsumer,
};
use ottla_client::{Client, ClientError, Topics};
use tokio::time::Instant;

use crate::topic_filter::{TopicFilter, is_internal};

/// How long a poll waits.
const POLL: Duration = Duration::from_millis(500);
/// The time between two looks for new topics and partitions, and how often while there is nothing to read.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_EAGERLY: Duration = Duration::from_millis(200);
/// The time between two commits, as Kafka's consumers have it.
const COMMIT: Duration = Duration::from_secs(5);

/// Which topics.
#[derive(Debug)]
pub(super) enum Wanted {
    Topic(String),
    Matching(TopicFilter),
}

/// A place in a partition.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    Offset(i64),
    At(OffsetSpec),
}

/// A source of records.
pub(super) enum Source {
    Partition {
        consumer: Box<PartitionConsumer>,
        topic: String,
        partition: i32,
        /// Where to start, until that is done.
        start: Option<Start>,
    },
    Member(Box<Member>),
}

impl Source {
    /// The next records, or none for now.
    pub async fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        match self {
            Source::Member(member) => member.poll().await,
            Source::Partition {
                consumer,
                topic,
                partition,
                start,
            } => {
                if let Some(at) = start {
                    let Some(offset) = find(consumer, topic, *partition, *at).await? else {
                        tokio::time::sleep(LOOK_EAGERLY).await;
                        return Ok(Vec::new());
                    };
                    consumer.assign(topic, *partition, offset);
                    *start = None;
                }
                consumer.poll(POLL).await
            }
        }
    }

    /// Takes note of a record that was printed.
    pub fn done(&mut self, record: &ConsumedRecord) {
        if let Source::Member(member) = self {
            let key = (record.topic.to_string(), record.partition);
            member.printed.insert(key, record.offset + 1);
        }
    }

    /// Commits and leaves.
    pub async fn close(self) -> Result<(), ClientError> {
        match self {
            Source::Partition { .. } => Ok(()),
            Source::Member(mut member) => {
                let committed = member.commit().await;
                let left = member.consumer.leave().await;
                committed.and(left)
            }
        }
    }
}

/// The offset to start at; `None` while there is no such partition.
async fn find(
    consumer: &mut PartitionConsumer,
    topic: &str,
    partition: i32,
    start: Start,
) -> Result<Option<i64>, ClientError> {
    let isolation = consumer.options().isolation;
    let client = consumer.client();
    let metadata = client.metadata(Topics::Named(&[topic]), true).await?;
    let mut partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    if !partitions.any(|p| p.index == partition && p.leader.is_some()) {
        return Ok(None);
    }
    match start {
        Start::Offset(offset) => Ok(Some(offset)),
        Start::At(spec) => {
            let key = (topic.to_owned(), partition);
            let found = client
                .list_offsets(std::slice::from_ref(&key), spec, isolation)
                .await?;
            Ok(found.get(&key).copied().flatten())
        }
    }
}

/// A group's member, which learns of new topics and partitions.
pub(super) struct Member {
    consumer: GroupConsumer,
    wanted: Wanted,
    commits: bool,
    /// Partitions by topic, as last seen.
    seen: BTreeMap<String, usize>,
    next_look: Instant,
    /// The next offset of each partition of which something was printed since the last commit.
    printed: BTreeMap<(String, i32), i64>,
    next_commit: Instant,
}

impl Member {
    pub fn new(
        client: Client,
        group: &str,
        instance_id: Option<String>,
        wanted: Wanted,
        options: ConsumerOptions,
        commits: bool,
    ) -> Member {
        let group = GroupOptions {
            instance_id,
            ..GroupOptions::new(group, Vec::new())
        };
        Member {
            consumer: GroupConsumer::new(client, group, options),
            wanted,
            commits,
            seen: BTreeMap::new(),
            next_look: Instant::now(),
            printed: BTreeMap::new(),
            next_commit: Instant::now() + COMMIT,
        }
    }

    async fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        if Instant::now() >= self.next_commit {
            self.commit().await?;
        }
        if Instant::now() >= self.next_look {
            self.look().await?;
        }
        if self.seen.is_empty() {
            tokio::time::sleep_until(self.next_look).await;
            return Ok(Vec::new());
        }
        let wait = self.next_look.saturating_duration_since(Instant::now());
        self.consumer.poll(POLL.min(wait.max(LOOK_EAGERLY))).await
    }

    /// Looks for topics and partitions, and joins again where there are others than before.
    async fn look(&mut self) -> Result<(), ClientError> {
        let client = self.consumer.client();
        let metadata = match &self.wanted {
            Wanted::Topic(topic) => client.metadata(Topics::Named(&[topic]), true).await?,
            Wanted::Matching(_) => client.metadata(Topics::All, false).await?,
        };
        let is_wanted = |name: &str| match &self.wanted {
            Wanted::Topic(topic) => name == topic,
            Wanted::Matching(filter) => filter.allows(name, false) && !is_internal(name),
        };
        let seen: BTreeMap<String, usize> = metadata
            .topics
            .into_iter()
            .filter(|topic| topic.error.is_none() && is_wanted(&topic.name))
            .map(|topic| (topic.name, topic.partitions.len()))
            .collect();
        if seen != self.seen {
            self.commit().await?;
            self.consumer.subscribe(seen.keys().cloned().collect());
            self.seen = seen;
        }
        let pause = if self.seen.is_empty() {
            LOOK_EAGERLY
        } else {
            LOOK
        };
        self.next_look = Instant::now() + pause;
        Ok(())
    }

    /// Commits what was printed, unless the group is to stay where it is.
    async fn commit(&mut self) -> Result<(), ClientError> {
        self.next_commit = Instant::now() + COMMIT;
        let printed = std::mem::take(&mut self.printed);
        if self.commits {
            self.consumer.commit(&printed).await?;
        }
        Ok(())
    }
}

/// What a consumer does where there is no offset to go on from.
pub(super) fn reset(policy: Option<&str>) -> OffsetReset {
    match policy {
        Some("earliest") => OffsetReset::Earliest,
        Some("none") => OffsetReset::Fail,
        _ => OffsetReset::Latest,
    }
}
