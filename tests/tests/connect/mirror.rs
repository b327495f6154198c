//! MirrorMaker 2 brings the topics of one broker to another, with their settings and the positions of groups, over deaths of all.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ottla_tests::harness::connect::{complaints, program};
use ottla_tests::harness::{Broker, Process, Reader, Target, try_await, unique};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(90);
const PARTITIONS: i32 = 3;

/// `connect-mirror-maker` with one flow, from a to b, that looks for news every second.
struct MirrorMaker {
    dir: TempDir,
    running: Option<Process>,
}

impl MirrorMaker {
    fn start(a: &str, b: &str) -> MirrorMaker {
        let dir = tempfile::tempdir().unwrap();
        let properties = format!(
            "clusters=a,b\n\
             a.bootstrap.servers={a}\n\
             b.bootstrap.servers={b}\n\
             a->b.enabled=true\n\
             a->b.topics=orders\n\
             a->b.sync.group.offsets.enabled=true\n\
             a->b.offset.lag.max=0\n\
             b.exactly.once.source.support=enabled\n\
             dedicated.mode.enable.internal.rest=true\n\
             listeners=http://127.0.0.1:0\n\
             replication.factor=1\n\
             checkpoints.topic.replication.factor=1\n\
             heartbeats.topic.replication.factor=1\n\
             offset-syncs.topic.replication.factor=1\n\
             offset.storage.replication.factor=1\n\
             status.storage.replication.factor=1\n\
             config.storage.replication.factor=1\n\
             sync.group.offsets.interval.seconds=1\n\
             emit.checkpoints.interval.seconds=1\n\
             emit.heartbeats.interval.seconds=1\n\
             refresh.topics.interval.seconds=1\n\
             refresh.groups.interval.seconds=1\n\
             sync.topic.configs.interval.seconds=1\n\
             sync.topic.acls.interval.seconds=1\n\
             offset.flush.interval.ms=200\n\
             session.timeout.ms=6000\n\
             heartbeat.interval.ms=500\n\
             scheduled.rebalance.max.delay.ms=0\n\
             reconnect.backoff.max.ms=200\n"
        );
        fs::write(dir.path().join("mm2.properties"), properties).unwrap();
        let mut mirror = MirrorMaker { dir, running: None };
        mirror.restart();
        mirror
    }

    fn restart(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file());
        let log: File = log.unwrap();
        self.running = Some(Process::spawn(
            program("org.apache.kafka.connect.mirror.MirrorMaker")
                .arg(self.dir.path().join("mm2.properties"))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        ));
    }

    fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    #[track_caller]
    fn await_that<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        try_await(TIMEOUT, probe).unwrap_or_else(|last| {
            let complaints = complaints(&self.log());
            panic!("in vain: {what}; last: {last}\n{complaints:#?}")
        })
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    client(bootstrap).create().unwrap()
}

fn produce(bootstrap: &str, numbers: std::ops::Range<usize>) {
    let producer: BaseProducer = client(bootstrap)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for number in numbers {
        let (key, value) = (format!("key {}", number % 50), format!("value {number}"));
        let number = number.to_string();
        let header = Header {
            key: "number",
            value: Some(&number),
        };
        let record = BaseRecord::to("orders")
            .key(&key)
            .payload(&value)
            .headers(OwnedHeaders::new().insert(header));
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}

/// All of a record that a mirror must keep.
fn essence(record: &OwnedMessage) -> String {
    let headers = record.headers().map(|headers| {
        let all = headers.iter();
        all.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect::<Vec<_>>()
    });
    format!(
        "{} {:?} {:?} {:?} {headers:?}",
        record.partition(),
        record.timestamp(),
        record.key(),
        record.payload()
    )
}

/// By partition, each in its order.
fn essences(reader: &Reader) -> Vec<String> {
    let mut records: Vec<_> = reader.found.iter().collect();
    records.sort_by_key(|record| (record.partition(), record.offset()));
    records.into_iter().map(essence).collect()
}

/// A group reads all that is there and commits it.
fn read_and_commit(bootstrap: &str, group: &str, count: usize) {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["orders"]).unwrap();
    let started = Instant::now();
    let mut found = 0;
    while found < count {
        assert!(started.elapsed() < TIMEOUT, "{found} of {count}");
        // Nothing, too, when the group has rebalanced.
        let polled = consumer.poll(Duration::from_millis(100));
        found += usize::from(polled.is_some_and(|record| record.is_ok()));
    }
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
}

