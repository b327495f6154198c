//! Fifty connections, each with one 100-byte acks=all produce in flight: many small durable writes at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use ottla_client::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw::{batch, produce_frame};
use super::{Meter, Sample, Scene, WARM_UP_SHARE, end_offsets, higher, lower};
use crate::stats::percentile_ms;

const CONNECTIONS: i32 = 50;
const RECORD_BYTES: usize = 100;
/// More than an answer needs.
const ANSWER_BYTES: usize = 1024;
const FULL: Duration = Duration::from_secs(8);

/// Runs it once.
pub async fn run(scene: &Scene, partitions: i32) -> Result<Vec<Sample>> {
    let server = scene.server(partitions).await?;
    let batch = batch(1, RECORD_BYTES);
    let frames = (0..CONNECTIONS)
        .map(|number| produce_frame(number % partitions, batch.clone()))
        .collect::<Result<Vec<_>>>()?;
    let length = scene.time(FULL).max(Duration::from_secs(1));
    let warm_up = closed_loop(&server.address, &frames, length / WARM_UP_SHARE).await?;
    let meter = Meter::start(&server)?;
    let mut times = closed_loop(&server.address, &frames, length).await?;
    let (wall, cpu) = meter.stop()?;
    let mut connection = Connection::connect(server.address.clone()).await?;
    let kept = end_offsets(&mut connection, partitions).await?;
    let answered = warm_up.len() + times.len();
    ensure!(
        kept == answered as i64,
        "{kept} records are kept of {answered}"
    );
    Ok(vec![
        higher("requests", "per s", times.len() as f64 / wall),
        lower("CPU", "s per 100,000", cpu / times.len() as f64 * 1e5),
        lower("p50", "ms", percentile_ms(&mut times, 50.0)),
        lower("p99", "ms", percentile_ms(&mut times, 99.0)),
    ])
}

/// Every connection sends its frame again and again; the time of each request.
async fn closed_loop(address: &str, frames: &[Bytes], length: Duration) -> Result<Vec<Duration>> {
    let until = Instant::now() + length;
    let mut tasks = tokio::task::JoinSet::new();
    for frame in frames {
        tasks.spawn(one_connection(address.to_owned(), frame.clone(), until));
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

async fn one_connection(address: String, frame: Bytes, until: Instant) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut answer = BytesMut::with_capacity(ANSWER_BYTES);
    while Instant::now() < until {
        let at = Instant::now();
        stream.write_all(&frame).await?;
        answer.clear();
        // Length and body in one read: the load shares the cores with the broker.
        while !is_whole(&answer)? {
            ensure!(stream.read_buf(&mut answer).await? > 0, "closed");
        }
        times.push(at.elapsed());
    }
    Ok(times)
}

/// Whether `answer` is a whole frame. An error if more than that came.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some((length, body)) = answer.split_first_chunk::<4>() else {
        return Ok(false);
    };
    let length = usize::try_from(i32::from_be_bytes(*length))?;
    ensure!(
        length <= ANSWER_BYTES && body.len() <= length,
        "{} bytes for an answer of {length}",
        body.len()
    );
    Ok(body.len() == length)
}
