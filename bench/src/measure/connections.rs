//! Fifty connections, each with one 100-byte acks=all produce in flight: many small durable writes at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use ottla_client::Connection;

use super::raw::{batch, produce_frame};
use super::{Meter, Sample, Scene, WARM_UP_SHARE, closed_loop, end_offsets, higher, lower};
use crate::stats::percentile_ms;

const CONNECTIONS: i32 = 50;
const RECORD_BYTES: usize = 100;
const FULL: Duration = Duration::from_secs(8);

/// Runs it once.
pub async fn run(scene: &Scene, partitions: i32) -> Result<Vec<Sample>> {
    let server = scene.server(partitions).await?;
    let batch = batch(1, RECORD_BYTES);
    let frames = (0..CONNECTIONS)
        .map(|number| produce_frame(number % partitions, batch.clone()))
        .collect::<Result<Vec<_>>>()?;
    let length = scene.time(FULL).max(Duration::from_secs(1));
    let warm_up = closed_loop::run(&server.address, &frames, length / WARM_UP_SHARE).await?;
    let meter = Meter::start(&server)?;
    let answered = closed_loop::run(&server.address, &frames, length).await?;
    let (wall, cpu) = meter.stop()?;
    let mut times = answered.times;
    let mut connection = Connection::connect(server.address.clone()).await?;
    let kept = end_offsets(&mut connection, partitions).await?;
    let answered = warm_up.times.len() + times.len();
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
