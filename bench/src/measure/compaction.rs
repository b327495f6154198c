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
use crate::pages;
use crate::payload::Payload;
use crate::target::Server;

/// The topic.
const COMPACTED: &str = "compacted";
/// Bytes of a value.
const SIZE: usize = 1024;
/// Keys, written in turn.
const KEYS: u64 = 10_000;
/// Payload of a full run, megabytes.
const MEGABYTES: u64 = 1000;
/// As the setting. The last of them is not compacted.
const SEGMENT_BYTES: u64 = 32 << 20;
/// What a record takes at most, its place in a batch of few included.
const RECORD_BYTES: u64 = SIZE as u64 + 128;
/// What a compacted log has at most.
const CLEAN_BYTES: u64 = KEYS * RECORD_BYTES + SEGMENT_BYTES;
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
    let log = UncleanLog::write(scene, &server.address).await?;
    let meter = Meter::start(&server)?;
    let compacted = log.compact().await?;
    let (wall, cpu) = meter.stop()?;
    Ok(vec![
        higher("compaction", "MB/s", compacted / 1e6 / wall),
        lower("compaction CPU", "s/GB", cpu / (compacted / 1e9)),
    ])
}

/// A topic that has much to compact and is not compacted yet.
pub struct UncleanLog {
    connection: Connection,
    bytes: u64,
}

impl UncleanLog {
    /// Makes it.
    pub async fn write(scene: &Scene, address: &str) -> Result<UncleanLog> {
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
        let count = scene.scaled(MEGABYTES * 1_000_000 / SIZE as u64);
        pages::touch(&scene.programs.scratch, count * RECORD_BYTES)?;
        let bootstrap = address.to_owned();
        tokio::task::spawn_blocking(move || produce(&bootstrap, count)).await??;
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
        ensure!(bytes > 2 * CLEAN_BYTES, "only {bytes} bytes were written");
        Ok(UncleanLog { connection, bytes })
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
        while size(&mut self.connection).await? > CLEAN_BYTES {
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

fn produce(address: &str, count: u64) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let payload = Payload::default();
    for number in 0..count {
        let key = (number % KEYS).to_be_bytes();
        let mut record = BaseRecord::to(COMPACTED)
            .partition(0)
            .key(&key)
            .payload(payload.slice(number, SIZE));
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
