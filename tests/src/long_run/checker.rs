//! One consumer that holds every numbered record against its number.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ottla_bench::payload::Payload;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::shared::{Shared, add, lock};
use super::streams::{Stream, TIMEOUT, Told, parse};

/// How far a partition was checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct At {
    /// The next offset. Others may remove what is before it.
    pub offset: i64,
    /// The next number.
    number: u64,
}

/// What a record was found to be.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// When it was sent.
    sent: Option<u64>,
    /// Records before it that retention had removed.
    passed: u64,
    /// What does not fit.
    wrong: Option<String>,
}

impl At {
    /// Holds the next record that came against what was to come. `start` says where the log begins now.
    fn take(
        &mut self,
        stream: &Stream,
        payload: &Payload,
        (offset, value): (i64, Option<&[u8]>),
        start: impl FnOnce() -> Option<i64>,
    ) -> Found {
        let mut found = Found::default();
        let gap = offset - self.offset;
        let lost = match gap {
            0 => false,
            1.. if stream.keys.is_some() => false,
            1.. => start().is_none_or(|start| start < offset),
            _ => true,
        };
        if lost {
            found.wrong = Some(format!("it came after {}", self.offset - 1));
        } else if stream.keys.is_none() {
            found.passed = gap as u64;
        }
        self.offset = offset + 1;
        let number = match value.map(|value| parse(stream, payload, value)) {
            None if stream.is_tombstone(offset as u64) => offset as u64,
            None => {
                found.wrong.get_or_insert("it has no value".into());
                offset as u64
            }
            Some(Ok((number, sent))) => {
                found.sent = Some(sent);
                number
            }
            Some(Err(wrong)) => {
                found.wrong.get_or_insert(wrong);
                offset as u64
            }
        };
        // Unless records may be sent again, a record's number is its offset.
        let fits = match stream.idempotent {
            true => number == offset as u64,
            false => number <= self.number || gap != 0,
        };
        if !fits {
            let wrong = format!("it is record {number}, and {} was next", self.number);
            found.wrong.get_or_insert(wrong);
        }
        self.number = self.number.max(number.saturating_add(1));
        found
    }
}

