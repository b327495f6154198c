//! Records that fail, are moved to the dead letter queue, and come back: each fails until it was redriven, each is processed once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ottla_bench::payload::Payload;
use ottla_client::consumer::{
    ConsumedRecord, ConsumerOptions, GroupConsumer, GroupOptions, OffsetReset,
};
use ottla_client::{Client, ClientError, ClientOptions};
use serde_json::json;

use super::shared::{Shared, add, lock};
use super::streams::{Stream, TIMEOUT, Told, parse};
use crate::harness::rest;

const REDRIVE_EVERY: Duration = Duration::from_secs(20);

/// Records of a partition that wait to be processed at most, of some thousands that are kept.
const MOST_WAITING: i64 = 1000;

/// Whether a record fails until it was redriven.
fn is_poison(number: u64) -> bool {
    number % 40 == 7
}

/// Where the consumer is in a partition.
#[derive(Debug, Default)]
struct Place {
    /// Offsets before this one were seen.
    offset: i64,
    /// The next number that comes for the first time.
    number: u64,
    /// Numbers that were dead-lettered and did not come back yet.
    pending: BTreeSet<u64>,
}

/// All partitions.
#[derive(Default)]
pub struct Letters(Mutex<HashMap<i32, Place>>);

impl Letters {
    /// Whether so little waits to be processed that retention does not reach it.
    pub fn keep_up(&self, stream: &Stream, told: &Told) -> bool {
        let places = lock(&self.0);
        (0..stream.partitions).all(|partition| {
            let done = places
                .get(&partition)
                .map_or(0, |place| place.number as i64);
            told.last(stream.topic, partition) - done < MOST_WAITING
        })
    }

