//! Compaction beside Apache Kafka's: its log cleaner and this one leave the same records of the same history.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Target, try_await, unique};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Both brokers must have compacted by then, on a busy machine.
const COMPACTED: Duration = Duration::from_secs(240);
/// 2024-01-01T00:00:00Z.
const T0: i64 = 1_704_067_200_000;
/// The key of records that fill segments and are none of the history.
const FILLER: &[u8] = b"filler";
/// Three of them fill the smallest segment that Kafka allows (KIP-1030).
const FILLER_BYTES: usize = 400_000;

type Row = (i64, Vec<u8>, Option<Vec<u8>>, i64);

/// One broker, and producers for it: the last two are transactional.
struct Side {
    broker: Broker,
    producers: Vec<BaseProducer>,
    topics: Vec<String>,
}

impl Side {
    fn start(target: Target) -> Side {
        let settings = [
            "log.cleaner.backoff.ms=50",
            "log.cleaner.dedupe.buffer.size=4194304",
            "transaction.partition.verification.enable=false",
        ];
        let broker = Broker::start_target(target, &settings);
        let producer = |codec: &str, transactional_id: Option<&str>| -> BaseProducer {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", broker.bootstrap())
                .set("enable.idempotence", "true")
                .set("compression.codec", codec)
                .set("linger.ms", "5");
            if let Some(id) = transactional_id {
                config.set("transactional.id", id);
            }
            config.create().expect("the client's settings are right")
        };
        let producers = vec![
            producer("none", None),
            producer("gzip", None),
            producer("zstd", Some("one")),
            producer("lz4", Some("two")),
        ];
        for producer in &producers[2..] {
            producer.init_transactions(TIMEOUT).expect("a transaction");
        }
        Side {
            broker,
            producers,
            topics: Vec::new(),
        }
    }

    async fn create(&mut self, delete_retention_ms: &str) {
        let topic = unique("compacted");
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap())
            .create()
            .expect("the client's settings are right");
        let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1))
            .set("cleanup.policy", "compact")
            .set("segment.bytes", "1048576")
            .set("min.cleanable.dirty.ratio", "0.01")
            .set("delete.retention.ms", delete_retention_ms);
        let created = admin.create_topics([&new], &AdminOptions::new()).await;
        created.expect("the broker answers")[0]
            .as_ref()
            .expect("a topic");
        self.topics.push(topic);
    }

    /// Writes to all topics, and waits until it is there.
    fn send(&self, producer: usize, key: &[u8], value: Option<&[u8]>, timestamp: i64) {
        let producer = &self.producers[producer];
        for topic in &self.topics {
            let record = BaseRecord::to(topic)
                .partition(0)
                .key(key)
                .timestamp(timestamp);
            let record = match value {
                Some(value) => record.payload(value),
                None => record,
            };
            producer.send(record).map_err(|(e, _)| e).expect("room");
        }
    }

    fn flush(&self, producer: usize) {
        self.producers[producer].flush(TIMEOUT).expect("written");
    }

    /// What a topic holds, fillers left out.
    fn rows(&self, topic: &str, isolation: &str) -> Vec<Row> {
        let consumer = self.consumer(isolation);
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(topic, 0, Offset::Beginning)
            .expect("an offset that can be");
        consumer.assign(&all).expect("the partition is there");
        let started = Instant::now();
        let mut rows = Vec::new();
        loop {
            assert!(
                started.elapsed() < TIMEOUT,
                "{topic} cannot be read to its end"
            );
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return rows,
                Some(Err(error)) => panic!("{topic}: {error}"),
                Some(Ok(message)) => {
                    let key = message.key().expect("all have keys").to_vec();
                    if key != FILLER {
                        rows.push((
                            message.offset(),
                            key,
                            message.payload().map(<[u8]>::to_vec),
                            message.timestamp().to_millis().expect("a timestamp"),
                        ));
                    }
                }
            }
        }
    }

    /// Waits until all topics end at `end`.
    fn await_end(&self, end: i64) {
        let consumer = self.consumer("read_uncommitted");
        let end_of = |topic: &String| {
            let watermarks = consumer.fetch_watermarks(topic, 0, TIMEOUT);
            watermarks.expect("the broker answers").1
        };
        let ends = || -> Result<(), Vec<i64>> {
            let ends: Vec<i64> = self.topics.iter().map(end_of).collect();
            match ends.iter().all(|e| *e == end) {
                true => Ok(()),
                false => Err(ends),
            }
        };
        if let Err(ends) = try_await(TIMEOUT, ends) {
            panic!("{:?} ends at {ends:?}, not {end}", self.broker.target());
        }
    }

    fn consumer(&self, isolation: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap())
            .set("group.id", unique("reader"))
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "50")
            .create()
            .expect("the client's settings are right")
    }
}

