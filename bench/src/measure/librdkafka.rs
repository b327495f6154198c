//! librdkafka as the load: produce a fixed amount, then consume it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::{Meter, Sample, Scene, TOPIC, WARM_UP_SHARE, higher, lower};
use crate::batches::{Received, Topic};
use crate::pages::Stock;
use crate::payload::Payload;
use crate::process::{disk_bytes, resident_bytes};
use crate::target::Target;

/// A shape of load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Bytes of a value.
    pub size: usize,
    /// Partitions, filled in turn.
    pub partitions: i32,
    /// As the setting.
    pub acks: &'static str,
    /// As the setting.
    pub compression: &'static str,
    /// Payload of a full run, megabytes.
    pub megabytes: u64,
}

const fn load(
    size: usize,
    partitions: i32,
    acks: &'static str,
    compression: &'static str,
    megabytes: u64,
) -> Load {
    Load {
        size,
        partitions,
        acks,
        compression,
        megabytes,
    }
}

/// The loads of a run.
pub const LOADS: &[Load] = &[
    load(100, 1, "all", "none", 400),
    load(100, 6, "all", "none", 400),
    load(1024, 1, "all", "none", 1000),
    load(1024, 1, "1", "none", 1000),
    load(1024, 6, "all", "none", 1000),
    load(10_240, 1, "all", "none", 1500),
    load(10_240, 6, "all", "none", 1500),
    load(1024, 1, "all", "lz4", 600),
];

/// What the producer may hold; as the setting, in bytes.
const CLIENT_QUEUE_BYTES: u64 = 262_144 << 10;
/// Messages that the producer is given, and the consumer asked for, at a time.
const BATCH: u64 = 256;
/// How long one direction of a load may take.
const DEADLINE: Duration = Duration::from_secs(300);

impl Load {
    /// As in tables.
    pub fn name(&self) -> String {
        let compression = match self.compression {
            "none" => "",
            _ => " lz4",
        };
        format!(
            "{} B, {} partitions, acks={}{compression}",
            self.size, self.partitions, self.acks
        )
    }
}

/// Runs it once.
pub async fn run(scene: &Scene, load: Load) -> Result<Vec<Sample>> {
    let server = scene.server(load.partitions).await?;
    let count = scene.scaled(load.megabytes * 1_000_000 / load.size as u64);
    let gigabytes = count as f64 * load.size as f64 / 1e9;
    let millions = count as f64 / 1e6;

    let warm_up = (count / u64::from(WARM_UP_SHARE)).max(1);
    let producing = |count: u64| {
        let address = server.address.clone();
        tokio::task::spawn_blocking(move || produce(&address, load, count))
    };
    let consuming = |count: u64| {
        let address = server.address.clone();
        tokio::task::spawn_blocking(move || consume(&address, load, count))
    };
    let payload = (count + warm_up) as f64 * load.size as f64;
    let stock = Stock::of(payload as u64 + CLIENT_QUEUE_BYTES, &scene.programs.scratch)?;
    producing(warm_up).await??;
    let meter = Meter::start(&server)?;
    producing(count).await??;
    let (wall, cpu) = meter.stop()?;
    drop(stock);
    let mut samples = vec![
        higher("produce", "MB/s", gigabytes * 1e3 / wall),
        lower("produce CPU", "s/GB", cpu / gigabytes),
        lower("produce CPU", "s per million", cpu / millions),
    ];
    if matches!(scene.target, Target::Floor(_)) {
        // It has no offsets for consumers.
        return Ok(samples);
    }
    let resident = resident_bytes(server.pid())?;
    let disk = disk_bytes(&server.data_dir());
    samples.extend([
        lower("resident, loaded", "MB", resident as f64 / 1e6),
        lower("disk", "bytes per payload byte", disk as f64 / payload),
    ]);

    consuming(warm_up).await??;
    let meter = Meter::start(&server)?;
    consuming(count).await??;
    let (wall, cpu) = meter.stop()?;
    samples.extend([
        higher("consume", "MB/s", gigabytes * 1e3 / wall),
        lower("consume CPU", "s/GB", cpu / gigabytes),
        lower("consume CPU", "s per million", cpu / millions),
    ]);
    Ok(samples)
}

/// Counts what was delivered and what was not.
#[derive(Default)]
struct Deliveries {
    done: AtomicU64,
    failed: AtomicU64,
}

struct Count(Arc<Deliveries>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = match result {
            Ok(_) => &self.0.done,
            Err(_) => &self.0.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn produce(address: &str, load: Load, count: u64) -> Result<()> {
    let deliveries = Arc::new(Deliveries::default());
    let producer: BaseProducer<Count> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("acks", load.acks)
        .set("compression.type", load.compression)
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .set(
            "queue.buffering.max.kbytes",
            (CLIENT_QUEUE_BYTES >> 10).to_string(),
        )
        .create_with_context(Count(deliveries.clone()))?;
    let payload = Payload::default();
    let mut topic = Topic::of(&producer, TOPIC)?;
    let batches = (0..count).step_by(BATCH as usize);
    for (batch, partition) in batches.zip((0..load.partitions).cycle()) {
        let mut next = batch;
        let end = count.min(batch + BATCH);
        loop {
            let values = (next..end).map(|number| payload.slice(number, load.size));
            next += topic.send(partition, values)? as u64;
            if next == end {
                break;
            }
            producer.poll(Duration::from_millis(1));
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(DEADLINE)?;
    let failed = deliveries.failed.load(Ordering::Relaxed);
    let done = deliveries.done.load(Ordering::Relaxed);
    ensure!(
        failed == 0 && done == count,
        "{done} of {count} were delivered, {failed} failed"
    );
    Ok(())
}

fn consume(address: &str, load: Load, count: u64) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        // A full queue of the client would otherwise hold fetches back for a second each time, whichever the broker is.
        .set("queued.min.messages", "1000000")
        .set("fetch.queue.backoff.ms", "1")
        .create()?;
    let mut from = TopicPartitionList::new();
    for partition in 0..load.partitions {
        from.add_partition_offset(TOPIC, partition, Offset::Beginning)?;
    }
    consumer.assign(&from)?;
    let started = Instant::now();
    let mut seen = 0;
    let mut received = Received::of(&consumer, BATCH as usize);
    while seen < count {
        ensure!(
            started.elapsed() < DEADLINE,
            "{seen} of {count} in {DEADLINE:?}"
        );
        received.next(Duration::from_secs(1), |value| {
            ensure!(value.len() == load.size, "a value of {} bytes", value.len());
            seen += 1;
            Ok(())
        })?;
    }
    Ok(())
}