    /// Waits until all that was acknowledged was processed and all that failed has come back; says what has not.
    pub fn await_processed(&self, shared: &Shared, stream: &Stream, told: &Told) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            redrive(shared, stream.topic);
            let open: Vec<String> = {
                let places = lock(&self.0);
                (0..stream.partitions)
                    .filter_map(|partition| {
                        let last = told.last(stream.topic, partition);
                        let place = places.get(&partition)?;
                        let done = place.number as i64 > last && place.pending.is_empty();
                        (!done).then(|| format!("{partition}: {place:?}, told {last}"))
                    })
                    .collect()
            };
            if open.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                return shared.fail(format!("{}: not all processed: {open:?}", stream.topic));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Moves back what is in the queue, every now and then until the end of the load.
pub fn keep_redriving(shared: &Arc<Shared>, topic: &str) {
    let mut last = Instant::now();
    while shared.goes_on() {
        if last.elapsed() > REDRIVE_EVERY {
            redrive(shared, topic);
            last = Instant::now();
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn redrive(shared: &Shared, topic: &str) {
    let path = format!("/v1/dlq/{topic}/redrive");
    // Not there yet, away, or under way: it comes again.
    if let Ok(answer) = rest::ask(shared.port, "POST", &path, Some(&json!({})))
        && let Some(id) = answer.body["id"].as_u64()
    {
        let path = format!("/v1/redrives/{id}?wait_ms=5000");
        let _ = rest::ask(shared.port, "GET", &path, None);
    }
}

/// Processes the stream as a group of its own until [`Shared::end`].
pub fn consume(shared: &Arc<Shared>, stream: Stream, letters: &Letters) {
    let payload = Payload::default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(async {
            while !shared.end.load(Ordering::Relaxed) {
                // An error means that the broker is away.
                if life(shared, &stream, letters, &payload).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
}

async fn life(
    shared: &Shared,
    stream: &Stream,
    letters: &Letters,
    payload: &Payload,
) -> Result<(), ClientError> {
    let client = Client::connect(&[shared.bootstrap()], ClientOptions::default()).await?;
    let group = GroupOptions {
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_secs(1),
        ..GroupOptions::new("billing", vec![stream.topic.to_owned()])
    };
    let options = ConsumerOptions {
        reset: OffsetReset::Earliest,
        ..ConsumerOptions::default()
    };
    let mut consumer = GroupConsumer::new(client, group, options);
    while !shared.end.load(Ordering::Relaxed) {
        let records = consumer.poll(Duration::from_millis(100)).await?;
        let mut done = BTreeMap::new();
        let mut left = BTreeSet::new();
        for record in &records {
            // What follows a record that failed comes again.
            if left.contains(&record.partition) {
                continue;
            }
            let fails = {
                let mut places = lock(&letters.0);
                let place = places.entry(record.partition).or_default();
                take(shared, stream, payload, place, record)
            };
            let next = match fails {
                false => Some(record.offset + 1),
                true => {
                    left.insert(record.partition);
                    let moved = nack(shared, &mut consumer, record).await?;
                    if moved {
                        let mut places = lock(&letters.0);
                        let place = places.entry(record.partition).or_default();
                        dead_lettered(shared, place);
                        place.offset = record.offset + 1;
                    }
                    done.remove(&(stream.topic.to_owned(), record.partition));
                    None
                }
            };
            if let Some(next) = next {
                done.insert((stream.topic.to_owned(), record.partition), next);
            }
        }
        consumer.commit(&done).await?;
    }
    consumer.leave().await
}

/// Says that a record failed, and whether it was moved away by that.
async fn nack(
    shared: &Shared,
    consumer: &mut GroupConsumer,
    record: &ConsumedRecord,
) -> Result<bool, ClientError> {
    let position = consumer
        .nack(&record.topic, record.partition, record.offset, "it fails")
        .await?;
    add(&shared.counts.admin, 2);
    Ok(position.is_some_and(|position| position > record.offset))
}

fn dead_lettered(shared: &Shared, place: &mut Place) {
    place.pending.insert(place.number);
    place.number += 1;
    add(&shared.counts.dead_letters, 1);
}

/// Holds a record against what is to come; whether it fails.
fn take(
    shared: &Shared,
    stream: &Stream,
    payload: &Payload,
    place: &mut Place,
    record: &ConsumedRecord,
) -> bool {
    let fail = |what: String| {
        shared.fail(format!(
            "{}-{} at {}: {what}",
            stream.topic, record.partition, record.offset
        ));
        false
    };
    if record.offset < place.offset {
        // Processed before, and the commit was lost with the broker.
        return false;
    }
    let number = match parse(stream, payload, record.value.as_deref().unwrap_or_default()) {
        Ok((number, _)) => number,
        Err(wrong) => return fail(wrong),
    };
    if record
        .headers
        .iter()
        .any(|header| &header.key[..] == b"__dlq.redrive.count")
    {
        place.offset = record.offset + 1;
        // As below, and it is back already.
        if number == place.number && is_poison(number) {
            dead_lettered(shared, place);
        }
        if !place.pending.remove(&number) {
            return fail(format!(
                "record {number} was redriven and not dead-lettered"
            ));
        }
        add(&shared.counts.redriven, 1);
        return false;
    }
    // The answer to the last nack was lost with the broker, and the record moved.
    if number == place.number + 1 && is_poison(place.number) {
        dead_lettered(shared, place);
    }
    if number != place.number {
        let expected = place.number;
        place.number = number + 1;
        place.offset = record.offset + 1;
        return fail(format!("record {number} came, and not {expected}"));
    }
    if is_poison(number) {
        return true;
    }
    place.number += 1;
    place.offset = record.offset + 1;
    false
}

#[cfg(test)]
mod tests {
    use ottla_codec::batch::TimestampType;
    use ottla_codec::records::RecordHeader;

    use super::*;
    use crate::long_run::load::LETTERS;

    /// Takes records, each an offset, its number and whether it was redriven; whether each fails, and how often something was wrong.
    fn takes(records: &[(i64, u64, bool)]) -> (Vec<bool>, usize, Place) {
        let (shared, payload) = (Shared::new(0, 1.0), Payload::default());
        let mut place = Place::default();
        let fails = records.iter().map(|(offset, number, redriven)| {
            let header = RecordHeader {
                key: "__dlq.redrive.count".into(),
                value: Some("1".into()),
            };
            let record = ConsumedRecord {
                topic: LETTERS.topic.into(),
                partition: 0,
                offset: *offset,
                timestamp: 0,
                timestamp_type: TimestampType::CreateTime,
                key: None,
                value: Some(LETTERS.value(&payload, *number, 0).into()),
                headers: Vec::from_iter(redriven.then_some(header)),
            };
            take(&shared, &LETTERS, &payload, &mut place, &record)
        });
        let fails = fails.collect();
        (fails, shared.failures().len(), place)
    }

    #[test]
    fn a_record_that_fails_is_taken_again_until_it_was_moved_and_comes_back_once() {
        let before = (0..7).map(|n| (n as i64, n, false));
        let records = |more: &[(i64, u64, bool)]| -> Vec<_> {
            before.clone().chain(more.iter().copied()).collect()
        };
        let (fails, wrong, place) = takes(&records(&[(7, 7, false), (7, 7, false)]));
        assert_eq!(
            (&fails[7..], wrong, place.number),
            (&[true, true][..], 0, 7)
        );
        // Moved, and its answer lost; back; and then seen again, since the commit was lost.
        let more = [
            (8, 8, false),
            (9, 7, true),
            (10, 9, false),
            (8, 8, false),
            (9, 7, true),
        ];
        let (fails, wrong, place) = takes(&records(&more));
        assert!(!fails.contains(&true) && wrong == 0 && place.pending.is_empty());
        // Back twice; back without having failed; a hole; a record twice.
        for more in [
            [(8, 8, false), (9, 7, true), (10, 7, true)],
            [(7, 7, false), (8, 3, true), (9, 3, true)],
            [(7, 7, false), (10, 10, false), (11, 11, false)],
            [(8, 8, false), (9, 9, false), (10, 9, false)],
        ] {
            let (_, wrong, _) = takes(&records(&more));
            assert!(wrong > 0, "{more:?}");
        }
    }
}
