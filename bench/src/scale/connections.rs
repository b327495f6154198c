//! Many connections: idle, and each with a small produce in its turn.

use std::time::Instant;

use anyhow::{Result, ensure};
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use ottla_client::Connection;

use super::cost::{at_rest, ms, per_round, settled_bytes};
use super::topics::{PRODUCE, create, produce};
use crate::measure::raw::batch;
use crate::measure::{Meter, Sample, lower};
use crate::process::resident_bytes;
use crate::target::{Programs, Server, Target};

const PARTITIONS: u64 = 10;

/// Runs one size.
pub async fn run(programs: &Programs, target: Target, count: u64) -> Result<Vec<Sample>> {
    let server = Server::start(target, programs).await?;
    let mut one = Connection::connect(server.address.clone()).await?;
    let topic = create(&mut one, 1, PARTITIONS).await?;
    one.call(9, &MetadataRequest::default().with_topics(None))
        .await?;
    let before = settled_bytes(&server).await?;
    let meter = Meter::start(&server)?;
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::connect(server.address.clone()).await?;
        connection.call(3, &ApiVersionsRequest::default()).await?;
        connections.push(connection);
    }
    let (wall, cpu) = meter.stop()?;
    let grown = |now: u64| (now as f64 - before) / 1e3 / count as f64;
    let mut samples = vec![
        lower(
            "connect and ask for versions",
            "µs",
            wall * 1e6 / count as f64,
        ),
        lower(
            "connect and ask for versions, CPU",
            "µs of CPU",
            cpu * 1e6 / count as f64,
        ),
        lower(
            "memory a connection, idle",
            "kB",
            grown(resident_bytes(server.pid())?),
        ),
    ];
    samples.extend(at_rest(&server).await?);

    let batch = batch(1, 100);
    let requests: Vec<_> = topic
        .iter()
        .map(|at| produce(std::slice::from_ref(at), &batch))
        .collect();
    let each = per_round(&server, async |round| {
        let request = &requests[round as usize % requests.len()];
        let connection = &mut connections[round as usize % count as usize];
        let answer = connection.call(PRODUCE, request).await?;
        let answers = answer.responses.iter().flat_map(|t| &t.partition_responses);
        ensure!(answers.map(|p| p.error_code).eq([0]), "not written");
        Ok(())
    });
    samples.push(lower("a produce, in turn", "µs of CPU", each.await?));
    samples.push(lower(
        "memory a connection, used",
        "kB",
        grown(resident_bytes(server.pid())?),
    ));
    let ending = Instant::now();
    server.stop()?;
    samples.push(lower("stop", "ms", ms(ending.elapsed())));
    Ok(samples)
}
