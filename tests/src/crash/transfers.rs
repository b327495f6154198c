//! Transfers between two topics, each a transaction, that go on through every crash. Some are aborted, and some producers vanish
//! in the middle. Each moves a position of a group as well. Who reads committed records sees both sides of a transfer or none, each once; all that was said to be
//! committed, and nothing that was said to be aborted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::groups::group_settings;
use super::promises::Promise;
use super::topics::{connect, runtime};
use super::{TIMEOUT, create_topic};
use crate::harness::{Reader, unique};

/// Partitions of each topic.
pub const PARTITIONS: i32 = 3;
/// Producers.
pub const WORKERS: usize = 3;
/// A call that a dead broker does not answer is made again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What a worker was told of a transfer, by worker and number.
pub type Told = Arc<Mutex<BTreeMap<(usize, u64), Fate>>>;

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    #[allow(missing_docs)]
    Committed,
    #[allow(missing_docs)]
    Aborted,
}

/// Commits and aborts wait for deliveries, which its own thread polls.
pub(crate) type Client = ThreadedProducer<DefaultProducerContext>;

/// How a transaction went on.
pub(crate) enum Step {
    Done,
    /// The transaction must be aborted.
    Abort,
    /// This producer is of no more use; the next one aborts what it left open.
    Renew,
}

/// Does it until it is done, over any number of broker's deaths.
pub(crate) fn insist(mut call: impl FnMut() -> Result<(), KafkaError>) -> Step {
    let started = Instant::now();
    loop {
        match call() {
            Ok(()) => return Step::Done,
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                return Step::Abort;
            }
            Err(_) => return Step::Renew,
        }
        assert!(started.elapsed() < TIMEOUT, "the broker does not come back");
    }
}

pub(crate) fn producer(bootstrap: &str, id: &str) -> Client {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", id)
        .set("transaction.timeout.ms", "60000")
        // Or it may hang in send_offsets_to_transaction (librdkafka#5511).
        .set("metadata.recovery.strategy", "none")
        .set("linger.ms", "1")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .create()
        .expect("the client's settings are right")
}

/// Both sides of a transfer, and then a part of the next one in the same topics.
fn send(client: &Client, topics: &[String; 2], worker: usize, number: u64) -> bool {
    topics.iter().all(|topic| {
        let text = format!("{worker}:{number}");
        let record = BaseRecord::<(), str>::to(topic)
            .partition((number % PARTITIONS as u64) as i32)
            .payload(&text);
        client.send(record).is_ok()
    })
}

/// All workers, and what they were told.
pub struct Transfers {
    bootstrap: String,
    topics: [String; 2],
    told: Told,
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<()>>,
}

impl Transfers {
    /// Makes the topics and starts the workers.
    pub fn start(bootstrap: &str) -> Transfers {
        let topics = [unique("debits"), unique("credits")];
        for topic in &topics {
            create_topic(bootstrap, topic, PARTITIONS);
        }
        let (told, stop, committed) = Default::default();
        let mut transfers = Transfers {
            bootstrap: bootstrap.to_owned(),
            topics,
            told,
            stop,
            committed,
            workers: Vec::new(),
        };
        for worker in 0..WORKERS {
            let (bootstrap, topics) = (bootstrap.to_owned(), transfers.topics.clone());
            let told = Arc::clone(&transfers.told);
            let stop = Arc::clone(&transfers.stop);
            let committed = Arc::clone(&transfers.committed);
            transfers.workers.push(thread::spawn(move || {
                transfer(&bootstrap, &topics, worker, &told, &stop, &committed);
            }));
        }
        transfers
    }

    /// Transactions that were said to be committed.
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    /// Lets the workers end what they do.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the workers, and holds what the topics have against what they were told.
    pub fn finish(self) -> BTreeMap<(usize, u64), Fate> {
        self.stop();
        for worker in self.workers {
            worker.join().expect("no worker panics");
        }
        // What vanished producers left open is aborted by their successors.
        for worker in 0..WORKERS {
            let client = producer(&self.bootstrap, &transactional_id(worker, &self.topics));
            let ended = insist(|| client.init_transactions(PATIENCE));
            assert!(matches!(ended, Step::Done), "a last producer");
        }
        let [debits, credits] = self
            .topics
            .each_ref()
            .map(|topic| read(&self.bootstrap, topic));
        let halves = debits.symmetric_difference(&credits);
        let halves: Vec<_> = halves.collect();
        Promise::Atomic.hold_all(halves.len() as u64, || {
            format!("transfers with one side: {halves:?}")
        });
        let positions = positions(&self.bootstrap, &self.topics);
        for worker in 0..WORKERS {
            let last = debits.iter().filter(|(w, _)| *w == worker).max();
            let wanted = last.map(|(_, number)| *number as i64 + 1);
            let found = positions.get(&(worker as i32)).copied();
            Promise::Atomic.hold(found == wanted, || {
                format!("worker {worker} stands at {found:?} instead of {wanted:?}")
            });
        }
        let told = self.told.lock().expect("no holder panics").clone();
        for (transfer, fate) in &told {
            let holds = debits.contains(transfer) == (*fate == Fate::Committed);
            let broken = match fate {
                Fate::Committed => Promise::Kept,
                Fate::Aborted => Promise::Atomic,
            };
            broken.hold(holds, || format!("{transfer:?} was {fate:?}"));
        }
        told
    }
}

