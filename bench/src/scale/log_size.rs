//! A long log: what its length costs at start, when it is read, and when it goes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    BrokerId, DeleteRecordsRequest, FetchRequest, ListOffsetsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;

use super::cost::{at_rest, ms, per_request, per_round};
use super::sparse::{self, ID, STEP_MS, TOPIC};
use super::topics::{At, FETCH, PRODUCE, Session, produce};
use crate::measure::raw::batch;
use crate::measure::{Sample, lower};
use crate::pages::Stock;
use crate::process::resident_bytes;
use crate::target::{Programs, Server};

/// How long files may take to go.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is read of a log at most, bytes.
const MOST_READ: u64 = 8 << 30;

/// Runs one size.
pub async fn run(programs: &Programs, gigabytes: u64) -> Result<Vec<Sample>> {
    // Young enough to stay.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let first_ms = now.as_millis() as i64 - 24 * 3600 * 1000;
    let data = tempfile::TempDir::new_in(&programs.scratch)?;
    let made = data.path().join("data");
    let batches = sparse::fill(&made, gigabytes, first_ms).await? as i64;
    let _stock = Stock::of((gigabytes << 30).min(MOST_READ), &programs.scratch)?;
    let mut server = Server::start_on(programs, |to| Ok(std::fs::rename(&made, to)?)).await?;
    let mut samples = vec![lower("start", "ms", ms(server.started_in))];
    let at = At {
        topic: TopicName(StrBytes::from_static_str(TOPIC)),
        id: ID,
        index: 0,
    };
    let mut connection = Connection::connect(server.address.clone()).await?;
    let places = [
        ("first fetch, at the end", batches - 1),
        ("first fetch, at the beginning", 0),
        ("first fetch, in the middle", batches / 2),
    ];
    for (metric, place) in places {
        let started = Instant::now();
        fetch(&mut connection, &at, place).await?;
        samples.push(lower(metric, "ms", ms(started.elapsed())));
    }
    samples.extend(at_rest(&server).await?);
    let mut places = (0..).map(|n: i64| n * 7919 % batches);
    let anywhere = per_round(&server, async |_| {
        let place = places.next().unwrap_or(0);
        fetch(&mut connection, &at, place).await
    });
    samples.push(lower(
        "a fetch of a batch anywhere",
        "µs of CPU",
        anywhere.await?,
    ));
    let mut places = (0..).map(|n: i64| n * 7919 % batches);
    let by_time = per_round(&server, async |_| {
        let place = places.next().unwrap_or(0);
        let found = offset_of(&mut connection, &at, first_ms + place * STEP_MS).await?;
        ensure!(found == place, "{found} is not where {place} is");
        Ok(())
    });
    samples.push(lower("an offset by time", "µs of CPU", by_time.await?));
    let small = produce(std::slice::from_ref(&at), &batch(1, 100));
    let cost = per_request(&server, &mut connection, PRODUCE, &small).await?;
    samples.push(lower("a produce", "µs of CPU", cost));

    drop(connection);
    samples.push(lower(
        "start after SIGKILL",
        "ms",
        ms(server.crash().await?),
    ));
    let mut connection = Connection::connect(server.address.clone()).await?;
    let started = Instant::now();
    // All but the small records behind: every segment but the last goes.
    delete_below(&mut connection, &at, batches).await?;
    samples.push(lower(
        "DeleteRecords of nearly all",
        "ms",
        ms(started.elapsed()),
    ));
    let data = server.data_dir();
    while segments(&data.join(format!("topics/{TOPIC}-0")))? > 1 {
        ensure!(started.elapsed() < PATIENCE, "the files do not go");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    samples.push(lower(
        "until the files are gone",
        "ms",
        ms(started.elapsed()),
    ));
    let resident = resident_bytes(server.pid())? as f64 / 1e6;
    samples.push(lower("resident after that", "MB", resident));
    samples.push(lower("stop", "ms", ms(server.stop()?)));
    Ok(samples)
}

async fn fetch(connection: &mut Connection, at: &At, offset: i64) -> Result<()> {
    let mut request: FetchRequest = Session::default().request(&[(at.clone(), offset)], 0);
    // No session; one batch.
    request.session_epoch = -1;
    request.max_bytes = 1;
    let answer = connection.call(FETCH, &request).await?;
    let partition = answer.responses.first().and_then(|t| t.partitions.first());
    let records = partition.and_then(|p| p.records.as_ref());
    let first = records
        .and_then(|r| r.first_chunk::<8>())
        .map(|b| i64::from_be_bytes(*b));
    ensure!(first == Some(offset), "{first:?} instead of {offset}");
    Ok(())
}

async fn offset_of(connection: &mut Connection, at: &At, time: i64) -> Result<i64> {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(at.index)
        .with_timestamp(time);
    let topic = ListOffsetsTopic::default()
        .with_name(at.topic.clone())
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let answer = connection.call(1, &request).await?;
    let partition = answer.topics.first().and_then(|t| t.partitions.first());
    Ok(partition.map_or(-1, |p| p.offset))
}

async fn delete_below(connection: &mut Connection, at: &At, offset: i64) -> Result<()> {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(at.index)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(at.topic.clone())
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let answer = connection.call(1, &request).await?;
    let mut partitions = answer.topics.iter().flat_map(|t| &t.partitions);
    ensure!(
        partitions.all(|p| p.error_code == 0),
        "not deleted: {answer:?}"
    );
    Ok(())
}

fn segments(directory: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        count += usize::from(entry?.path().extension().is_some_and(|e| e == "log"));
    }
    Ok(count)
}
