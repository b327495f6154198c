//! Prebuilt batches of about 0.9 MB over connections of our own: the load costs next to nothing, so what is measured is the broker.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, ProduceRequest, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use ottla_client::Connection;
use ottla_codec::records::{BatchBuilder, Record};

use super::{Meter, Sample, Scene, TOPIC, WARM_UP_SHARE, end_offsets, higher, lower};
use crate::pages::Stock;
use crate::payload::Payload;
use crate::stats::percentile_ms;

/// Partitions that the load is spread over.
pub const PARTITIONS: i32 = 6;
/// Each connection serves its share of the partitions.
const CONNECTIONS: i32 = 3;
/// Requests in flight on a connection, as the Java producer could have.
const IN_FLIGHT: usize = 2;
/// Records of a batch.
pub const RECORDS: i64 = 880;
/// Bytes of their values.
pub const RECORD_BYTES: usize = 1024;
/// A full run writes, and reads, this many batches on each connection.
const BATCHES: u64 = 600;

/// A whole frame of `request`, its length included.
pub fn frame<R: Request>(version: i16, request: &R) -> Result<Bytes> {
    let api = ApiKey::try_from(R::KEY).map_err(|()| anyhow::anyhow!("unknown API"))?;
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("bench")));
    let mut body = BytesMut::new();
    header.encode(&mut body, api.request_header_version(version))?;
    request.encode(&mut body, version)?;
    let mut frame = BytesMut::with_capacity(body.len() + 4);
    frame.put_u32(u32::try_from(body.len())?);
    frame.put(body);
    Ok(frame.freeze())
}

/// A produce request (version 9, acks=all) of one batch.
pub fn produce_frame(partition: i32, batch: Bytes) -> Result<Bytes> {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    frame(9, &request)
}

/// One batch of `count` records of `size` bytes.
pub fn batch(count: i64, size: usize) -> Bytes {
    let payload = Payload::default();
    let records: Vec<_> = (0..count)
        .map(|offset| Record {
            offset,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::copy_from_slice(payload.slice(offset as u64, size))),
            headers: Vec::new(),
        })
        .collect();
    BatchBuilder::default().build(&records)
}

/// Runs it once.
pub async fn run(scene: &Scene) -> Result<Vec<Sample>> {
    let server = scene.server(PARTITIONS).await?;
    let batches = scene.scaled(BATCHES);
    let total = batches * CONNECTIONS as u64;
    let batch = batch(RECORDS, RECORD_BYTES);
    let gigabytes = total as f64 * batch.len() as f64 / 1e9;

    let warm_up = (batches / u64::from(WARM_UP_SHARE)).max(1);
    let writing = |batches: u64| {
        let batch = batch.clone();
        move |stream, partitions| write(stream, partitions, &batch, 0..batches)
    };
    let payload = (batches + warm_up) * CONNECTIONS as u64 * batch.len() as u64;
    let stock = Stock::of(payload, &scene.programs.scratch)?;
    each_connection(&server.address, writing(warm_up)).await?;
    let meter = Meter::start(&server)?;
    let mut times = each_connection(&server.address, writing(batches)).await?;
    let (wall, cpu) = meter.stop()?;
    drop(stock);
    let mut connection = Connection::connect(server.address.clone()).await?;
    let kept = end_offsets(&mut connection, PARTITIONS).await?;
    let sent = (batches + warm_up) as i64 * i64::from(CONNECTIONS) * RECORDS;
    ensure!(kept == sent, "{kept} records are kept of {sent}");
    let mut samples = vec![
        higher("produce", "MB/s", gigabytes * 1e3 / wall),
        lower("produce CPU", "s/GB", cpu / gigabytes),
        lower("produce p99", "ms", percentile_ms(&mut times, 99.0)),
    ];

    let length = batch.len();
    let reading =
        |batches: u64| move |stream, partitions| read(stream, partitions, length, 0..batches);
    each_connection(&server.address, reading(warm_up)).await?;
    let meter = Meter::start(&server)?;
    each_connection(&server.address, reading(batches)).await?;
    let (wall, cpu) = meter.stop()?;
    samples.extend([
        higher("fetch", "MB/s", gigabytes * 1e3 / wall),
        lower("fetch CPU", "s/GB", cpu / gigabytes),
    ]);
    Ok(samples)
}

/// Runs `work` on a blocking thread for each connection, with the partitions that are its own.
pub async fn each_connection<F>(address: &str, work: F) -> Result<Vec<Duration>>
where
    F: Fn(TcpStream, Vec<i32>) -> Result<Vec<Duration>> + Clone + Send + 'static,
{
    let mut tasks = Vec::new();
    for number in 0..CONNECTIONS {
        let (work, address) = (work.clone(), address.to_owned());
        tasks.push(tokio::task::spawn_blocking(move || {
            let stream = TcpStream::connect(&address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            let partitions = (0..PARTITIONS).filter(|p| p % CONNECTIONS == number);
            work(stream, partitions.collect())
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(times)
}

/// Writes `batch` once for each of `numbers`, over the partitions in turns; the time of each request.
pub fn write(
    mut stream: TcpStream,
    partitions: Vec<i32>,
    batch: &Bytes,
    numbers: impl Iterator<Item = u64>,
) -> Result<Vec<Duration>> {
    let frames = partitions
        .iter()
        .map(|partition| produce_frame(*partition, batch.clone()))
        .collect::<Result<Vec<_>>>()?;
    let mut sent = std::collections::VecDeque::new();
    let mut times = Vec::new();
    let mut answer = Vec::new();
    for (frame, _) in frames.iter().cycle().zip(numbers) {
        if sent.len() == IN_FLIGHT {
            read_frame(&mut stream, &mut answer)?;
            times.extend(sent.pop_front().map(|at: Instant| at.elapsed()));
        }
        sent.push_back(Instant::now());
        stream.write_all(frame)?;
    }
    for at in sent {
        read_frame(&mut stream, &mut answer)?;
        times.push(at.elapsed());
    }
    Ok(times)
}

/// A fetch of up to `max_bytes` of one partition, without a session, that waits half a second for a byte.
pub fn fetch_request(partition: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(max_bytes);
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(max_bytes)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// A [`fetch_request`] of version 12.
pub fn fetch_frame(partition: i32, offset: i64, max_bytes: i32) -> Result<Bytes> {
    frame(12, &fetch_request(partition, offset, max_bytes))
}

/// Reads the batches of `numbers` as [`write`] has written them, of `length` bytes each; the time of each request.
pub fn read(
    mut stream: TcpStream,
    partitions: Vec<i32>,
    length: usize,
    numbers: impl Iterator<Item = u64>,
) -> Result<Vec<Duration>> {
    let mut answer = Vec::new();
    let share = partitions.len() as u64;
    let mut times = Vec::new();
    for number in numbers {
        let partition = partitions[(number % share) as usize];
        let offset = (number / share) as i64 * RECORDS;
        let at = Instant::now();
        stream.write_all(&fetch_frame(partition, offset, length as i32)?)?;
        read_frame(&mut stream, &mut answer)?;
        times.push(at.elapsed());
        ensure!(
            answer.len() >= length,
            "a fetch answered {} bytes instead of a batch",
            answer.len()
        );
    }
    Ok(times)
}

/// Reads one frame into `buffer`, which keeps its memory between frames.
fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .context("the broker closed the connection")?;
    buffer.resize(usize::try_from(i32::from_be_bytes(length))?, 0);
    stream.read_exact(buffer)?;
    Ok(())
}
