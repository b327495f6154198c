//! What comes and goes beside the records: topics, partitions, settings, groups, producers, connections, deleted records.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{FetchRequest, MetadataRequest};
use ottla_client::admin::{ConfigChange, ConfigResource, NewTopic};
use ottla_client::consumer::{Isolation, OffsetSpec};
use ottla_client::producer::{Producer, ProducerOptions, ProducerRecord};
use ottla_client::{Client, ClientError, ClientOptions, Connection};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::checker::Checked;
use super::shared::{Shared, add, lock};
use super::streams::Stream;

/// Names of topics that come and go.
const TOPICS: u64 = 12;
/// Names of groups that come and go; some are left to expire.
const GROUPS: u64 = 40;
const RECORDS: i64 = 20;
/// Connections that are held with half a request.
const HELD: usize = 20;
/// Connections that are leaked at a time.
const LEAKED: usize = 3;
/// Records that are left of the trimmed stream, in each partition.
const LEFT: i64 = 500;

/// Does it again and again until the end of the load, `rate` times a second at most. An error means that the broker is away.
async fn repeat<F>(shared: &Shared, rate: f64, mut work: impl FnMut(u64) -> F)
where
    F: Future<Output = Result<(), ClientError>>,
{
    let pause = Duration::from_secs_f64(1.0 / (rate * shared.load));
    let mut number = 0;
    while shared.goes_on() {
        let started = Instant::now();
        // An error means that the broker is away.
        let _ = work(number).await;
        number += 1;
        tokio::time::sleep(pause.saturating_sub(started.elapsed())).await;
    }
}

async fn connect(shared: &Shared) -> Result<Client, ClientError> {
    Client::connect(&[shared.bootstrap()], ClientOptions::default()).await
}

/// All of it, until the end of the load. With `leak` connections are opened and held for ever, to see that it is found.
pub fn work(shared: &Arc<Shared>, trimmed: Stream, checked: &Checked, leak: bool) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(async {
            tokio::join!(
                repeat(shared, 1.0, |number| topic(shared, number)),
                repeat(shared, 4.0, |number| group(shared, number)),
                repeat(shared, 0.2, |_| trim(shared, trimmed, checked)),
                repeat(shared, 2.0, |_| ask(shared)),
                connections(shared, leak),
            )
        });
}

/// One life of a topic: made, written to by a producer of its own, changed, read of, removed.
async fn topic(shared: &Shared, number: u64) -> Result<(), ClientError> {
    let name = format!("churn-{}", number % TOPICS);
    let mut client = connect(shared).await?;
    // Left over if the broker went away in the middle.
    let _ = client.delete_topics(std::slice::from_ref(&name)).await;
    let new = NewTopic {
        name: name.clone(),
        partitions: Some(1 + (number % 3) as i32),
        replication_factor: Some(1),
        configs: vec![("segment.bytes".into(), "100000".into())],
    };
    let created = client.create_topics(&[new], false).await?;
    for (_, result) in created {
        result?;
    }
    let mut producer =
        Producer::new(client.connect_again().await?, ProducerOptions::default()).await?;
    for index in 0..RECORDS {
        let record = ProducerRecord {
            topic: name.clone(),
            partition: Some(0),
            value: Some(Bytes::from(format!("{number}:{index}"))),
            ..ProducerRecord::default()
        };
        producer.send(record).await?;
    }
    producer.flush().await?;
    let count = 2 + (number % 3) as i32;
    client.create_partitions(&name, count).await?;
    let resource = ConfigResource::Topic(name.clone());
    let change = ConfigChange::Set("retention.ms".into(), "60000".into());
    client.alter_configs(&resource, &[change]).await?;
    let place = (name.clone(), 0);
    let ends = client
        .list_offsets(
            std::slice::from_ref(&place),
            OffsetSpec::Latest,
            Isolation::ReadUncommitted,
        )
        .await?;
    if ends.get(&place) != Some(&Some(RECORDS)) {
        shared.fail(format!("{place:?} ends at {ends:?}, not at {RECORDS}"));
    }
    for (_, result) in client.delete_topics(std::slice::from_ref(&name)).await? {
        result?;
    }
    if client
        .topic(&name, false)
        .await
        .is_ok_and(|t| t.error.is_none())
    {
        shared.fail(format!("{name} was removed and is there"));
    }
    add(&shared.counts.topics, 1);
    Ok(())
}