/// What was written, by offset; and which of it is committed.
#[derive(Default)]
struct History {
    end: i64,
    rows: Vec<Row>,
    /// Rows of an open transaction, by producer.
    open: BTreeMap<usize, Vec<Row>>,
}

impl History {
    /// The last committed record of each key.
    fn last_of_each(&self) -> Vec<Row> {
        let mut last = BTreeMap::new();
        let mut rows = self.rows.clone();
        rows.sort();
        for row in rows {
            last.insert(row.1.clone(), row);
        }
        let mut rows: Vec<Row> = last.into_values().collect();
        rows.sort();
        rows
    }
}

/// Writes the same to both: batches of several producers, transactions that are committed and aborted.
fn write_history(sides: &[Side], steps: usize, seed: u64) -> History {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut history = History::default();
    for step in 0..steps {
        let who = rng.random_range(0..4_usize);
        if history.open.contains_key(&who) && rng.random_bool(0.4) {
            end_transaction(sides, &mut history, who, rng.random_bool(0.5));
            continue;
        }
        if who >= 2 && !history.open.contains_key(&who) {
            history.open.insert(who, Vec::new());
            for side in sides {
                side.producers[who]
                    .begin_transaction()
                    .expect("none is open");
            }
        }
        for record in 0..rng.random_range(1..6) {
            let key = format!("key-{}", rng.random_range(0..25)).into_bytes();
            let value = format!("{step}/{record}").repeat(rng.random_range(1..30));
            let value = rng.random_bool(0.75).then(|| value.into_bytes());
            let timestamp = T0 + rng.random_range(0..1_000_000_i64);
            for side in sides {
                side.send(who, &key, value.as_deref(), timestamp);
            }
            let row = (history.end, key, value, timestamp);
            history.end += 1;
            match history.open.get_mut(&who) {
                Some(rows) => rows.push(row),
                None => history.rows.push(row),
            }
        }
        for side in sides {
            side.flush(who);
        }
    }
    for who in 2..4 {
        if history.open.contains_key(&who) {
            end_transaction(sides, &mut history, who, who == 2);
        }
    }
    history
}

fn end_transaction(sides: &[Side], history: &mut History, who: usize, commit: bool) {
    for side in sides {
        let producer = &side.producers[who];
        match commit {
            true => producer.commit_transaction(TIMEOUT),
            false => producer.abort_transaction(TIMEOUT),
        }
        .expect("the transaction ends");
    }
    // The marker. It comes after the answer; other producers' records must not overtake it on one side alone.
    history.end += 1;
    for side in sides {
        side.await_end(history.end);
    }
    let rows = history.open.remove(&who).expect("it was open");
    if commit {
        history.rows.extend(rows);
    }
}

#[tokio::test]
async fn the_same_history_is_compacted_to_the_same_records() {
    let mut sides = [Side::start(Target::Ottla), Side::start(Target::Kafka)];
    for side in &mut sides {
        for delete_retention_ms in ["100", "86400000"] {
            side.create(delete_retention_ms).await;
        }
    }
    let history = write_history(&sides, 150, 7);
    for side in &sides {
        side.await_end(history.end);
    }

    let with_tombstones = history.last_of_each();
    let mut without = with_tombstones.clone();
    without.retain(|(_, _, value, _)| value.is_some());
    assert!(without.len() < with_tombstones.len() && !without.is_empty());
    let expected = [without, with_tombstones];

    // Segments are closed by what follows; and what is due to go goes in passes that new records give reason for.
    let filler = vec![7; FILLER_BYTES];
    let started = Instant::now();
    loop {
        let mut differences = Vec::new();
        for side in &sides {
            for _ in 0..4 {
                side.send(0, FILLER, Some(&filler), T0);
                side.flush(0);
            }
            for (topic, expected) in side.topics.iter().zip(&expected) {
                for isolation in ["read_uncommitted", "read_committed"] {
                    let rows = side.rows(topic, isolation);
                    if rows != *expected {
                        let not_in = |row: &&Row, others: &[Row]| !others.contains(row);
                        let more: Vec<&Row> = rows.iter().filter(|r| not_in(r, expected)).collect();
                        let less: Vec<&Row> =
                            expected.iter().filter(|r| not_in(r, &rows)).collect();
                        differences.push(format!(
                            "{:?}, {isolation}: {} more, {} less: {:?} {:?}",
                            side.broker.target(),
                            more.len(),
                            less.len(),
                            more.first(),
                            less.first()
                        ));
                    }
                }
            }
        }
        if differences.is_empty() {
            return;
        }
        assert!(
            started.elapsed() < COMPACTED,
            "these still hold other records: {differences:#?}"
        );
    }
}
