//! Compacted topics, written and read by real clients: what is left, and that nobody who works meanwhile notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Finished, kafka_tool, python, run, unique};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Small segments, and no waiting for a share of dirt.
const SMALL: [(&str, &str); 2] = [
    ("segment.bytes", "4000"),
    ("min.cleanable.dirty.ratio", "0.01"),
];

/// Offset, key and value.
type Seen = Vec<(i64, String, Option<String>)>;

fn broker() -> Broker {
    // Kafka, if these tests are run against it, would look every 15 s.
    Broker::start_with(&["log.cleaner.backoff.ms=50"])
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap())
        .set("reconnect.backoff.max.ms", "200");
    config
}

/// A topic of one partition with [`SMALL`] and `settings`.
fn create(broker: &Broker, settings: &[(&str, &str)]) -> String {
    let admin: AdminClient<DefaultClientContext> =
        config(broker).create().expect("the settings are right");
    let topic = unique("compacted");
    let mut new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let policy = [("cleanup.policy", "compact")];
    for (name, value) in policy.iter().chain(&SMALL).chain(settings) {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let made = runtime.block_on(admin.create_topics([&new], &options));
    made.expect("the broker answers")[0]
        .as_ref()
        .expect("the topic is made");
    topic
}

fn producer(broker: &Broker) -> BaseProducer {
    config(broker)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("batch.num.messages", "10")
        .create()
        .expect("the settings are right")
}

fn send(producer: &BaseProducer, topic: &str, key: &str, value: Option<&str>) {
    loop {
        let mut record = BaseRecord::<str, [u8]>::to(topic).partition(0).key(key);
        if let Some(value) = value {
            record = record.payload(value.to_bytes());
        }
        match producer.send(record) {
            Ok(()) => break,
            // The queue is full.
            Err(_) => producer.poll(Duration::from_millis(10)),
        };
    }
}

fn flush(producer: &BaseProducer) {
    producer.flush(TIMEOUT).expect("all is acknowledged");
}

/// `rounds` values for each of `keys` keys, numbered from `first` on.
fn churn(broker: &Broker, topic: &str, keys: usize, first: usize, rounds: usize) {
    let producer = producer(broker);
    for round in first..first + rounds {
        for key in 0..keys {
            let value = format!("{round}:{}", "x".repeat(80));
            send(&producer, topic, &format!("k{key}"), Some(&value));
        }
    }
    flush(&producer);
}

fn consumer(broker: &Broker, topic: &str, from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = config(broker)
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("the settings are right");
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(topic, 0, from)
        .expect("an offset can be set");
    consumer.assign(&at).expect("a partition can be assigned");
    consumer
}

/// The next record; `None` at the end of the partition.
fn next(consumer: &BaseConsumer) -> Option<(i64, String, Option<String>)> {
    match consumer.poll(TIMEOUT).expect("the broker answers") {
        Ok(message) => {
            let text = |b: &[u8]| String::from_utf8(b.to_vec()).expect("all is text");
            let key = message.key().map(text).expect("all records have a key");
            Some((message.offset(), key, message.payload().map(text)))
        }
        Err(rdkafka::error::KafkaError::PartitionEOF(_)) => None,
        Err(error) => panic!("the consumer: {error}"),
    }
}

/// Reads committed records from the front to the end.
fn read(broker: &Broker, topic: &str) -> Seen {
    let consumer = consumer(broker, topic, Offset::Beginning);
    std::iter::from_fn(|| next(&consumer)).collect()
}

fn last_values(seen: &Seen) -> BTreeMap<String, String> {
    let mut last = BTreeMap::new();
    for (_, key, value) in seen {
        match value {
            Some(value) => last.insert(key.clone(), value.clone()),
            None => last.remove(key),
        };
    }
    last
}

/// Reads again and again until `done`.
fn read_until(broker: &Broker, topic: &str, done: impl Fn(&Seen) -> bool) -> Seen {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let seen = read(broker, topic);
        assert!(seen.is_sorted(), "offsets grow: {seen:?}");
        if done(&seen) {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "not compacted: {} records",
            seen.len()
        );
    }
}

fn tool(broker: &Broker, name: &str, args: &[&str]) -> Finished {
    let server = broker.bootstrap();
    let mut all = vec!["--bootstrap-server", &server];
    all.extend(args);
    kafka_tool(name, &all, b"")
}

fn compacted_py(broker: &Broker, client: &str, action: &str, topic: &str, input: &str) -> String {
    let mut command = python("compacted.py");
    command.args([client, action, &broker.bootstrap(), topic]);
    run(&mut command, input.as_bytes(), TIMEOUT)
        .success()
        .to_owned()
}

fn parse(lines: &str) -> Seen {
    let all = lines.lines().map(serde_json::from_str);
    all.map(|line| line.expect("a line of JSON")).collect()
}

