//! Three consumers of one group subscribe at the same time: how long until each has its partitions.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{Sample, Scene, TOPIC, lower};

const MEMBERS: usize = 3;
const PARTITIONS: i32 = 6;
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs it once. The brokers' own `group.initial.rebalance.delay.ms` counts: it is what a user waits.
pub async fn run(scene: &Scene) -> Result<Vec<Sample>> {
    let server = scene.server(PARTITIONS).await?;
    let address = server.address.clone();
    let took = tokio::task::spawn_blocking(move || subscribe(&address)).await??;
    Ok(vec![lower(
        "subscribed to all assigned",
        "ms",
        took.as_secs_f64() * 1e3,
    )])
}

fn subscribe(address: &str) -> Result<Duration> {
    let members = (0..MEMBERS)
        .map(|_| {
            Ok(ClientConfig::new()
                .set("bootstrap.servers", address)
                .set("group.id", "bench")
                .create::<BaseConsumer>()?)
        })
        .collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    for member in &members {
        member.subscribe(&[TOPIC])?;
    }
    loop {
        for member in &members {
            if let Some(Err(error)) = member.poll(Duration::from_millis(1)) {
                return Err(error.into());
            }
        }
        let counts = members
            .iter()
            .map(|member| Ok(member.assignment()?.count()))
            .collect::<Result<Vec<_>>>()?;
        if counts.iter().all(|c| *c > 0) && counts.iter().sum::<usize>() == PARTITIONS as usize {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < DEADLINE, "assigned so far: {counts:?}");
    }
}