/// How far each partition was checked.
pub type Checked = Mutex<HashMap<(&'static str, i32), At>>;

/// Reads all streams as records come, and holds each against its number, until [`Shared::end`].
pub fn check(shared: &Arc<Shared>, streams: &[Stream], checked: &Checked) {
    let consumer: BaseConsumer = shared
        .client()
        .set("client.id", "checker")
        .set("group.id", "checker")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("the client's settings are right");
    let mut all = TopicPartitionList::new();
    for stream in streams {
        for partition in 0..stream.partitions {
            all.add_partition_offset(stream.topic, partition, Offset::Beginning)
                .expect("a fair offset");
        }
    }
    consumer.assign(&all).expect("a fair assignment");
    let payload = Payload::default();
    while !shared.end.load(Ordering::Relaxed) {
        // An error means that the broker is away; the client comes back by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let stream = streams.iter().find(|s| s.topic == message.topic());
        let stream = stream.expect("nothing else is assigned");
        let place = (stream.topic, message.partition());
        let start = || {
            let marks = consumer.fetch_watermarks(place.0, place.1, TIMEOUT);
            marks.ok().map(|(low, _)| low)
        };
        let mut at = lock(checked).get(&place).copied().unwrap_or_default();
        let record = (message.offset(), message.payload());
        let found = at.take(stream, &payload, record, start);
        lock(checked).insert(place, at);
        add(&shared.counts.checked, 1);
        add(&shared.counts.passed, found.passed);
        if let Some(sent) = found.sent {
            shared.arrived(sent);
        }
        if let Some(wrong) = found.wrong {
            shared.fail(format!("{place:?} at {}: {wrong}", message.offset()));
        }
    }
}

/// Waits until everything that was acknowledged was checked; says what was not.
pub fn await_checked(shared: &Shared, streams: &[Stream], told: &Told, checked: &Checked) {
    let deadline = Instant::now() + TIMEOUT;
    for stream in streams {
        for partition in 0..stream.partitions {
            let place = (stream.topic, partition);
            let last = told.last(stream.topic, partition);
            let next = || lock(checked).get(&place).map_or(0, |at| at.number);
            while (next() as i64) <= last {
                if Instant::now() > deadline {
                    shared.fail(format!(
                        "{place:?}: record {last} was acknowledged, and the log ends before {}",
                        next()
                    ));
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::long_run::load::STREAMS;

    fn stream(topic: &str) -> Stream {
        *STREAMS.iter().find(|s| s.topic == topic).unwrap()
    }

    /// What a partition with these records, each an offset and a number (`None` for a tombstone), is found to be.
    fn wrong(stream: &Stream, start: i64, records: &[(i64, Option<u64>)]) -> Vec<i64> {
        let payload = Payload::default();
        let mut at = At::default();
        let takes = records.iter().filter_map(|(offset, number)| {
            let value = number.map(|number| stream.value(&payload, number, 7));
            let record = (*offset, value.as_deref());
            let found = at.take(stream, &payload, record, || Some(start));
            found.wrong.map(|_| *offset)
        });
        takes.collect()
    }

    const FITS: [i64; 0] = [];

    #[test]
    fn an_idempotent_stream_has_each_record_at_its_offset() {
        let small = stream("small");
        let at = |offsets: &[i64]| -> Vec<_> {
            let records = offsets.iter().map(|o| (*o, Some(*o as u64)));
            records.collect()
        };
        assert_eq!(wrong(&small, 0, &at(&[0, 1, 2])), FITS);
        // Lost, removed by retention, gone back.
        assert_eq!(wrong(&small, 0, &at(&[0, 2, 3])), [2]);
        assert_eq!(wrong(&small, 2, &at(&[0, 2, 3])), FITS);
        assert_eq!(wrong(&small, 0, &at(&[0, 1, 0])), [0]);
        // Twice; in another's place; without a value.
        assert_eq!(wrong(&small, 0, &[(0, Some(0)), (1, Some(0))]), [1]);
        assert_eq!(wrong(&small, 0, &[(0, Some(1)), (1, Some(0))]), [0, 1]);
        assert_eq!(wrong(&small, 0, &[(0, Some(0)), (1, None)]), [1]);
    }

    #[test]
    fn a_stream_that_may_repeat_records_has_them_in_order_and_without_a_hole() {
        let trimmed = stream("trimmed");
        let numbers = |numbers: &[u64]| -> Vec<_> {
            let numbers = numbers.iter().map(|number| Some(*number));
            (0..).zip(numbers).collect()
        };
        assert_eq!(wrong(&trimmed, 0, &numbers(&[0, 1, 0, 1, 2])), FITS);
        assert_eq!(wrong(&trimmed, 0, &numbers(&[0, 1, 3, 4])), [2]);
    }

    #[test]
    fn a_compacted_stream_may_have_holes_and_its_own_tombstones_alone() {
        let compacted = stream("compacted");
        let with_holes = [(0, Some(0)), (3, None), (9, Some(9))];
        assert_eq!(wrong(&compacted, 0, &with_holes), FITS);
        assert_eq!(wrong(&compacted, 0, &[(0, Some(0)), (4, None)]), [4]);
        assert_eq!(wrong(&compacted, 0, &[(5, Some(5)), (4, Some(4))]), [4]);
    }

    #[test]
    fn other_bytes_are_found() {
        let (small, payload) = (stream("small"), Payload::default());
        let mut value = small.value(&payload, 0, 7);
        *value.last_mut().unwrap() ^= 1;
        let found = At::default().take(&small, &payload, (0, Some(&value)), || Some(0));
        assert!(found.wrong.is_some_and(|wrong| wrong.contains("bytes")));
    }
}