/// `Offset:7\tkey\tvalue`.
fn java_line(line: &str) -> Option<(i64, String, Option<String>)> {
    let mut parts = line.strip_prefix("Offset:")?.split('\t');
    let offset = parts.next()?.parse().ok()?;
    let (key, value) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some((offset, key, Some(value)))
}

#[test]
fn what_clients_of_all_kinds_write_all_of_them_read_compacted() {
    let broker = broker();
    // More than a batch of any of them.
    let topic = create(&broker, &[("segment.bytes", "20000")]);
    churn(&broker, &topic, 10, 0, 60);
    let lines = |from: usize| -> Seen {
        (0..300)
            .map(|n| {
                (
                    0,
                    format!("k{}", n % 15),
                    Some(format!("{}:{}", from + n, "y".repeat(60))),
                )
            })
            .collect()
    };
    let json = |seen: &Seen| -> String {
        seen.iter()
            .map(|r| serde_json::to_string(r).expect("text is JSON") + "\n")
            .collect()
    };
    compacted_py(&broker, "aiokafka", "write", &topic, &json(&lines(1000)));
    compacted_py(&broker, "confluent", "write", &topic, &json(&lines(2000)));
    let text: String = lines(3000)
        .iter()
        .map(|(_, key, value)| format!("{key}={}\n", value.as_deref().unwrap_or_default()))
        .collect();
    let server = broker.bootstrap();
    let args = [
        "--bootstrap-server",
        &server,
        "--topic",
        &topic,
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "key.separator==",
    ];
    kafka_tool("console-producer", &args, text.as_bytes()).success();
    churn(&broker, &topic, 10, 4000, 60);

    let total = 600 + 900 + 600;
    let seen = read_until(&broker, &topic, |seen| seen.len() < 600);
    let last = last_values(&seen);
    assert_eq!(last.len(), 15);
    assert!(last["k3"].starts_with("4059:"), "{last:?}");
    assert!(last["k14"].starts_with("3299:"), "{last:?}");
    assert_eq!(seen.last().map(|r| r.0), Some(total - 1));
    // Another pass may come while the others read: then they see less, and never less than there is after that.
    let aiokafka = parse(&compacted_py(&broker, "aiokafka", "read", &topic, ""));
    let confluent = parse(&compacted_py(&broker, "confluent", "read", &topic, ""));
    let args = [
        "--topic",
        &topic,
        "--from-beginning",
        "--timeout-ms",
        "10000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.offset=true",
    ];
    let said = tool(&broker, "console-consumer", &args);
    let java: Seen = said.stdout.lines().filter_map(java_line).collect();
    let after = read(&broker, &topic);
    for (client, read) in [
        ("aiokafka", aiokafka),
        ("confluent", confluent),
        ("java", java),
    ] {
        assert!(read.is_sorted(), "{client}: {read:?}");
        assert!(after.iter().all(|r| read.contains(r)), "{client}: {read:?}");
        assert!(read.iter().all(|r| seen.contains(r)), "{client}: {read:?}");
    }

    for (time, offset) in [("earliest", 0), ("latest", total)] {
        let said = tool(&broker, "get-offsets", &["--topic", &topic, "--time", time]);
        assert_eq!(said.success().trim(), format!("{topic}:0:{offset}"));
    }
}

#[test]
fn a_consumer_in_the_middle_goes_on() {
    let broker = broker();
    let topic = create(&broker, &[("min.cleanable.dirty.ratio", "1.0")]);
    churn(&broker, &topic, 20, 0, 100);
    // In the middle of what goes away.
    let consumers: Vec<BaseConsumer> = [1, 333, 1000]
        .map(|offset| consumer(&broker, &topic, Offset::Offset(offset)))
        .into();
    let firsts: Vec<i64> = consumers
        .iter()
        .map(|c| next(c).expect("there are more").0)
        .collect();
    assert_eq!(firsts, [1, 333, 1000]);
    let args = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        &topic,
        "--add-config",
        "min.cleanable.dirty.ratio=0.01",
    ];
    tool(&broker, "configs", &args).success();
    let left = read_until(&broker, &topic, |seen| seen.len() < 100);
    for (consumer, first) in consumers.iter().zip(firsts) {
        let rest: Seen = std::iter::from_fn(|| next(consumer)).collect();
        assert!(rest.is_sorted() && rest[0].0 > first);
        // What it had fetched already may be gone by now; what is left it has seen, all of it.
        let expected: Seen = left.iter().filter(|r| r.0 > first).cloned().collect();
        assert!(expected.iter().all(|r| rest.contains(r)), "from {first}");
    }
    // One that comes back to an offset that is gone gets the next.
    let again = consumer(&broker, &topic, Offset::Offset(7));
    assert_eq!(next(&again).as_ref(), left.first());
}

