//! Groups whose members come and go. Together the members of a group see each partition in order and without a hole; what is read
//! again after a rebalance begins at or after what was said to be committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::shared::{Shared, add, lock};
use super::streams::TIMEOUT;

/// A group.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// What it reads.
    pub topics: &'static [&'static str],
    /// How partitions are assigned.
    pub strategy: &'static str,
    /// How many members there are at a time.
    pub members: usize,
}

/// Seconds that a member stays, at least and at most.
const STAY: (f64, f64) = (10.0, 45.0);
const COMMIT_EVERY: Duration = Duration::from_millis(500);

type Place = (String, i32);

#[derive(Default)]
struct Progress {
    /// The next offset that no member saw yet.
    seen: HashMap<Place, i64>,
    /// The last position whose commit was confirmed.
    committed: HashMap<Place, i64>,
}

impl Progress {
    /// Takes a record that a member was shown; the first offset that no member was shown, if this one is behind it.
    fn see(&mut self, place: &Place, offset: i64) -> Option<i64> {
        let next = self.seen.entry(place.clone()).or_default();
        let expected = *next;
        *next = expected.max(offset + 1);
        (offset > expected).then_some(expected)
    }
}

/// One life of a member: where it must not begin before, of what it was assigned and has not read of yet.
struct Member {
    progress: Arc<Mutex<Progress>>,
    fresh: Mutex<HashMap<Place, i64>>,
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            let progress = lock(&self.progress);
            let mut fresh = lock(&self.fresh);
            for partition in partitions.elements() {
                let place = (partition.topic().to_owned(), partition.partition());
                let committed = progress.committed.get(&place).copied().unwrap_or(0);
                fresh.insert(place, committed);
            }
        }
    }
}

/// Keeps a group's members coming and going until the end of the load.
pub fn keep(shared: &Arc<Shared>, group: Group) {
    let progress: Arc<Mutex<Progress>> = Arc::default();
    let members: Vec<_> = (0..group.members)
        .map(|seat| {
            let progress = Arc::clone(&progress);
            shared.spawn(group.name, move |shared| {
                let mut rng = StdRng::seed_from_u64(seat as u64);
                let mut life = 0;
                while shared.goes_on() {
                    let stay = Duration::from_secs_f64(rng.random_range(STAY.0..STAY.1));
                    // A static member that goes says nothing: its session must end.
                    let vanishes = rng.random_ratio(1, 3);
                    let id = format!("{}-{seat}-{life}", group.name);
                    let until = Instant::now() + stay;
                    consume(shared, &group, &progress, &id, vanishes, until);
                    life += 1;
                    thread::sleep(Duration::from_millis(rng.random_range(0..3000)));
                }
            })
        })
        .collect();
    for member in members {
        // A panic is told already.
        let _ = member.join();
    }
}

fn consume(
    shared: &Shared,
    group: &Group,
    progress: &Arc<Mutex<Progress>>,
    id: &str,
    vanishes: bool,
    until: Instant,
) {
    let mut config = shared.client();
    config
        .set("client.id", id)
        .set("group.id", group.name)
        .set("partition.assignment.strategy", group.strategy)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1000")
        .set("fetch.min.bytes", "20000")
        .set("fetch.wait.max.ms", "200");
    if vanishes {
        config.set("group.instance.id", id);
    }
    let consumer: BaseConsumer<Member> = config
        .create_with_context(Member {
            progress: Arc::clone(progress),
            fresh: Mutex::default(),
        })
        .expect("the client's settings are right");
    consumer.subscribe(group.topics).expect("fair topic names");
    add(&shared.counts.joined, 1);
    let mut last_commit = Instant::now();
    while shared.goes_on() && Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            let place = (message.topic().to_owned(), message.partition());
            saw(shared, group, &consumer, place, message.offset());
        }
        if last_commit.elapsed() > COMMIT_EVERY {
            commit(&consumer, progress);
            last_commit = Instant::now();
        }
    }
}

fn saw(shared: &Shared, group: &Group, consumer: &BaseConsumer<Member>, place: Place, offset: i64) {
    let member = consumer.context();
    let name = group.name;
    if let Some(committed) = lock(&member.fresh).remove(&place)
        && offset < committed
    {
        shared.fail(format!(
            "{name}: {place:?} was committed at {committed}, and begins at {offset}"
        ));
    }
    let missed = lock(&member.progress).see(&place, offset);
    if let Some(expected) = missed {
        let low = consumer.fetch_watermarks(&place.0, place.1, TIMEOUT);
        if low.is_ok_and(|(low, _)| low >= offset) {
            add(&shared.counts.passed, (offset - expected) as u64);
        } else {
            shared.fail(format!(
                "{name}: {place:?}: offset {offset} came, and not {expected}"
            ));
        }
    }
    add(&shared.counts.consumed, 1);
}

fn commit(consumer: &BaseConsumer<Member>, progress: &Mutex<Progress>) {
    let position = consumer.position().expect("a position is known locally");
    let mut list = TopicPartitionList::new();
    let mut positions = Vec::new();
    for element in position.elements() {
        if let Some(offset) = element.offset().to_raw().filter(|offset| *offset >= 0) {
            list.add_partition_offset(element.topic(), element.partition(), Offset::Offset(offset))
                .expect("a fair offset");
            positions.push(((element.topic().to_owned(), element.partition()), offset));
        }
    }
    // Refused while the group is between two assignments, or the broker away: what was read comes again then.
    if !positions.is_empty() && consumer.commit(&list, CommitMode::Sync).is_ok() {
        lock(progress).committed.extend(positions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_may_see_records_again_and_miss_none() {
        let (mut progress, place) = (Progress::default(), ("small".to_owned(), 0));
        let mut see = |offset| progress.see(&place, offset);
        assert_eq!([0, 1, 2, 1, 2, 3].map(&mut see), [None; 6]);
        assert_eq!(see(5), Some(4));
        assert_eq!(see(6), None);
    }
}