/// A group that commits in the transactions alone.
fn group(topics: &[String; 2]) -> String {
    format!("positions-{}", topics[0])
}

/// Where the group stands, by partition, which is the worker's number.
fn positions(bootstrap: &str, topics: &[String; 2]) -> BTreeMap<i32, i64> {
    let found = runtime().block_on(async {
        let mut client = connect(bootstrap).await;
        client.committed_offsets(&group(topics)).await
    });
    let found = found.expect("the broker answers");
    let positions = found
        .iter()
        .map(|((_, partition), at)| (*partition, at.offset));
    positions.collect()
}

fn transactional_id(worker: usize, topics: &[String; 2]) -> String {
    format!("worker-{worker}-{}", topics[0])
}

fn transfer(
    bootstrap: &str,
    topics: &[String; 2],
    worker: usize,
    told: &Told,
    stop: &AtomicBool,
    committed: &AtomicUsize,
) {
    let id = transactional_id(worker, topics);
    let mut rng = StdRng::seed_from_u64(worker as u64);
    let consumer: BaseConsumer = group_settings(bootstrap, &group(topics))
        .create()
        .expect("the client's settings are right");
    let member = consumer.group_metadata().expect("it has a group");
    let mut number = 0;
    'producers: while !stop.load(Ordering::Relaxed) {
        let client = producer(bootstrap, &id);
        if !matches!(insist(|| client.init_transactions(PATIENCE)), Step::Done) {
            continue;
        }
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            if client.begin_transaction().is_err() {
                continue 'producers;
            }
            let sent = send(&client, topics, worker, number);
            let mut position = TopicPartitionList::new();
            position
                .add_partition_offset(&topics[0], worker as i32, Offset::Offset(number as i64 + 1))
                .expect("an offset that can be");
            let moved = sent.then(|| {
                insist(|| client.send_offsets_to_transaction(&position, &member, PATIENCE))
            });
            if matches!(moved, Some(Step::Renew)) {
                continue 'producers;
            }
            let sent = matches!(moved, Some(Step::Done));
            // Some vanish with a transaction open, some change their mind.
            if rng.random_ratio(1, 40) {
                let _ = client.flush(Duration::from_millis(50));
                continue 'producers;
            }
            let changes_its_mind = rng.random_ratio(1, 6);
            let fate = if sent && !changes_its_mind {
                match insist(|| client.commit_transaction(PATIENCE)) {
                    Step::Done => Some(Fate::Committed),
                    Step::Abort => None,
                    Step::Renew => continue 'producers,
                }
            } else {
                None
            };
            // librdkafka gives the sequence number of a record without an answer to the next transaction's. If a broker that died had it,
            // the next one passes for its repetition, as in Kafka, and is never written: only a new epoch helps.
            let is_answered = sent && changes_its_mind && client.flush(PATIENCE).is_ok();
            let fate = match fate {
                Some(fate) => fate,
                None => match insist(|| client.abort_transaction(PATIENCE)) {
                    Step::Done => Fate::Aborted,
                    Step::Abort | Step::Renew => continue 'producers,
                },
            };
            if fate == Fate::Committed {
                committed.fetch_add(1, Ordering::Relaxed);
            }
            let mut told = told.lock().expect("no holder panics");
            told.insert((worker, number), fate);
            if fate == Fate::Aborted && !is_answered {
                continue 'producers;
            }
        }
        return;
    }
}

/// Everything that is committed in a topic, once each.
fn read(bootstrap: &str, topic: &str) -> BTreeSet<(usize, u64)> {
    let mut found = BTreeSet::new();
    for message in Reader::all(bootstrap, topic).found {
        let text = message.payload_view::<str>();
        let text = text.expect("a value").expect("text");
        let (worker, number) = text.split_once(':').expect("two parts");
        let transfer = (
            worker.parse().expect("a worker"),
            number.parse().expect("a number"),
        );
        Promise::Once.hold(found.insert(transfer), || {
            format!("{transfer:?} is twice in {topic}")
        });
    }
    found
}
