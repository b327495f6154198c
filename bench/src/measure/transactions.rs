//! librdkafka in transactions of a fixed number of records: how many a second, and how long a commit takes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Meter, Sample, Scene, TOPIC, WARM_UP_SHARE, higher, lower};
use crate::payload::Payload;
use crate::stats::percentile_ms;

/// Bytes of a value.
const SIZE: usize = 1024;
/// Partitions, filled in turn.
const PARTITIONS: i32 = 6;
/// How long a call of the client may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records of a transaction.
pub const SIZES: [u64; 4] = [1, 10, 100, 1000];

/// Transactions of a full run: enough of the small ones to fill some seconds, not too many of the large ones.
fn count(records: u64) -> u64 {
    (100_000 / records).clamp(200, 2000)
}

/// Runs it once.
pub async fn run(scene: &Scene, records: u64) -> Result<Vec<Sample>> {
    let server = scene.server(PARTITIONS).await?;
    let address = server.address.clone();
    let producer = tokio::task::spawn_blocking(move || connect(&address)).await??;
    let count = scene.scaled(count(records));
    let warm_up = (count / u64::from(WARM_UP_SHARE)).max(1);
    let transact = |count: u64| {
        let producer = producer.clone();
        tokio::task::spawn_blocking(move || transact(&producer, records, count))
    };
    transact(warm_up).await??;
    let meter = Meter::start(&server)?;
    let mut commits = transact(count).await??;
    let (wall, cpu) = meter.stop()?;
    let thousands = count as f64 / 1e3;
    Ok(vec![
        higher("transactions", "per s", count as f64 / wall),
        higher("records", "per s", (count * records) as f64 / wall),
        lower("commit, p50", "ms", percentile_ms(&mut commits, 50.0)),
        lower("commit, p99", "ms", percentile_ms(&mut commits, 99.0)),
        lower("CPU", "s per 1000 transactions", cpu / thousands),
    ])
}

type Client = std::sync::Arc<BaseProducer>;

fn connect(address: &str) -> Result<Client> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("transactional.id", "bench")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .create()?;
    producer.init_transactions(PATIENCE)?;
    Ok(producer.into())
}

/// The time of each commit: what was sent and not delivered yet is a part of it, as it is for a program.
fn transact(producer: &Client, records: u64, count: u64) -> Result<Vec<Duration>> {
    let payload = Payload::default();
    let mut commits = Vec::with_capacity(count as usize);
    for transaction in 0..count {
        producer.begin_transaction()?;
        for record in 0..records {
            let number = transaction * records + record;
            let record = BaseRecord::<[u8], [u8]>::to(TOPIC)
                .partition((number % PARTITIONS as u64) as i32)
                .payload(payload.slice(number, SIZE));
            let sent = producer.send(record).map_err(|(error, _)| error);
            ensure!(sent.is_ok(), "a record was not taken: {sent:?}");
        }
        let started = Instant::now();
        // The client's own flush looks for delivered records each 100 ms only, when reports are taken as events.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        producer.commit_transaction(PATIENCE)?;
        commits.push(started.elapsed());
    }
    Ok(commits)
}
