//! What is measured: each measurement starts a broker of its own, and is run once per round and target.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;

use crate::floor;
use crate::process::cpu_seconds;
use crate::target::{Programs, Server, Target};

pub mod closed_loop;
pub mod compaction;
pub mod connections;
pub mod fairness;
pub mod group;
pub mod latency;
pub mod librdkafka;
pub mod life;
pub mod members;
pub mod new_clients;
pub mod raw;
pub mod small_requests;
pub mod transactions;

/// The topic of every measurement.
pub const TOPIC: &str = "bench";
/// One part in so many of a load goes before it, unmeasured: a JVM has compiled what it needs by then, and caches are warm.
pub const WARM_UP_SHARE: u32 = 4;
/// How long a new topic may take to be usable.
const TOPIC_DEADLINE: Duration = Duration::from_secs(20);

/// One measured value.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// What it is, as in tables.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which direction is good.
    pub better: Better,
    /// The value.
    pub value: f64,
}

/// Which direction of a value is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// As MB/s.
    Higher,
    /// As CPU seconds.
    Lower,
}

/// A value of which less is better.
pub fn lower(metric: &'static str, unit: &'static str, value: f64) -> Sample {
    Sample {
        metric,
        unit,
        better: Better::Lower,
        value,
    }
}

/// A value of which more is better.
pub fn higher(metric: &'static str, unit: &'static str, value: f64) -> Sample {
    Sample {
        metric,
        unit,
        better: Better::Higher,
        value,
    }
}

/// What a measurement is given.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Where the programs are.
    pub programs: Programs,
    /// What is measured.
    pub target: Target,
    /// The floor that the load has.
    pub floor: Option<floor::Load>,
    /// 1 for a full run; a quick one does an eighth of the work.
    pub scale: f64,
}

impl Scene {
    /// A broker with the topic [`TOPIC`] in it, or what stands for one.
    pub async fn server(&self, partitions: i32) -> Result<Server> {
        let server = match self.target {
            Target::Floor(kind) => {
                let load = self.floor.context("this load has no floor")?;
                Server::start_floor(load, kind, &self.programs).await?
            }
            target => Server::start(target, &self.programs).await?,
        };
        create_topic(&server.address, partitions).await?;
        Ok(server)
    }

    /// `amount` for a full run, less for a quick one.
    pub fn scaled(&self, amount: u64) -> u64 {
        ((amount as f64 * self.scale) as u64).max(1)
    }

    /// As [`Scene::scaled`], for times.
    pub fn time(&self, full: Duration) -> Duration {
        full.mul_f64(self.scale)
    }
}

/// CPU seconds of a broker and wall time since a moment.
pub struct Meter {
    pid: u32,
    cpu: f64,
    started: Instant,
}

impl Meter {
    /// Starts counting.
    pub fn start(server: &Server) -> Result<Meter> {
        let pid = server.pid();
        Ok(Meter {
            pid,
            cpu: cpu_seconds(pid)?,
            started: Instant::now(),
        })
    }

    /// (wall seconds, CPU seconds) since the start.
    pub fn stop(&self) -> Result<(f64, f64)> {
        let wall = self.started.elapsed().as_secs_f64();
        Ok((wall, cpu_seconds(self.pid)? - self.cpu))
    }
}

/// A kind of measurement with its parameters.
#[derive(Debug, Clone, Copy)]
pub enum Measurement {
    /// Start, idle, stop.
    Life,
    /// The start by what an image runs.
    LifeAsImage,
    /// librdkafka writes, then reads.
    Librdkafka(librdkafka::Load),
    /// Prebuilt batches over connections of our own, written and read.
    Raw,
    /// End to end at a fixed rate.
    Latency,
    /// Many connections with one small durable produce in flight each, over this many partitions.
    Connections(i32),
    /// Requests without records.
    SmallRequests(small_requests::Asked),
    /// Light clients beside heavy ones.
    Fairness(fairness::Beside),
    /// A consumer group of three.
    Group,
    /// Clients that do one thing.
    NewClients,
    /// Transactions of so many records.
    Transactions(u64),
    /// A pass over a compacted topic.
    Compaction,
}

