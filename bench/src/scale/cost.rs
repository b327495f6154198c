//! What a request costs the broker, and what it costs at rest.

use std::time::{Duration, Instant};

use anyhow::Result;
use kafka_protocol::protocol::Request;
use ottla_client::Connection;

use crate::measure::{Meter, Sample, lower};
use crate::process::{open_files, resident_bytes, sleeps};
use crate::target::Server;

/// How long a request is repeated: CPU is counted in hundredths of a second.
const LENGTH: Duration = Duration::from_millis(1500);
/// How long before that, unmeasured.
const WARM_UP: Duration = Duration::from_millis(400);
/// As often at least, however long one takes.
const AT_LEAST: u64 = 10;
/// What a broker does after its start is not idling yet.
const SETTLE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(10);

/// CPU of the broker for each round of `round`, microseconds. `round` is given how many were before it.
pub async fn per_round(
    server: &Server,
    mut round: impl AsyncFnMut(u64) -> Result<()>,
) -> Result<f64> {
    let mut done = 0;
    let mut cpu = 0.0;
    let mut rounds = 0;
    for length in [WARM_UP, LENGTH] {
        let meter = Meter::start(server)?;
        let (started, before) = (Instant::now(), done);
        while started.elapsed() < length || done - before < AT_LEAST {
            round(done).await?;
            done += 1;
        }
        cpu = meter.stop()?.1;
        rounds = done - before;
    }
    Ok(cpu * 1e6 / rounds as f64)
}

/// As [`per_round`], of one request again and again.
pub async fn per_request<R: Request>(
    server: &Server,
    connection: &mut Connection,
    version: i16,
    request: &R,
) -> Result<f64> {
    per_round(server, async |_| {
        connection.call(version, request).await?;
        Ok(())
    })
    .await
}

/// Resident bytes, once the broker has settled.
pub async fn settled_bytes(server: &Server) -> Result<f64> {
    tokio::time::sleep(SETTLE).await;
    Ok(resident_bytes(server.pid())? as f64)
}

/// What the broker costs while nobody asks it for anything.
pub async fn at_rest(server: &Server) -> Result<Vec<Sample>> {
    tokio::time::sleep(SETTLE).await;
    let before = sleeps(server.pid())?;
    let meter = Meter::start(server)?;
    tokio::time::sleep(IDLE).await;
    let (wall, cpu) = meter.stop()?;
    // A thread that ended took its count along.
    let woken = sleeps(server.pid())?.saturating_sub(before);
    Ok(vec![
        lower("CPU when idle", "ms per s", cpu * 1e3 / wall),
        lower("wake-ups when idle", "per s", woken as f64 / wall),
        lower("resident", "MB", resident_bytes(server.pid())? as f64 / 1e6),
        lower("open files", "", open_files(server.pid())? as f64),
    ])
}

/// Kills the broker and starts it again, then stops it and starts it again. `stop` is what its stop is called.
pub async fn lives(server: &mut Server, stop: &'static str) -> Result<Vec<Sample>> {
    let crashed = server.crash().await?;
    let (stopped, started) = server.restart().await?;
    Ok(vec![
        lower("start after SIGKILL", "ms", ms(crashed)),
        lower(stop, "ms", ms(stopped)),
        lower("start after a stop", "ms", ms(started)),
    ])
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