fn positions(bootstrap: &str, group: &str, topic: &str) -> Result<Vec<i64>, String> {
    let consumer: BaseConsumer = client(bootstrap).set("group.id", group).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, PARTITIONS - 1);
    let found = consumer
        .committed_offsets(asked, TIMEOUT)
        .map_err(|error| error.to_string())?;
    let offset = |partition: i32| match found.find_partition(topic, partition).unwrap().offset() {
        Offset::Offset(offset) => Ok(offset),
        other => Err(format!("{partition}: {other:?}")),
    };
    (0..PARTITIONS).map(offset).collect()
}

async fn retention(bootstrap: &str) -> Option<String> {
    let asked = [ResourceSpecifier::Topic("a.orders")];
    let found = admin(bootstrap)
        .describe_configs(&asked, &AdminOptions::new())
        .await
        .ok()?;
    let topic = found.into_iter().next()?.ok()?;
    topic.get("retention.ms")?.value.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_has_all_of_a_topic_once_whoever_dies() {
    let (a, mut b) = (Broker::start(), Broker::start());
    let new = NewTopic::new("orders", PARTITIONS, TopicReplication::Fixed(1))
        .set("retention.ms", "123456789");
    let made = admin(&a.bootstrap())
        .create_topics([&new], &AdminOptions::new())
        .await
        .unwrap();
    assert!(made[0].is_ok(), "{made:?}");
    produce(&a.bootstrap(), 0..100);
    let mut mirror = MirrorMaker::start(&a.bootstrap(), &b.bootstrap());
    mirror.await_that("the mirror's topic is there", || {
        let found = admin(&b.bootstrap())
            .inner()
            .fetch_metadata(Some("a.orders"), TIMEOUT);
        let found = found.map_err(|error| error.to_string())?;
        let there = found.topics()[0].partitions().len() == PARTITIONS as usize;
        there.then_some(()).ok_or("no".to_owned())
    });
    let mut copied = Reader::new(&b.bootstrap(), "a.orders");
    copied.until(|found| found.len() >= 100);
    mirror.kill();
    produce(&a.bootstrap(), 100..200);
    mirror.restart();
    copied.until(|found| found.len() >= 200);
    b.kill();
    b.restart();
    produce(&a.bootstrap(), 200..300);
    copied.until(|found| found.len() >= 300);
    let copied = Reader::all(&b.bootstrap(), "a.orders");
    assert_eq!(
        essences(&copied),
        essences(&Reader::all(&a.bootstrap(), "orders"))
    );
    assert_eq!(
        retention(&b.bootstrap()).await.as_deref(),
        Some("123456789")
    );

    // A group that moves over has read all that lies before its position there.
    let group = unique("billing");
    read_and_commit(&a.bootstrap(), &group, 300);
    let ends: Vec<i64> = (0..PARTITIONS)
        .map(|partition| {
            let records = copied
                .found
                .iter()
                .filter(|record| record.partition() == partition);
            records.map(|record| record.offset() + 1).max().unwrap()
        })
        .collect();
    let moved = mirror.await_that("the group is there", || {
        positions(&b.bootstrap(), &group, "a.orders")
    });
    for (position, end) in moved.iter().zip(&ends) {
        assert!(*position > 0 && position <= end, "{moved:?} of {ends:?}");
    }
}

/// A life in which nothing bad happens: the complaints of MirrorMaker.
fn live(target: Target) -> BTreeSet<String> {
    let (a, b) = (
        Broker::start_target(target, &[]),
        Broker::start_target(target, &[]),
    );
    produce(&a.bootstrap(), 0..10);
    let mirror = MirrorMaker::start(&a.bootstrap(), &b.bootstrap());
    mirror.await_that("heartbeats and records arrive", || {
        let found = admin(&b.bootstrap()).inner().fetch_metadata(None, TIMEOUT);
        let found = found.map_err(|error| error.to_string())?;
        let names: BTreeSet<_> = found
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned())
            .collect();
        let there = ["a.orders", "heartbeats", "a.checkpoints.internal"]
            .iter()
            .all(|name| names.contains(*name));
        there.then_some(()).ok_or(format!("{names:?}"))
    });
    Reader::new(&b.bootstrap(), "a.orders").until(|found| found.len() >= 10);
    complaints(&mirror.log())
}

#[test]
fn it_complains_of_nothing_that_it_does_not_complain_of_with_apache_kafka() {
    let kafka = std::thread::spawn(|| live(Target::Kafka));
    let ottla = live(Target::Ottla);
    let kafka = kafka.join().unwrap();
    let more: Vec<_> = ottla.difference(&kafka).collect();
    assert!(more.is_empty(), "{more:#?}");
}