#[test]
fn of_transactions_the_committed_values_stay_and_tombstones_go_in_time() {
    let broker = broker();
    let topic = create(&broker, &[("delete.retention.ms", "200")]);
    let producer: BaseProducer = config(&broker)
        .set("transactional.id", unique("tx"))
        .create()
        .expect("the settings are right");
    producer.init_transactions(TIMEOUT).expect("it is alone");
    for round in 0..40 {
        producer.begin_transaction().expect("none is open");
        for key in 0..5 {
            let value = format!("{round}:{}", "t".repeat(50));
            send(&producer, &topic, &format!("tx{key}"), Some(&value));
        }
        send(
            &producer,
            &topic,
            &format!("only{round}"),
            Some("soon gone"),
        );
        // What was delivered is told where it is asked for.
        flush(&producer);
        if round % 2 == 0 {
            producer.commit_transaction(TIMEOUT).expect("it can be");
        } else {
            producer.abort_transaction(TIMEOUT).expect("it can be");
        }
    }
    let plain = self::producer(&broker);
    for round in 0..40 {
        send(&plain, &topic, &format!("only{round}"), None);
    }
    flush(&plain);
    // Passes come with new segments: something is written until all tombstones have had their time.
    let seen = read_until(&broker, &topic, |seen| {
        churn(&broker, &topic, 10, 0, 10);
        seen.iter().all(|r| r.2.is_some()) && seen.len() < 250
    });
    let last = last_values(&seen);
    for key in 0..5 {
        let value = &last[&format!("tx{key}")];
        assert!(value.starts_with("38:"), "{key}: {value}");
    }
    assert!(!last.keys().any(|k| k.starts_with("only")), "{last:?}");
}

#[test]
fn records_are_deleted_by_hand_where_the_policy_says_delete_too() {
    let broker = broker();
    let delete = |topic: &str| {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let wanted = format!(
            r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":150}}],"version":1}}"#
        );
        std::fs::write(file.path(), wanted).expect("it can be written");
        let path = file.path().display().to_string();
        tool(&broker, "delete-records", &["--offset-json-file", &path])
    };
    let topic = create(&broker, &[]);
    churn(&broker, &topic, 4, 0, 60);
    let said = delete(&topic);
    let said = format!("{}{}", said.stdout, said.stderr);
    assert!(said.contains("PolicyViolation"), "{said}");
    let both = create(&broker, &[("cleanup.policy", "compact,delete")]);
    churn(&broker, &both, 4, 0, 60);
    delete(&both).success();
    let seen = read_until(&broker, &both, |seen| seen.len() < 60);
    assert!(seen[0].0 >= 150, "{seen:?}");
    assert_eq!(last_values(&seen).len(), 4);
    let said = tool(
        &broker,
        "get-offsets",
        &["--topic", &both, "--time", "earliest"],
    );
    assert_eq!(said.success().trim(), format!("{both}:0:150"));
}

#[test]
fn whoever_produces_and_consumes_meanwhile_loses_nothing() {
    let broker = broker();
    let topic = create(&broker, &[("segment.bytes", "20000")]);
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (done, consumer) = (done.clone(), consumer(&broker, &topic, Offset::Beginning));
        thread::spawn(move || {
            let (mut last, mut offset, mut count) = (BTreeMap::new(), -1, 0);
            loop {
                match next(&consumer) {
                    Some((at, key, value)) => {
                        assert!(at > offset, "{at} after {offset}");
                        offset = at;
                        count += 1;
                        let value = value.expect("there are no tombstones");
                        let number: usize = value
                            .split(':')
                            .next()
                            .and_then(|n| n.parse().ok())
                            .expect("a number");
                        let before = last.insert(key, number);
                        assert!(before.is_none_or(|b| b < number), "{before:?}, {number}");
                    }
                    None if done.load(Ordering::SeqCst) => return (last, offset, count),
                    None => {}
                }
            }
        })
    };
    // Some thousand segments' worth.
    for part in 0..20 {
        churn(&broker, &topic, 50, part * 60, 60);
    }
    done.store(true, Ordering::SeqCst);
    // Its end may have been told before: one more record ends it.
    churn(&broker, &topic, 1, 20 * 60, 1);
    let (last, offset, count) = reader.join().expect("the consumer saw no error");
    assert!(offset >= 50 * 20 * 60 - 1, "{offset}");
    assert_eq!(last.len(), 50);
    assert!(last.values().all(|n| *n >= 20 * 60 - 1), "{last:?}");
    assert!(count > 50);
    let left = read_until(&broker, &topic, |seen| seen.len() < 1000);
    let values = last_values(&left);
    assert_eq!(values.len(), 50);
    assert!(values["k7"].starts_with("1199:"), "{values:?}");
}
