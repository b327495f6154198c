//! Many partitions, in one topic or over many.

use std::time::Instant;

use anyhow::{Result, ensure};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeLogDirsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};
use ottla_client::Connection;

use super::cost::{at_rest, lives, ms, per_request, per_round};
use super::topics::{At, FETCH, PRODUCE, Session, create, produce, write};
use crate::measure::raw::batch;
use crate::measure::{Meter, Sample, lower};
use crate::process::{disk_bytes, resident_bytes};
use crate::target::{Programs, Server, Target};

const RECORD_BYTES: usize = 100;
/// Time enough for what is measured in CPU.
const WAIT_MS: i32 = 5000;

/// Runs one size.
pub async fn run(
    programs: &Programs,
    target: Target,
    topics: u64,
    partitions: u64,
) -> Result<Vec<Sample>> {
    let mut server = Server::start(target, programs).await?;
    let batch = batch(1, RECORD_BYTES);
    let mut connection = Connection::connect(server.address.clone()).await?;
    let meter = Meter::start(&server)?;
    let all = create(&mut connection, topics, partitions).await?;
    let (created_in, created_cpu) = meter.stop()?;
    settle(&mut connection, &all).await?;
    let written = Instant::now();
    write(&mut connection, &all, &batch).await?;
    let mut samples = vec![
        lower("create", "ms", created_in * 1e3),
        lower("create, CPU", "ms", created_cpu * 1e3),
        lower("first record in each", "ms", ms(written.elapsed())),
    ];
    samples.extend(at_rest(&server).await?);
    samples.extend(requests(&server, &mut connection, &all).await?);

    drop(connection);
    samples.extend(lives(&mut server, "stop, nothing new").await?);
    let resident = resident_bytes(server.pid())? as f64 / 1e6;
    samples.push(lower("resident after a start", "MB", resident));

    let mut connection = Connection::connect(server.address.clone()).await?;
    settle(&mut connection, &all).await?;
    let first = Instant::now();
    let mut session = Session::default();
    open(&mut connection, &mut session, &all).await?;
    samples.push(lower(
        "first fetch of all after a start",
        "ms",
        ms(first.elapsed()),
    ));
    write(&mut connection, &all, &batch).await?;
    let data = server.data_dir();
    let stopped = server.restart().await?.0;
    samples.push(lower("stop, a record in each", "ms", ms(stopped)));
    samples.push(lower("on disk", "MB", disk_bytes(&data) as f64 / 1e6));
    Ok(samples)
}

/// A new leader, or one that is starting, takes a moment before it serves.
async fn settle(connection: &mut Connection, all: &[At]) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut session = Session::default();
        let done = open(connection, &mut session, all).await;
        if done.is_ok() || started.elapsed().as_secs() > 60 {
            return done;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn open(connection: &mut Connection, session: &mut Session, all: &[At]) -> Result<()> {
    let changed: Vec<_> = all.iter().map(|at| (at.clone(), 0)).collect();
    let request = session.request(&changed, 0);
    let answer = connection.call(FETCH, &request).await?;
    let told = session.answered(&answer)?;
    ensure!(
        told == all.len(),
        "{told} of {} partitions were told",
        all.len()
    );
    Ok(())
}

async fn requests(server: &Server, connection: &mut Connection, all: &[At]) -> Result<Vec<Sample>> {
    let everything = MetadataRequest::default().with_topics(None);
    let of_one = MetadataRequestTopic::default().with_name(Some(all[0].topic.clone()));
    let of_one = MetadataRequest::default().with_topics(Some(vec![of_one]));
    let dirs = DescribeLogDirsRequest::default().with_topics(None);
    let batch = batch(1, RECORD_BYTES);
    let one = produce(&all[..1], &batch);
    let mut samples = Vec::new();
    let mut add = |metric, cost| samples.push(lower(metric, "µs of CPU", cost));
    add(
        "Metadata of all",
        per_request(server, connection, 9, &everything).await?,
    );
    add(
        "Metadata of a topic",
        per_request(server, connection, 9, &of_one).await?,
    );
    add(
        "DescribeLogDirs",
        per_request(server, connection, 1, &dirs).await?,
    );
    add(
        "a produce",
        per_request(server, connection, PRODUCE, &one).await?,
    );

    let mut session = Session::default();
    // At the end of each: nothing is there to be read.
    let mut changed = Vec::new();
    for (number, at) in all.iter().enumerate() {
        let end = if number == 0 {
            end_of(connection, at).await?
        } else {
            1
        };
        changed.push((at.clone(), end));
    }
    let mut next: i64 = changed[0].1;
    let request = session.request(&changed, 0);
    let answer = connection.call(FETCH, &request).await?;
    session.answered(&answer)?;
    let nothing = per_round(server, async |_| {
        let answer = connection.call(FETCH, &session.request(&[], 0)).await?;
        ensure!(session.answered(&answer)? == 0, "something was told");
        Ok(())
    });
    add("fetch session, nothing new", nothing.await?);

    // Who waits in a session of all is woken by a record in one.
    let mut producer = Connection::connect(server.address.clone()).await?;
    let mut moved = Vec::new();
    let woken = per_round(server, async |_| {
        let request = session.request(&moved, WAIT_MS);
        connection.send(FETCH, &request).await?;
        producer.send(PRODUCE, &one).await?;
        let mut answer = connection.receive::<FetchRequest>(FETCH).await?;
        // Its time may be over before the record is there.
        while session.answered(&answer)? == 0 {
            let request = session.request(&[], WAIT_MS);
            answer = connection.call(FETCH, &request).await?;
        }
        producer.receive::<ProduceRequest>(PRODUCE).await?;
        next += 1;
        moved = vec![(all[0].clone(), next)];
        Ok(())
    });
    add("fetch session, produce and one new record", woken.await?);
    Ok(samples)
}

async fn end_of(connection: &mut Connection, at: &At) -> Result<i64> {
    let mut session = Session::default();
    let request = session.request(&[(at.clone(), 0)], 0);
    let answer = connection.call(FETCH, &request).await?;
    session.answered(&answer)?;
    let partition = answer.responses.first().and_then(|t| t.partitions.first());
    Ok(partition.map_or(0, |p| p.high_watermark))
}
