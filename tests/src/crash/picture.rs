//! All that a broker serves: records of all topics, where logs begin and end, positions of groups, the cluster's id. To be held
//! against what another life of it served.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_client::consumer::{ConsumerOptions, Isolation, OffsetSpec, PartitionConsumer};
use ottla_client::{Client, ClientError, ClientOptions, Topics};

/// Key and value; an error instead, if the partition says that it cannot be read there.
pub(super) type Found = Result<(Option<Bytes>, Option<Bytes>), String>;

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Partition {
    /// Tells a topic from an earlier one of its name.
    pub topic_id: String,
    pub start: i64,
    pub end: i64,
    /// By offset.
    pub records: BTreeMap<i64, Found>,
}

/// What a broker serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picture {
    pub cluster_id: String,
    pub partitions: BTreeMap<(String, i32), Partition>,
    /// By group, topic and partition.
    pub positions: BTreeMap<(String, String, i32), i64>,
}

/// A broker that refuses waits for nobody.
async fn connect(bootstrap: &str) -> Result<Client, ClientError> {
    let options = ClientOptions {
        retry_timeout: Duration::ZERO,
        ..ClientOptions::default()
    };
    Client::connect(&[bootstrap.to_owned()], options).await
}

/// Reads everything that is shown at this isolation. Where a partition cannot be read goes by `known`, what it held before.
pub(super) async fn take(
    bootstrap: &str,
    known: &Picture,
    isolation: Isolation,
) -> Result<Picture, ClientError> {
    let mut client = connect(bootstrap).await?;
    let metadata = client.metadata(Topics::All, false).await?;
    let mut picture = Picture {
        cluster_id: metadata.cluster_id.unwrap_or_default(),
        ..Picture::default()
    };
    for topic in &metadata.topics {
        for partition in &topic.partitions {
            let place = (topic.name.clone(), partition.index);
            let mut found =
                read(&mut client, &place, known.partitions.get(&place), isolation).await;
            found.topic_id = topic.id.to_string();
            picture.partitions.insert(place, found);
        }
    }
    for group in client.list_groups().await? {
        for ((topic, partition), at) in client.committed_offsets(&group.group).await? {
            let place = (group.group.clone(), topic, partition);
            picture.positions.insert(place, at.offset);
        }
    }
    Ok(picture)
}

async fn read(
    client: &mut Client,
    place: &(String, i32),
    known: Option<&Partition>,
    isolation: Isolation,
) -> Partition {
    let mut found = Partition::default();
    let places = std::slice::from_ref(place);
    let mut ends = [0; 2];
    let specs = [OffsetSpec::Earliest, OffsetSpec::Latest];
    for (end, spec) in ends.iter_mut().zip(specs) {
        let offsets = client.list_offsets(places, spec, Isolation::ReadUncommitted);
        // A partition that cannot be loaded says so, wherever it is read.
        match offsets.await {
            Ok(offsets) => *end = offsets[place].unwrap_or(0),
            Err(error) => {
                let all = known
                    .map(|k| k.records.keys().copied())
                    .into_iter()
                    .flatten();
                found.records = all.map(|at| (at, Err(error.to_string()))).collect();
                let known = known.cloned().unwrap_or_default();
                (found.start, found.end) = (known.start, known.end);
                return found;
            }
        }
    }
    [found.start, found.end] = ends;
    let own = client.connect_again().await.expect("the broker answers");
    let options = ConsumerOptions {
        isolation,
        // One batch at a time: an error is that of one batch.
        partition_max_bytes: 1,
        ..ConsumerOptions::default()
    };
    let mut reader = PartitionConsumer::new(own, options);
    reader.assign(&place.0, place.1, found.start);
    let position = |reader: &PartitionConsumer| reader.positions().into_values().next();
    while let Some(next) = position(&reader).filter(|next| *next < found.end) {
        match reader.poll(Duration::from_millis(200)).await {
            Ok(records) => {
                // Batches of aborted transactions, and what compaction left, have none.
                if records.is_empty() && position(&reader) == Some(next) {
                    break;
                }
                for record in records {
                    let content = (record.key, record.value);
                    found.records.insert(record.offset, Ok(content));
                }
            }
            Err(error) => {
                found.records.insert(next, Err(error.to_string()));
                let all = known.into_iter().flat_map(|k| k.records.range(next + 1..));
                let Some((after, _)) = all.into_iter().next() else {
                    break;
                };
                reader.assign(&place.0, place.1, *after);
            }
        }
    }
    found
}
