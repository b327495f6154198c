//! Transactional producers that commit, abort and vanish, and a consumer that sees what was committed, all of it and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::shared::{Shared, add, lock};
use super::streams::TIMEOUT;
use crate::crash::transfers::{Client, Fate, PATIENCE, Step, insist, producer};

/// The topic, with a partition for each producer.
pub const TOPIC: &str = "transactions";
/// Producers.
pub const WORKERS: usize = 2;
/// Records of a transaction.
const RECORDS: usize = 5;
/// Transactions a second of each producer, at most.
const RATE: f64 = 5.0;
/// So many transactions behind the newest that was seen, what is not told is not asked for any more.
const WINDOW: u64 = 1000;

/// A worker's transactions that were told or seen, and not both yet.
#[derive(Debug, Default)]
struct Open {
    told: BTreeMap<u64, Fate>,
    seen: BTreeSet<u64>,
    /// The last one that was seen; producers begin at 1.
    newest: u64,
    committed: u64,
}

impl Open {
    /// What is known of both sides goes; says what does not fit.
    fn settle(&mut self) -> Vec<String> {
        let newest = self.newest;
        let mut wrong = Vec::new();
        self.told.retain(|number, fate| {
            if *number > newest {
                return true;
            }
            let seen = self.seen.remove(number);
            if seen != (*fate == Fate::Committed) {
                let seen = if seen { "is there" } else { "is not there" };
                wrong.push(format!("transaction {number} was {fate:?} and {seen}"));
            }
            false
        });
        self.seen = self.seen.split_off(&newest.saturating_sub(WINDOW));
        wrong
    }
}

/// What all workers were told, and what was seen of it.
#[derive(Debug, Default)]
pub struct Ledger([Mutex<Open>; WORKERS]);

impl Ledger {
    /// Waits until everything that was committed was seen; says what was not.
    pub fn await_seen(&self, shared: &Shared) {
        let deadline = Instant::now() + TIMEOUT;
        for (worker, open) in self.0.iter().enumerate() {
            loop {
                let (newest, committed) = {
                    let open = lock(open);
                    (open.newest, open.committed)
                };
                if newest >= committed {
                    break;
                }
                if Instant::now() > deadline {
                    shared.fail(format!(
                        "transactions of {worker} were committed up to {committed}, and seen up to {newest}"
                    ));
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Commits, aborts and vanishes until the end of the load.
pub fn work(shared: &Arc<Shared>, ledger: &Ledger, worker: usize) {
    let mut rng = StdRng::seed_from_u64(worker as u64);
    let mut number = 0;
    while shared.goes_on() {
        let client = producer(&shared.bootstrap(), &format!("long-{worker}"));
        if !matches!(insist(|| client.init_transactions(PATIENCE)), Step::Done) {
            continue;
        }
        while shared.goes_on() {
            let started = Instant::now();
            number += 1;
            if client.begin_transaction().is_err() {
                break;
            }
            let sent = send(&client, worker, number);
            if rng.random_ratio(1, 100) {
                // Vanishes with a transaction open.
                let _ = client.flush(Duration::from_millis(50));
                break;
            }
            let Some(fate) = end(&client, sent && !rng.random_ratio(1, 5)) else {
                break;
            };
            let mut open = lock(&ledger.0[worker]);
            open.told.insert(number, fate);
            if fate == Fate::Committed {
                open.committed = number;
                add(&shared.counts.committed, 1);
            } else {
                add(&shared.counts.aborted, 1);
            }
            drop(open);
            let pause = Duration::from_secs_f64(1.0 / (RATE * shared.load));
            thread::sleep(pause.saturating_sub(started.elapsed()));
        }
    }
}

fn send(client: &Client, worker: usize, number: u64) -> bool {
    (0..RECORDS).all(|index| {
        let text = format!("{number}:{index}:{}", "t".repeat(100));
        let record = BaseRecord::<(), str>::to(TOPIC)
            .partition(worker as i32)
            .payload(&text);
        client.send(record).is_ok()
    })
}

/// How it ended; `None` if this producer cannot know.
fn end(client: &Client, commit: bool) -> Option<Fate> {
    if commit {
        match insist(|| client.commit_transaction(PATIENCE)) {
            Step::Done => return Some(Fate::Committed),
            Step::Abort => {}
            Step::Renew => return None,
        }
    }
    match insist(|| client.abort_transaction(PATIENCE)) {
        Step::Done => Some(Fate::Aborted),
        Step::Abort | Step::Renew => None,
    }
}

/// Reads what is committed and holds it against what was told, until [`Shared::end`].
pub fn check(shared: &Arc<Shared>, ledger: &Ledger) {
    let reader: BaseConsumer = shared
        .client()
        .set("client.id", "checker of transactions")
        .set("group.id", "checker-of-transactions")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("the client's settings are right");
    let mut all = TopicPartitionList::new();
    for partition in 0..WORKERS as i32 {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .expect("a fair offset");
    }
    reader.assign(&all).expect("a fair assignment");
    let mut next = [(0, 0); WORKERS];
    while !shared.end.load(Ordering::Relaxed) {
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else {
            continue;
        };
        add(&shared.counts.checked, 1);
        let worker = message.partition() as usize;
        let text = message.payload().map(String::from_utf8_lossy);
        let record = text.as_deref().and_then(parse);
        let (number, index) = record.expect("two numbers");
        let (in_work, expected) = next[worker];
        // The next of this transaction, or the first of a later one after all of this.
        let fits = match expected {
            0 => index == 0 && number > in_work,
            _ => index == expected && number == in_work,
        };
        if !fits {
            shared.fail(format!(
                "transactions of {worker}: {number}:{index} came, and not {in_work}:{expected}"
            ));
        }
        next[worker] = (number, (index + 1) % RECORDS);
        if index + 1 == RECORDS {
            let mut open = lock(&ledger.0[worker]);
            open.seen.insert(number);
            open.newest = number;
            for wrong in open.settle() {
                shared.fail(format!("worker {worker}: {wrong}"));
            }
        }
    }
}

fn parse(text: &str) -> Option<(u64, usize)> {
    let mut parts = text.split(':');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(told: &[(u64, Fate)], seen: &[u64]) -> Open {
        Open {
            told: told.iter().copied().collect(),
            seen: seen.iter().copied().collect(),
            newest: seen.last().copied().unwrap_or(0),
            committed: 0,
        }
    }

    #[test]
    fn what_was_committed_is_seen_and_what_was_aborted_is_not() {
        use Fate::{Aborted, Committed};
        let mut fits = open(&[(1, Committed), (2, Aborted), (5, Committed)], &[1, 3, 4]);
        assert_eq!(fits.settle(), Vec::<String>::new());
        // The fifth is not there yet, and what was told of the rest may come.
        assert!(fits.told.contains_key(&5) && fits.told.len() == 1 && fits.seen.len() == 2);
        let mut lost = open(&[(1, Committed), (2, Aborted), (3, Committed)], &[2, 3]);
        assert_eq!(
            lost.settle(),
            [
                "transaction 1 was Committed and is not there",
                "transaction 2 was Aborted and is there"
            ]
        );
    }
}
