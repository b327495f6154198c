//! A compacted topic that waits for its pass: how fast what its keys have left behind goes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, IncrementalAlterConfigsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::{Meter, Sample, Scene, create_topic_with, higher, lower};
use crate::pages::Stock;
use crate::payload::Payload;
use crate::target::Server;

/// The topic.
const COMPACTED: &str = "compacted";
/// As the setting. The last of them is not compacted.
const SEGMENT_BYTES: u64 = 32 << 20;
/// What a record takes beside its value at most, its place in a batch of few included.
const OVERHEAD: u64 = 128;
/// How long writing, and the pass, may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the size is asked for: finer than what is measured.
const POLL: Duration = Duration::from_millis(2);
/// Of a topic, and of a broker, in requests about settings.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;

/// Runs it once. The time is from the setting that makes the pass due to the size that only a compacted log has; Kafka's cleaner looks for
/// work ten times a second meanwhile, not each 15 s.
pub async fn run(scene: &Scene) -> Result<Vec<Sample>> {
    let server = Server::start(scene.target, &scene.programs).await?;
    let log = UncleanLog::write(scene, &server.address, BYTES).await?;
    let meter = Meter::start(&server)?;
    let compacted = log.compact().await?;
    let (wall, cpu) = meter.stop()?;
    Ok(vec![
        higher("compaction", "MB/s", compacted / 1e6 / wall),
        lower("compaction CPU", "s/GB", cpu / (compacted / 1e9)),
    ])
}

/// What a log is made of.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bytes of a value.
    pub value: usize,
    /// Written in turn.
    pub keys: u64,
    /// Values of a full run, megabytes.
    pub megabytes: u64,
}

/// That of the measurement: a pass is bound by the bytes.
const BYTES: Shape = Shape {
    value: 1024,
    keys: 10_000,
    megabytes: 1000,
};
/// A pass is bound by looking at each record, and takes its time.
pub const RECORDS: Shape = Shape {
    value: 50,
    keys: 10_000,
    megabytes: 200,
};

impl Shape {
    fn clean_bytes(self) -> u64 {
        self.keys * (self.value as u64 + OVERHEAD) + SEGMENT_BYTES
    }
}

/// A topic that has much to compact and is not compacted yet.
pub struct UncleanLog {
    connection: Connection,
    shape: Shape,
    bytes: u64,
}

impl UncleanLog {
    /// Makes it.
    pub async fn write(scene: &Scene, address: &str, shape: Shape) -> Result<UncleanLog> {
        let settings = [
            ("cleanup.policy", "compact".to_owned()),
            ("segment.bytes", SEGMENT_BYTES.to_string()),
            // A share that is never passed.
            ("min.cleanable.dirty.ratio", "1.0".to_owned()),
        ];
        let settings = settings.map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
        });
        create_topic_with(address, COMPACTED, 1, settings.to_vec()).await?;
        let count = scene.scaled(shape.megabytes * 1_000_000 / shape.value as u64);
        let stock = Stock::of(
            count * (shape.value as u64 + OVERHEAD),
            &scene.programs.scratch,
        )?;
        let bootstrap = address.to_owned();
        tokio::task::spawn_blocking(move || produce(&bootstrap, shape, count)).await??;
        drop(stock);
        let mut connection = Connection::connect(address).await?;
        alter(
            &mut connection,
            BROKER_RESOURCE,
            "",
            "log.cleaner.backoff.ms",
            "100",
        )
        .await?;
        let bytes = size(&mut connection).await?;
        ensure!(
            bytes > 2 * shape.clean_bytes(),
            "only {bytes} bytes were written"
        );
        Ok(UncleanLog {
            connection,
            shape,
            bytes,
        })
    }

    /// Lets it be compacted; returns when it is, with the bytes that were looked at.
    pub async fn compact(mut self) -> Result<f64> {
        alter(
            &mut self.connection,
            TOPIC_RESOURCE,
            COMPACTED,
            "min.cleanable.dirty.ratio",
            "0.01",
        )
        .await?;
        let started = Instant::now();
        while size(&mut self.connection).await? > self.shape.clean_bytes() {
            ensure!(
                started.elapsed() < PATIENCE,
                "nothing was compacted in {PATIENCE:?}"
            );
            tokio::time::sleep(POLL).await;
        }
        Ok((self.bytes - SEGMENT_BYTES) as f64)
    }
}

async fn alter(
    connection: &mut Connection,
    resource: i8,
    of: &'static str,
    name: &'static str,
    value: &'static str,
) -> Result<()> {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(StrBytes::from_static_str(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource)
        .with_resource_name(StrBytes::from_static_str(of))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(1, &request).await?;
    let refused = answer.responses.iter().find(|r| r.error_code != 0);
    ensure!(refused.is_none(), "{name} was not changed: {refused:?}");
    Ok(())
}

/// Bytes of the partition's segments.
async fn size(connection: &mut Connection) -> Result<u64> {
    let topic = DescribableLogDirTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str(COMPACTED)))
        .with_partitions(vec![0]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![topic]));
    let answer = connection.call(1, &request).await?;
    let mut topics = answer.results.iter().flat_map(|dir| &dir.topics);
    let partition = topics.next().and_then(|topic| topic.partitions.first());
    Ok(partition
        .context("no partition in the answer")?
        .partition_size as u64)
}

fn produce(address: &str, shape: Shape, count: u64) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let payload = Payload::default();
    for number in 0..count {
        let key = (number % shape.keys).to_be_bytes();
        let mut record = BaseRecord::to(COMPACTED)
            .partition(0)
            .key(&key)
            .payload(payload.slice(number, shape.value));
        while let Err((error, back)) = producer.send(record) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            ensure!(full, "a record was not taken: {error}");
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}
