//! Many idempotent producers that have written to one partition.

use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{DescribeProducersRequest, ProduceRequest};
use ottla_client::Connection;
use ottla_codec::records::{BatchBuilder, Record};

use super::cost::{at_rest, lives, ms, per_request, per_round, settled_bytes};
use super::topics::{At, PRODUCE, create, produce};
use crate::measure::{Sample, lower};
use crate::process::resident_bytes;
use crate::target::{Programs, Server, Target};

/// Requests on their way at the same time.
const IN_FLIGHT: usize = 100;
const RECORD_BYTES: usize = 100;

/// Runs one size.
pub async fn run(programs: &Programs, target: Target, producers: u64) -> Result<Vec<Sample>> {
    let mut server = Server::start(target, programs).await?;
    let mut connection = Connection::connect(server.address.clone()).await?;
    let topic = create(&mut connection, 1, 1).await?;
    // A first one, so that a new leader is not what is waited for.
    while one(&mut connection, &topic, producers as i64, 0)
        .await
        .is_err()
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let before = settled_bytes(&server).await?;
    let started = Instant::now();
    for number in 0..producers as i64 {
        if connection.in_flight() >= IN_FLIGHT {
            received(&mut connection).await?;
        }
        connection
            .send(PRODUCE, &produce(&topic, &batch(number, 0)))
            .await?;
    }
    while connection.in_flight() > 0 {
        received(&mut connection).await?;
    }
    let mut samples = vec![lower("each wrote once", "ms", ms(started.elapsed()))];
    samples.extend(at_rest(&server).await?);
    let grown = resident_bytes(server.pid())? as f64 - before;
    samples.push(lower(
        "memory a producer",
        "kB",
        grown / 1e3 / producers as f64,
    ));

    let mut sequence = 1;
    let again = per_round(&server, async |_| {
        one(&mut connection, &topic, 0, sequence).await?;
        sequence += 1;
        Ok(())
    });
    samples.push(lower("a produce of a known one", "µs of CPU", again.await?));
    let mut new = producers as i64;
    let fresh = per_round(&server, async |_| {
        new += 1;
        one(&mut connection, &topic, new, 0).await
    });
    samples.push(lower("a produce of a new one", "µs of CPU", fresh.await?));
    let asked = TopicRequest::default()
        .with_name(topic[0].topic.clone())
        .with_partition_indexes(vec![0]);
    let describe = DescribeProducersRequest::default().with_topics(vec![asked]);
    let described = per_request(&server, &mut connection, 0, &describe).await?;
    samples.push(lower("DescribeProducers", "µs of CPU", described));

    drop(connection);
    samples.extend(lives(&mut server, "stop").await?);
    let mut connection = Connection::connect(server.address.clone()).await?;
    let first = Instant::now();
    one(&mut connection, &topic, 0, sequence).await?;
    samples.push(lower(
        "first produce after a start",
        "ms",
        ms(first.elapsed()),
    ));
    let resident = resident_bytes(server.pid())? as f64 / 1e6;
    samples.push(lower("resident after that", "MB", resident));
    samples.push(lower("stop after one produce", "ms", ms(server.stop()?)));
    Ok(samples)
}

/// One record of a producer.
fn batch(producer_id: i64, base_sequence: i32) -> Bytes {
    let record = Record {
        offset: 0,
        // Producers of an earlier time would be forgotten.
        timestamp: now_ms(),
        key: None,
        value: Some(Bytes::from_static(&[7; RECORD_BYTES])),
        headers: Vec::new(),
    };
    let builder = BatchBuilder {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        ..BatchBuilder::default()
    };
    builder.build(&[record])
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |n| n.as_millis() as i64)
}

async fn one(connection: &mut Connection, topic: &[At], id: i64, sequence: i32) -> Result<()> {
    connection
        .send(PRODUCE, &produce(topic, &batch(id, sequence)))
        .await?;
    received(connection).await
}

async fn received(connection: &mut Connection) -> Result<()> {
    let answer = connection.receive::<ProduceRequest>(PRODUCE).await?;
    let answers = answer.responses.iter().flat_map(|t| &t.partition_responses);
    ensure!(answers.map(|p| p.error_code).eq([0]), "not written");
    Ok(())
}
