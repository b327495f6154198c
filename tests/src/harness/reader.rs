//! Everything that a topic holds, for tests that compare it with what went in.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use super::unique;

const TIMEOUT: Duration = Duration::from_secs(90);

/// Reads the committed records of all partitions of a topic from the beginning, over any number of the broker's deaths.
pub struct Reader {
    consumer: BaseConsumer,
    topic: String,
    partitions: usize,
    /// What was read, in the order of each partition.
    pub found: Vec<OwnedMessage>,
}

impl Reader {
    /// Panics when the topic is not there.
    pub fn new(bootstrap: &str, topic: &str) -> Reader {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", unique("reader"))
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            .set("reconnect.backoff.max.ms", "200")
            .set("fetch.wait.max.ms", "50")
            .create()
            .expect("the client's settings are right");
        let metadata = consumer
            .fetch_metadata(Some(topic), TIMEOUT)
            .expect("the broker answers");
        let partitions = metadata.topics()[0].partitions();
        assert!(!partitions.is_empty(), "there is no topic {topic}");
        let mut all = TopicPartitionList::new();
        for partition in partitions {
            all.add_partition_offset(topic, partition.id(), Offset::Beginning)
                .expect("an offset that can be");
        }
        consumer.assign(&all).expect("the partitions are there");
        Reader {
            consumer,
            topic: topic.to_owned(),
            partitions: partitions.len(),
            found: Vec::new(),
        }
    }

    /// Reads on until what was found is enough.
    #[track_caller]
    pub fn until(&mut self, enough: impl Fn(&[OwnedMessage]) -> bool) {
        let started = Instant::now();
        while !enough(&self.found) {
            assert!(
                started.elapsed() < TIMEOUT,
                "{} does not get what was awaited; {} records, the last: {:?}",
                self.topic,
                self.found.len(),
                self.found.last()
            );
            self.poll();
        }
    }

    /// All that is committed in a topic now.
    #[track_caller]
    pub fn all(bootstrap: &str, topic: &str) -> Reader {
        let started = Instant::now();
        let mut reader = Reader::new(bootstrap, topic);
        let mut ends = BTreeSet::new();
        while ends.len() < reader.partitions {
            assert!(
                started.elapsed() < TIMEOUT,
                "{topic} cannot be read to its end"
            );
            ends.extend(reader.poll());
        }
        reader
    }

    /// The values that were found, as text.
    pub fn values(&self) -> Vec<String> {
        let text = |message: &OwnedMessage| {
            let value = message.payload().unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        self.found.iter().map(text).collect()
    }

    /// The partition whose end was met.
    fn poll(&mut self) -> Option<i32> {
        match self.consumer.poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::PartitionEOF(partition))) => return Some(partition),
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
            )))
            | None => {}
            Some(Err(error)) => panic!("{}: {error}", self.topic),
            Some(Ok(message)) => self.found.push(message.detach()),
        }
        None
    }
}
