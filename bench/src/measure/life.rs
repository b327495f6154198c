//! Start to the first answer, what an idle broker costs, and how long it takes to stop.

use std::time::Duration;

use anyhow::Result;

use super::{Meter, Sample, Scene, lower};
use crate::process::{cpu_seconds, resident_bytes};
use crate::target::Server;

/// What a broker does after its start is not idling yet.
const SETTLE: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(8);

/// Runs the start of an image's container once, without the container: what the engine adds is the same for both.
pub async fn run_as_image(scene: &Scene) -> Result<Vec<Sample>> {
    let server = Server::start_as_image(scene.target, &scene.programs).await?;
    let started_in = server.started_in;
    tokio::time::sleep(SETTLE).await;
    let resident = resident_bytes(server.pid())?;
    server.stop()?;
    Ok(vec![
        lower(
            "start to first answer",
            "ms",
            started_in.as_secs_f64() * 1e3,
        ),
        lower("resident, idle", "MB", resident as f64 / 1e6),
    ])
}

/// Runs it once.
pub async fn run(scene: &Scene) -> Result<Vec<Sample>> {
    let server = Server::start(scene.target, &scene.programs).await?;
    let start_cpu = cpu_seconds(server.pid())?;
    let started_in = server.started_in;
    // These are waits by nature: idling is measured over time.
    tokio::time::sleep(SETTLE).await;
    let meter = Meter::start(&server)?;
    tokio::time::sleep(scene.time(IDLE).max(Duration::from_secs(2))).await;
    let (wall, cpu) = meter.stop()?;
    let resident = resident_bytes(server.pid())?;
    let stopped_in = server.stop()?;
    Ok(vec![
        lower(
            "start to first answer",
            "ms",
            started_in.as_secs_f64() * 1e3,
        ),
        lower("CPU of the start", "s", start_cpu),
        lower("resident, idle", "MB", resident as f64 / 1e6),
        lower("CPU when idle", "s per s", cpu / wall),
        lower("stop", "ms", stopped_in.as_secs_f64() * 1e3),
    ])
}
