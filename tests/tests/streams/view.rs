//! What readers of committed records see of a topic, as it comes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla_tests::harness::{Reader, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::application::TIMEOUT;
use super::topics::client;

/// A record of text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    /// `None`: a tombstone.
    pub value: Option<String>,
}

/// The committed records of a topic from its beginning on, read by a thread of its own over any number of the broker's deaths.
pub struct View {
    topic: String,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    records: Mutex<Vec<Record>>,
    changed: Condvar,
    stop: AtomicBool,
}

impl View {
    /// Begins to read.
    pub fn of(bootstrap: &str, topic: &str, partitions: i32) -> View {
        View::with(bootstrap, topic, partitions, "read_committed")
    }

    /// Begins to read what may never be committed too.
    pub fn uncommitted(bootstrap: &str, topic: &str, partitions: i32) -> View {
        View::with(bootstrap, topic, partitions, "read_uncommitted")
    }

    fn with(bootstrap: &str, topic: &str, partitions: i32, isolation: &str) -> View {
        let reader = reader(bootstrap, topic, partitions, isolation);
        let seen = Arc::new(Seen::default());
        let shared = seen.clone();
        let thread = std::thread::spawn(move || {
            while !shared.stop.load(Ordering::Relaxed) {
                // Errors are those of a broker that is killed: the client goes on by itself.
                if let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) {
                    shared.records.lock().unwrap().push(record(&message));
                    shared.changed.notify_all();
                }
            }
        });
        View {
            topic: topic.to_owned(),
            seen,
            thread: Some(thread),
        }
    }

    /// How many records it has seen.
    pub fn len(&self) -> usize {
        self.seen.records.lock().unwrap().len()
    }

    /// Waits until what it has seen is as wanted.
    pub fn await_that(&self, what: &str, wanted: impl Fn(&[Record]) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        let mut records = self.seen.records.lock().unwrap();
        while !wanted(&records) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (count, last) = (records.len(), records.last().cloned());
                drop(records);
                panic!(
                    "{} is not {what}: {count} records, last {last:?}",
                    self.topic
                );
            }
            records = self.seen.changed.wait_timeout(records, left).unwrap().0;
        }
    }

    /// Waits for so many records more.
    pub fn await_more(&self, count: usize) {
        let wanted = self.len() + count;
        self.await_that(&format!("{wanted} records"), |seen| seen.len() >= wanted);
    }

    /// Waits until it is so many offsets ahead of `committed`: until transactions are open in which that much was written.
    pub fn await_ahead(&self, committed: &View, offsets: i64) {
        let what = format!("{offsets} offsets ahead of what is committed");
        self.await_that(&what, |seen| {
            let committed = ends(&committed.seen.records.lock().unwrap());
            let ahead = ends(seen).into_iter().map(|(partition, end)| {
                let committed = committed.get(&partition).copied().unwrap_or_default();
                (end - committed).max(0)
            });
            ahead.sum::<i64>() >= offsets
        });
    }

    /// Waits a moment for another record; whether one came does not matter.
    pub fn await_change(&self) {
        let records = self.seen.records.lock().unwrap();
        drop(
            self.seen
                .changed
                .wait_timeout(records, Duration::from_millis(100)),
        );
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        // If it panicked, a wait has shown it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn reader(bootstrap: &str, topic: &str, partitions: i32, isolation: &str) -> BaseConsumer {
    let reader: BaseConsumer = client(bootstrap)
        .set("group.id", unique("reader"))
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .create()
        .expect("the client's settings are right");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a fair offset");
    }
    reader.assign(&all).expect("a fair assignment");
    reader
}

/// The last offset of each partition.
fn ends(records: &[Record]) -> BTreeMap<i32, i64> {
    let ends = records.iter();
    ends.map(|record| (record.partition, record.offset))
        .collect()
}

fn record(message: &impl Message) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key().unwrap_or_default()),
        value: message.payload().map(text),
    }
}

/// All that is committed in a topic now, in the order of partitions and offsets.
pub fn read(bootstrap: &str, topic: &str) -> Vec<Record> {
    let found = Reader::all(bootstrap, topic).found;
    let mut records: Vec<_> = found.iter().map(record).collect();
    records.sort();
    records
}
