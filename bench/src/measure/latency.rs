//! End to end at a fixed rate: from before the send to after the consumer's poll, in one process, so with one clock.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Sample, Scene, TOPIC, lower};
use crate::stats::percentile_ms;

const RATE: u32 = 1000;
/// Messages of a full run.
const COUNT: u64 = 15_000;
/// The first ones find cold caches, and a JVM that has not compiled yet.
const WARM_UP: u64 = 2_000;

/// Runs it once.
pub async fn run(scene: &Scene) -> Result<Vec<Sample>> {
    let server = scene.server(1).await?;
    let count = WARM_UP + scene.scaled(COUNT);
    let epoch = Instant::now();
    let (ready, begin) = std::sync::mpsc::channel();
    let address = server.address.clone();
    let reader = tokio::task::spawn_blocking(move || consume(&address, epoch, count, ready));
    let address = server.address.clone();
    let writer = tokio::task::spawn_blocking(move || {
        // An error means that the reader has failed: its own error says why.
        if begin.recv().is_ok() {
            return produce(&address, epoch, count);
        }
        Ok(())
    });
    writer.await??;
    let mut times = reader.await??;
    let mut times = times.split_off(WARM_UP as usize);
    Ok([("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)]
        .map(|(name, percent)| lower(name, "ms", percentile_ms(&mut times, percent)))
        .to_vec())
}

fn produce(address: &str, epoch: Instant, count: u64) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("acks", "all")
        .set("linger.ms", "0")
        .create()?;
    let started = Instant::now();
    for number in 0..count {
        let due = started + Duration::from_secs(1) / RATE * number as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut value = [b'.'; 100];
        let now = epoch.elapsed().as_nanos() as u64;
        value[..8].copy_from_slice(&now.to_be_bytes());
        let record = BaseRecord::<[u8], [u8]>::to(TOPIC).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

fn consume(
    address: &str,
    epoch: Instant,
    count: u64,
    ready: std::sync::mpsc::Sender<()>,
) -> Result<Vec<Duration>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "500")
        .create()?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&from)?;
    ready.send(()).context("the producer is gone")?;
    let mut times = Vec::with_capacity(count as usize);
    let mut quiet = 0;
    while times.len() < count as usize {
        match consumer.poll(Duration::from_secs(1)) {
            Some(message) => {
                let message = message?;
                let sent = message.payload().and_then(|value| value.first_chunk());
                let sent = Duration::from_nanos(u64::from_be_bytes(*sent.context("no time")?));
                times.push(epoch.elapsed().saturating_sub(sent));
                quiet = 0;
            }
            None if quiet == 30 => bail!("{} of {count} arrived", times.len()),
            None => quiet += 1,
        }
    }
    Ok(times)
}