/// A group that commits; every other is removed, the rest expire.
async fn group(shared: &Shared, number: u64) -> Result<(), ClientError> {
    let name = format!("churn-group-{}", number % GROUPS);
    let mut client = connect(shared).await?;
    let offsets = BTreeMap::from([(("small".to_owned(), 0), number as i64)]);
    client.commit_offsets(&name, &offsets).await?;
    let found = client.committed_offsets(&name).await?;
    let position = found.get(&("small".to_owned(), 0)).map(|c| c.offset);
    if position != Some(number as i64) {
        shared.fail(format!("{name} committed {number} and is at {position:?}"));
    }
    if number.is_multiple_of(2) {
        client.delete_group(&name).await?;
    }
    add(&shared.counts.admin, 3);
    Ok(())
}

/// Deletes records that were checked, and sees that they are gone.
async fn trim(shared: &Shared, stream: Stream, checked: &Checked) -> Result<(), ClientError> {
    let mut client = connect(shared).await?;
    for partition in 0..stream.partitions {
        let at = lock(checked).get(&(stream.topic, partition)).copied();
        let to = at.unwrap_or_default().offset - LEFT;
        if to <= 0 {
            continue;
        }
        let low = client.delete_records(stream.topic, partition, to).await?;
        let place = (stream.topic.to_owned(), partition);
        let begins = client
            .list_offsets(
                std::slice::from_ref(&place),
                OffsetSpec::Earliest,
                Isolation::ReadUncommitted,
            )
            .await?;
        if low != to || begins.get(&place) != Some(&Some(to)) {
            shared.fail(format!(
                "{place:?} was trimmed to {to}: answered {low}, begins at {begins:?}"
            ));
        }
        add(&shared.counts.admin, 2);
    }
    Ok(())
}

/// What a dashboard asks.
async fn ask(shared: &Shared) -> Result<(), ClientError> {
    let mut client = connect(shared).await?;
    client.metadata(ottla_client::Topics::All, false).await?;
    for group in client.list_groups().await? {
        // It may go meanwhile.
        let _ = client.describe_group(&group.group).await;
        add(&shared.counts.admin, 1);
    }
    let topic = ConfigResource::Topic("small".into());
    client.describe_configs(&topic).await?;
    add(&shared.counts.admin, 3);
    Ok(())
}

/// Opens connections and drops them in every state.
async fn connections(shared: &Shared, leak: bool) {
    let mut rng = StdRng::seed_from_u64(5);
    let mut held = Vec::new();
    let mut leaked = Vec::new();
    while shared.goes_on() {
        match one(shared, rng.random_range(0..7)).await {
            Ok(Some(stream)) => {
                held.push(stream);
                if held.len() > HELD {
                    held.remove(0);
                }
            }
            Ok(None) => {}
            // The broker is away.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        add(&shared.counts.dropped, 1);
        for _ in 0..usize::from(leak) * LEAKED {
            leaked.extend(TcpStream::connect(("127.0.0.1", shared.port)).await);
        }
        tokio::time::sleep(Duration::from_secs_f64(0.05 / shared.load)).await;
    }
}

async fn one(shared: &Shared, kind: u32) -> Result<Option<TcpStream>, ClientError> {
    let plain = async |bytes: &[u8]| -> Result<TcpStream, ClientError> {
        let stream = TcpStream::connect(("127.0.0.1", shared.port)).await;
        let mut stream = stream.map_err(|_| ClientError::Invalid("no connection".into()))?;
        // Whether it is taken is not of interest.
        let _ = stream.write_all(bytes).await;
        Ok(stream)
    };
    // A frame of 1000 bytes of which 100 come.
    let mut half = vec![0, 0, 3, 232, 0, 3, 0, 9];
    half.resize(104, 0);
    match kind {
        0 => drop(plain(b"").await?),
        1 => drop(plain(&half).await?),
        2 => return plain(&half).await.map(Some),
        3 => drop(plain(b"no request of any protocol\r\n\r\n").await?),
        4 => {
            let mut connection = Connection::connect(shared.bootstrap()).await?;
            let all = MetadataRequest::default().with_topics(None);
            connection.call(1, &all).await?;
        }
        5 => {
            // An answer that nobody reads.
            let mut connection = Connection::connect(shared.bootstrap()).await?;
            let all = MetadataRequest::default().with_topics(None);
            for _ in 0..5 {
                connection.send(1, &all).await?;
            }
        }
        _ => {
            // A fetch that waits when its connection goes.
            let mut connection = Connection::connect(shared.bootstrap()).await?;
            let fetch = FetchRequest::default()
                .with_max_wait_ms(60_000)
                .with_min_bytes(1 << 20)
                .with_max_bytes(1 << 20)
                .with_session_epoch(-1);
            connection.send(11, &fetch).await?;
        }
    }
    Ok(None)
}
