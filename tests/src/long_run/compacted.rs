//! A compacted topic, read as a whole again and again: the last record of each key is there, and no tombstone is passed over.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ottla_bench::payload::Payload;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::shared::{Shared, add};
use super::streams::{Stream, TIMEOUT, Told, parse};

const EVERY: Duration = Duration::from_secs(15);

/// Reads the topic every quarter of a minute until the end of the load, and once more.
pub fn check(shared: &Arc<Shared>, stream: Stream, told: &Told) {
    let payload = Payload::default();
    loop {
        let last_time = !shared.goes_on();
        let started = Instant::now();
        look(shared, &stream, told, &payload);
        add(&shared.counts.compacted_reads, 1);
        if last_time {
            return;
        }
        while shared.goes_on() && started.elapsed() < EVERY {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn look(shared: &Shared, stream: &Stream, told: &Told, payload: &Payload) {
    for partition in 0..stream.partitions {
        // Before the look, so that all of it must be found.
        let last = told.last(stream.topic, partition);
        let once = || -> Option<Vec<String>> {
            let found = read(shared, stream, payload, partition, last)?;
            Some(wrong(stream, &found, last))
        };
        // A key may be set anew, and compacted, between the look at the end and the look at the key: then another look finds it.
        let wrong = once()
            .filter(|wrong| !wrong.is_empty())
            .and_then(|_| once());
        for wrong in wrong.unwrap_or_default() {
            shared.fail(format!("{}-{partition}: {wrong}", stream.topic));
        }
    }
}

/// Keys that are not as the last record up to `last` left them, or a later one.
fn wrong(stream: &Stream, found: &HashMap<u64, u64>, last: i64) -> Vec<String> {
    let keys = stream.keys.expect("a stream with keys");
    let first = (last + 1 - keys as i64).max(0);
    (first..=last)
        .filter_map(|number| {
            let number = number as u64;
            let key = stream.key(number).expect("a stream with keys");
            let kept = match found.get(&key) {
                Some(offset) => *offset >= number,
                None => stream.is_tombstone(number),
            };
            let is = found.get(&key);
            (!kept).then(|| format!("key {key} was set by {number}, and is as {is:?} left it"))
        })
        .collect()
}

/// The last offset of each key, up to the end of the log at the time when `last` was passed: what takes a record's place is behind it.
/// `None` if the broker was away for too long.
fn read(
    shared: &Shared,
    stream: &Stream,
    payload: &Payload,
    partition: i32,
    last: i64,
) -> Option<HashMap<u64, u64>> {
    let consumer: BaseConsumer = shared
        .client()
        .set("client.id", "reader of all")
        .set("group.id", "reader-of-all")
        .set("enable.auto.commit", "false")
        .create()
        .expect("the client's settings are right");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(stream.topic, partition, Offset::Beginning)
        .expect("a fair offset");
    consumer.assign(&list).expect("a fair assignment");
    let (mut found, mut next, mut end) = (HashMap::new(), 0, None);
    let deadline = Instant::now() + TIMEOUT;
    loop {
        // An error means that the broker is away; the client comes back by itself.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let offset = message.offset();
            let key = message.key().map(String::from_utf8_lossy);
            let key = key.and_then(|key| key.parse().ok());
            let sound = match message.payload() {
                None => stream.is_tombstone(offset as u64),
                Some(value) => parse(stream, payload, value).is_ok_and(|(n, _)| n == offset as u64),
            };
            if offset < next || !sound || key != stream.key(offset as u64) {
                shared.fail(format!(
                    "{}-{partition}: a wrong record at {offset}, where {next} or later was to come",
                    stream.topic
                ));
            }
            next = offset + 1;
            found.extend(key.map(|key| (key, offset as u64)));
        }
        if next > last && end.is_none() {
            let marks = consumer.fetch_watermarks(stream.topic, partition, TIMEOUT);
            end = marks.ok().map(|(_, high)| high);
        }
        if end.is_some_and(|end| next >= end) {
            return Some(found);
        }
        if Instant::now() > deadline {
            shared.fail(format!(
                "{}-{partition}: cannot be read up to {last}, only before {next}",
                stream.topic
            ));
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::long_run::load::STREAMS;

    #[test]
    fn a_key_is_as_its_last_record_left_it_or_a_later_one() {
        let stream = STREAMS.into_iter().find(|s| s.keys.is_some()).unwrap();
        let keys = stream.keys.unwrap() as i64;
        let key = |number: i64| stream.key(number as u64).unwrap();
        let last = 2 * keys - 1;
        let mut found: HashMap<u64, u64> = (keys..=last).map(|n| (key(n), n as u64)).collect();
        assert_eq!(found.len() as i64, keys);
        let count = |found: &HashMap<u64, u64>| wrong(&stream, found, last).len();
        assert_eq!(count(&found), 0);
        // Set anew meanwhile; a tombstone that compaction took.
        found.insert(key(keys + 1), (2 * keys + 1) as u64);
        found.remove(&key(keys + 3));
        assert_eq!(count(&found), 0);
        // Lost, old, come back after its tombstone.
        found.remove(&key(keys + 4));
        found.insert(key(keys + 5), 5);
        found.insert(key(keys + 13), 13);
        assert_eq!(count(&found), 3);
    }
}
