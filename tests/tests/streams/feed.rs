//! Input that goes on while others are killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::application::TIMEOUT;
use super::topics::client;

/// Records sent together.
const CHUNK: usize = 10;

/// A record to send.
#[derive(Debug, Clone, Default)]
pub struct Input {
    pub topic: &'static str,
    pub key: String,
    /// `None`: a tombstone.
    pub value: Option<String>,
    /// `None`: the partition of its key, as Java's clients have it.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; `None`: now.
    pub timestamp: Option<i64>,
}

/// A producer that sends each record once, in order, over any number of the broker's deaths.
pub struct Feed(ThreadedProducer<DefaultProducerContext>);

impl Feed {
    pub fn new(bootstrap: &str) -> Feed {
        let producer = client(bootstrap)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            .create()
            .expect("the client's settings are right");
        Feed(producer)
    }

    /// Sends, and waits until all are acknowledged.
    pub fn send(&self, inputs: &[Input]) {
        for input in inputs {
            let mut record = BaseRecord::to(input.topic).key(&input.key);
            record.payload = input.value.as_ref();
            record.partition = input.partition;
            record.timestamp = input.timestamp;
            let sent = self.0.send(record);
            sent.map_err(|(error, _)| error)
                .expect("the queue has room");
        }
        self.0.flush(TIMEOUT).expect("all are acknowledged");
    }
}

/// A thread that feeds until it is told to stop.
pub struct Feeding {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Input>>,
}

impl Feeding {
    /// Sends what `next` gives; waits by `ready`, which is told how many were sent, before it sends more.
    pub fn start(
        bootstrap: &str,
        mut next: impl FnMut(usize) -> Input + Send + 'static,
        ready: impl Fn(usize) -> bool + Send + 'static,
    ) -> Feeding {
        let feed = Feed::new(bootstrap);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut sent: Vec<Input> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if ready(sent.len()) {
                    let more: Vec<_> = (0..CHUNK).map(|i| next(sent.len() + i)).collect();
                    feed.send(&more);
                    sent.extend(more);
                }
            }
            sent
        });
        Feeding { stop, thread }
    }

    /// All that was sent.
    pub fn stop(self) -> Vec<Input> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the feed does not fail")
    }
}
