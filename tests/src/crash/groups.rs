//! A consumer group that goes on through every crash, and the positions that it was told are committed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::promises::Promise;
use super::records::{Log, PARTITIONS, parse};
use super::{Signals, TIMEOUT};

/// What a group's member saw and committed, by partition.
#[derive(Default)]
pub struct Progress {
    /// The last position whose commit the broker confirmed.
    committed: Mutex<BTreeMap<i32, i64>>,
    seen: Mutex<Log>,
}

impl Progress {
    /// The positions that are committed for certain.
    pub fn confirmed(&self) -> BTreeMap<i32, i64> {
        self.committed.lock().expect("no holder panics").clone()
    }

    /// What a consumer was shown has not been taken back.
    pub fn assert_still_there(&self, log: &Log) {
        for (place, record) in self.seen.lock().expect("no holder panics").iter() {
            Promise::Seen.hold(log.get(place) == Some(record), || {
                format!("{record:?} at {place:?}, where {:?} is", log.get(place))
            });
        }
    }
}

/// A patient member that comes back fast.
pub fn group_settings(bootstrap: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "500");
    config
}

/// Consumes in a group and commits often, through every crash.
pub fn consume(
    config: ClientConfig,
    topic: String,
    progress: Arc<Progress>,
    signals: Arc<Signals>,
) {
    let consumer: BaseConsumer = config.create().expect("the client's settings are right");
    consumer.subscribe(&[&topic]).expect("a fair topic name");
    let mut unconfirmed = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        // An error means that the broker is away; the client comes back by itself.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            let record = parse(message.payload().expect("no tombstones here"));
            let place = (message.partition(), message.offset());
            let before = progress
                .seen
                .lock()
                .expect("no holder panics")
                .insert(place, record);
            Promise::Seen.hold(before.is_none_or(|before| before == record), || {
                format!("{place:?} was {before:?} and is {record:?} now")
            });
            unconfirmed += 1;
        }
        if unconfirmed >= 200 {
            let position = consumer.position().expect("a position is known locally");
            let positions: Vec<(i32, i64)> = position
                .elements()
                .iter()
                .filter_map(|p| {
                    p.offset()
                        .to_raw()
                        .filter(|o| *o >= 0)
                        .map(|o| (p.partition(), o))
                })
                .collect();
            let mut list = TopicPartitionList::new();
            for (partition, offset) in &positions {
                list.add_partition_offset(&topic, *partition, Offset::Offset(*offset))
                    .expect("a fair offset");
            }
            if consumer.commit(&list, CommitMode::Sync).is_ok() {
                progress
                    .committed
                    .lock()
                    .expect("no holder panics")
                    .extend(positions);
                unconfirmed = 0;
            }
        }
    }
}

/// A group's committed positions.
pub fn committed(bootstrap: &str, topic: &str, group: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = group_settings(bootstrap, group)
        .create()
        .expect("the client's settings are right");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, PARTITIONS - 1);
    consumer
        .committed_offsets(list, TIMEOUT)
        .expect("offsets are answered after a restart")
        .elements()
        .iter()
        .filter_map(|p| {
            p.offset()
                .to_raw()
                .filter(|o| *o >= 0)
                .map(|o| (p.partition(), o))
        })
        .collect()
}