impl Measurement {
    /// Every measurement, by name.
    pub fn all() -> Vec<(String, Measurement)> {
        let mut all = vec![
            ("life".into(), Measurement::Life),
            ("image".into(), Measurement::LifeAsImage),
        ];
        all.extend(
            librdkafka::LOADS
                .iter()
                .map(|load| (load.name(), Measurement::Librdkafka(*load))),
        );
        all.push(("raw 0.9 MB batches".into(), Measurement::Raw));
        all.push(("latency at 1000/s".into(), Measurement::Latency));
        all.extend([1, 6, 50].map(|partitions| {
            let name = format!("50 connections, {partitions} partitions");
            (name, Measurement::Connections(partitions))
        }));
        all.extend(
            small_requests::Asked::ALL
                .map(|asked| (asked.name().into(), Measurement::SmallRequests(asked))),
        );
        all.extend(
            fairness::Beside::ALL
                .map(|beside| (beside.name().into(), Measurement::Fairness(beside))),
        );
        all.push(("group of 3".into(), Measurement::Group));
        all.push(("new clients".into(), Measurement::NewClients));
        all.extend(transactions::SIZES.map(|records| {
            let name = format!("transactions of {records}");
            (name, Measurement::Transactions(records))
        }));
        all.push(("compaction".into(), Measurement::Compaction));
        all
    }

    /// The raw programs that its load can be sent to as well.
    pub fn floor(self) -> Option<floor::Load> {
        match self {
            Measurement::Connections(_) => Some(floor::Load::Small),
            Measurement::Raw | Measurement::Librdkafka(_) => Some(floor::Load::Large),
            _ => None,
        }
    }

    /// Whether there is something to be measured on `target`.
    pub fn is_for(self, target: Target) -> bool {
        !matches!(target, Target::Floor(_)) || self.floor().is_some()
    }

    /// Runs it once.
    pub async fn run(self, scene: &Scene) -> Result<Vec<Sample>> {
        match self {
            Measurement::Life => life::run(scene).await,
            Measurement::LifeAsImage => life::run_as_image(scene).await,
            Measurement::Librdkafka(load) => librdkafka::run(scene, load).await,
            Measurement::Raw => raw::run(scene).await,
            Measurement::Latency => latency::run(scene).await,
            Measurement::Connections(partitions) => connections::run(scene, partitions).await,
            Measurement::SmallRequests(asked) => small_requests::run(scene, asked).await,
            Measurement::Fairness(beside) => fairness::run(scene, beside).await,
            Measurement::Group => group::run(scene).await,
            Measurement::NewClients => new_clients::run(scene).await,
            Measurement::Transactions(records) => transactions::run(scene, records).await,
            Measurement::Compaction => compaction::run(scene).await,
        }
    }
}

async fn create_topic(address: &str, partitions: i32) -> Result<()> {
    create_topic_with(address, TOPIC, partitions, Vec::new()).await
}

async fn create_topic_with(
    address: &str,
    name: &'static str,
    partitions: i32,
    settings: Vec<CreatableTopicConfig>,
) -> Result<()> {
    let mut connection = Connection::connect(address).await?;
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(settings);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    let answer = connection.call(5, &request).await?;
    let error = answer.topics.first().context("no topic in the answer")?;
    ensure!(error.error_code == 0, "the topic was not made: {error:?}");
    let started = Instant::now();
    // A new leader takes a moment before it serves.
    while end_offsets_of(&mut connection, name, partitions)
        .await
        .is_err()
    {
        ensure!(
            started.elapsed() < TOPIC_DEADLINE,
            "the topic is not usable"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The sum of the end offsets of the topic's partitions: how many records are kept.
pub async fn end_offsets(connection: &mut Connection, partitions: i32) -> Result<i64> {
    end_offsets_of(connection, TOPIC, partitions).await
}

async fn end_offsets_of(
    connection: &mut Connection,
    topic: &'static str,
    partitions: i32,
) -> Result<i64> {
    let partitions = (0..partitions)
        .map(|index| {
            ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_timestamp(-1)
        })
        .collect();
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(topic)))
        .with_partitions(partitions);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let answer = connection.call(1, &request).await?;
    let mut sum = 0;
    for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        ensure!(partition.error_code == 0, "no end offset: {partition:?}");
        sum += partition.offset;
    }
    Ok(sum)
}
