//! Checks all that is asked for, then makes it.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use ottla_broker::{FirstTopic, FirstTopics, FirstTopicsError, Seeding};
use ottla_client::producer::partition_of_key;
use ottla_codec::records::Record;

use super::records::{Numbered, RecordsFile};
use super::{Plan, Wanted};
use crate::time::now_ms;

/// Records are written when a partition's have this many bytes, or all have that many.
const BATCH_BYTES: usize = 256 << 10;
const HELD_BYTES: usize = 16 << 20;
/// What a record takes beside its bytes, about.
const PER_RECORD: usize = 128;

/// Makes the topics that are not there, with their records. Nothing is made if anything of it cannot be.
pub(in crate::commands::serve) async fn make(plan: Plan, first: FirstTopics) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for wanted in plan.wanted {
        match first.partitions(&wanted.topic.name) {
            Some(there) => leave(&wanted, there),
            None => {
                let partitions = check(&first, &wanted).await?;
                missing.push((wanted, partitions));
            }
        }
    }
    for (wanted, partitions) in missing {
        let name = &wanted.topic.name;
        let records = make_one(&first, &wanted, partitions)
            .await
            .with_context(|| format!("{}: cannot make topic {name}", wanted.source))?;
        tracing::info!(topic = %name, partitions, records, "made a topic");
    }
    Ok(())
}

/// A topic that is there is its users'.
fn leave(wanted: &Wanted, there: i32) {
    let (name, source) = (&wanted.topic.name, &wanted.source);
    match wanted.topic.partitions {
        Some(asked) if asked != there => tracing::warn!(
            "{source} asks for {asked} partitions of topic {name}, which has {there}: it is left alone"
        ),
        _ => tracing::info!(topic = %name, "the topic is there and is left alone"),
    }
}

async fn check(first: &FirstTopics, wanted: &Wanted) -> anyhow::Result<i32> {
    let of = || {
        format!(
            "{}: topic {} cannot be made",
            wanted.source, wanted.topic.name
        )
    };
    let partitions = first.check(&wanted.topic).with_context(of)?;
    let mut sink = Check {
        first,
        topic: &wanted.topic,
    };
    for file in &wanted.records {
        write(file, partitions, &mut sink).await?;
    }
    Ok(partitions)
}

async fn make_one(first: &FirstTopics, wanted: &Wanted, partitions: i32) -> anyhow::Result<u64> {
    if wanted.records.is_empty() {
        first.create(&wanted.topic).await?;
        return Ok(0);
    }
    tracing::info!(topic = %wanted.topic.name, "making a topic and writing its first records");
    let mut seeding = first.seed(&wanted.topic)?;
    let mut count = 0;
    for file in &wanted.records {
        count += write(file, partitions, &mut seeding).await?;
    }
    seeding.finish().await?;
    Ok(count)
}

/// Where records go: to be looked at, or into the topic.
trait Sink {
    async fn take(&mut self, partition: i32, records: &[Record]) -> Result<(), FirstTopicsError>;
}

struct Check<'a> {
    first: &'a FirstTopics,
    topic: &'a FirstTopic,
}

impl Sink for Check<'_> {
    async fn take(&mut self, _: i32, records: &[Record]) -> Result<(), FirstTopicsError> {
        self.first.check_records(self.topic, records)
    }
}

impl Sink for Seeding {
    async fn take(&mut self, partition: i32, records: &[Record]) -> Result<(), FirstTopicsError> {
        self.append(partition, records).await
    }
}

/// Records of a partition that go together, and their lines.
#[derive(Default)]
struct Batch {
    lines: Vec<u64>,
    records: Vec<Record>,
    bytes: usize,
}

/// Hands a file's records over, by partition; how many there are.
async fn write(file: &RecordsFile, partitions: i32, sink: &mut impl Sink) -> anyhow::Result<u64> {
    let mut batches: BTreeMap<i32, Batch> = BTreeMap::new();
    let (mut count, mut held): (u64, usize) = (0, 0);
    let mut in_turn = (0..partitions).cycle();
    for record in file.read()? {
        let (line, record) = record?;
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) if (0..partitions).contains(&partition) => partition,
            (Some(partition), _) => {
                let (path, topic) = (file.path.display(), &file.topic);
                return Err(anyhow!(
                    "{path}:{line}: topic {topic} has no partition {partition}: it has {partitions}, from 0 on; \
                     say how many it is to have in a file of topics, as {topic}:{}",
                    i64::from(partition).max(0) + 1
                ));
            }
            (None, Some(key)) => partition_of_key(key, partitions),
            // The same file is the same records in the same places.
            (None, None) => in_turn.next().expect("a topic has a partition"),
        };
        count += 1;
        let batch = batches.entry(partition).or_default();
        held += batch.add((line, record));
        if batch.bytes >= BATCH_BYTES {
            let full = std::mem::take(batch);
            held -= full.bytes;
            hand_over(file, partition, full, sink).await?;
        } else if held >= HELD_BYTES {
            held = 0;
            hand_over_all(file, std::mem::take(&mut batches), sink).await?;
        }
    }
    hand_over_all(file, batches, sink).await?;
    Ok(count)
}

impl Batch {
    /// Returns the bytes that it adds.
    fn add(&mut self, (line, record): Numbered) -> usize {
        let size = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
        let headers = record.headers.iter().map(|h| h.key.len() + size(&h.value));
        let bytes = size(&record.key) + size(&record.value) + headers.sum::<usize>() + PER_RECORD;
        self.bytes += bytes;
        self.lines.push(line);
        self.records.push(Record {
            offset: 0,
            timestamp: record.timestamp.unwrap_or_else(now_ms),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        bytes
    }
}

async fn hand_over_all(
    file: &RecordsFile,
    batches: BTreeMap<i32, Batch>,
    sink: &mut impl Sink,
) -> anyhow::Result<()> {
    for (partition, batch) in batches {
        hand_over(file, partition, batch, sink).await?;
    }
    Ok(())
}

async fn hand_over(
    file: &RecordsFile,
    partition: i32,
    batch: Batch,
    sink: &mut impl Sink,
) -> anyhow::Result<()> {
    let taken = sink.take(partition, &batch.records).await;
    // A signal is heeded between two batches.
    tokio::task::yield_now().await;
    taken.map_err(|error| {
        let line = error.record.and_then(|record| batch.lines.get(record));
        let (path, lines) = (
            file.path.display(),
            batch.lines.first().zip(batch.lines.last()),
        );
        match (line, lines) {
            (Some(line), _) => anyhow!("{path}:{line}: {error}"),
            (None, Some((first, last))) => anyhow!("{path}: lines {first} to {last}: {error}"),
            (None, None) => anyhow!("{path}: {error}"),
        }
    })
}
