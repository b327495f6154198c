//! What is in a topic, and how far a group has come in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, unique};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The value of record `i`, if `poison` names it and if not.
pub fn value(i: usize, poison: &[usize]) -> String {
    match poison.contains(&i) {
        true => format!("poison-{i}"),
        false => format!("record-{i}"),
    }
}

/// Makes `topic` and fills it with `count` records over its partitions in turn.
pub fn fill(
    broker: &Broker,
    topic: &str,
    partitions: i32,
    count: usize,
    codec: &str,
    poison: &[usize],
) {
    make(broker, topic, partitions);
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("compression.codec", codec)
        .set("linger.ms", "20")
        .create()
        .expect("the client's settings are right");
    for i in 0..count {
        let (key, value) = (i.to_string(), value(i, poison));
        producer
            .send(
                BaseRecord::to(topic)
                    .partition(i as i32 % partitions)
                    .key(&key)
                    .payload(&value),
            )
            .expect("the queue has room");
    }
    producer
        .flush(TIMEOUT)
        .expect("all records are acknowledged");
}

/// Makes `topic`.
pub fn make(broker: &Broker, topic: &str, partitions: i32) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .create()
        .expect("the client's settings are right");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(admin.create_topics([&new], &AdminOptions::new()))
        .expect("the broker answers")
        .remove(0)
        .expect("the topic is created");
}

/// Asks as no member of any group.
pub fn observer(broker: &Broker, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("client.id", "observer")
        .set("group.id", group)
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.max.ms", "200")
        .create()
        .expect("the client's settings are right")
}

/// By partition, the group's position and the log's end; `None` while the broker does not answer.
pub fn positions(observer: &BaseConsumer, topic: &str, partitions: i32) -> Option<Vec<(i64, i64)>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let committed = observer
        .committed_offsets(list, Duration::from_secs(5))
        .ok()?;
    (0..partitions)
        .map(|partition| {
            let at = committed.find_partition(topic, partition)?.offset();
            let (_, end) = observer
                .fetch_watermarks(topic, partition, Duration::from_secs(5))
                .ok()?;
            match at {
                Offset::Offset(offset) => Some((offset, end)),
                _ => Some((0, end)),
            }
        })
        .collect()
}

/// A record of a dead letter queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dead {
    pub value: String,
    pub partition: i32,
    pub headers: BTreeMap<String, String>,
}

/// All that is in a topic now, in the order of partitions and offsets; nothing if there is no such topic.
pub fn read_all(broker: &Broker, topic: &str) -> Vec<Dead> {
    let reader = observer(broker, &unique("reader"));
    let known = reader
        .fetch_metadata(None, TIMEOUT)
        .expect("the broker answers");
    let Some(partitions) = known
        .topics()
        .iter()
        .find(|known| known.name() == topic)
        .map(|known| known.partitions().len() as i32)
    else {
        return Vec::new();
    };
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a fair offset");
    }
    reader.assign(&list).expect("a fair assignment");
    let deadline = Instant::now() + TIMEOUT;
    let (mut found, mut ended) = (Vec::new(), 0);
    while ended < partitions {
        assert!(
            Instant::now() < deadline,
            "{topic} cannot be read to its end"
        );
        match reader.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{topic}: {error}"),
            Some(Ok(message)) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                found.push(Dead {
                    value: text(message.payload().unwrap_or_default()),
                    partition: message.partition(),
                    headers: message
                        .headers()
                        .map(|headers| {
                            headers
                                .iter()
                                .map(|h| (h.key.to_owned(), text(h.value.unwrap_or_default())))
                                .collect()
                        })
                        .unwrap_or_default(),
                });
            }
        }
    }
    found.sort();
    found
}
