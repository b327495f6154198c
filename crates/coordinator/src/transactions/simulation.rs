//! Random producers, time-outs, lost answers and crashes, over a log that keeps what a partition must see: every transaction ends
//! once, the same way everywhere, and nobody who was fenced ends anything.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::groups::PartitionId;
use crate::producers::ProducerIds;
use crate::{Now, StoreOp, Tree};

const LIMITS: Limits = Limits {
    max_timeout_ms: 10_000,
    expiration_ms: 1_000_000,
};
const IDS: [&str; 2] = ["a", "b"];
const PARTITIONS: i32 = 3;

/// What a partition has of one producer id.
#[derive(Debug, Clone, Default, PartialEq)]
struct InPartition {
    epoch: i16,
    /// Numbers of transactions with batches that wait for a marker; one at most.
    open: Option<u64>,
}

#[derive(Default, Clone)]
struct Stored {
    rows: BTreeMap<(Tree, Vec<u8>), Vec<u8>>,
    partitions: BTreeMap<(i32, i64), InPartition>,
    /// How each transaction ended, as its first marker says.
    ended: BTreeMap<u64, Outcome>,
}

/// A client: what it believes.
#[derive(Default)]
struct Client {
    transactional_id: &'static str,
    producer: Option<ProducerEpoch>,
    /// The number of its transaction.
    open: Option<u64>,
    /// It has asked for this end and heard no answer.
    asked: Option<Outcome>,
}

struct World {
    rng: StdRng,
    machine: TransactionCoordinator,
    ids: ProducerIds,
    now: Now,
    stored: Stored,
    deadlines: BTreeMap<String, u64>,
    clients: Vec<Client>,
    transactions: u64,
    ends_heard: u64,
    timed_out: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let client = |i: usize| Client {
            transactional_id: IDS[i % IDS.len()],
            ..Client::default()
        };
        World {
            rng: StdRng::seed_from_u64(seed),
            machine: TransactionCoordinator::new(LIMITS),
            ids: ProducerIds::load(None).unwrap(),
            now: Now {
                monotonic_ms: 0,
                wall_ms: 1_000,
            },
            stored: Stored::default(),
            deadlines: BTreeMap::new(),
            clients: (0..4).map(client).collect(),
            transactions: 0,
            ends_heard: 0,
            timed_out: 0,
        }
    }

    /// Commits all of it, as the broker does in one journal record, or crashes before.
    fn commit(&mut self, effects: Effects) -> bool {
        if self.rng.random_ratio(1, 30) {
            self.crash();
            return false;
        }
        for op in effects.ops {
            match op {
                StoreOp::Put { tree, key, value } => {
                    self.stored.rows.insert((tree, key), value);
                }
                StoreOp::Delete { tree, key } => {
                    self.stored.rows.remove(&(tree, key));
                }
            }
        }
        for ending in effects.endings {
            for partition in &ending.partitions {
                self.marker(&ending, partition);
            }
        }
        for (id, deadline) in effects.timers {
            match deadline {
                Some(at) => self.deadlines.insert(id, at),
                None => self.deadlines.remove(&id),
            };
        }
        true
    }

    fn marker(&mut self, ending: &Ending, partition: &PartitionId) {
        let key = (partition.partition, ending.producer_id);
        let state = self.stored.partitions.entry(key).or_default();
        assert!(
            ending.producer_epoch >= state.epoch,
            "a marker of an epoch that is over"
        );
        state.epoch = ending.producer_epoch;
        if let Some(number) = state.open.take() {
            let first = *self.stored.ended.entry(number).or_insert(ending.outcome);
            assert_eq!(
                first, ending.outcome,
                "transaction {number} ended in two ways"
            );
        }
    }

    fn crash(&mut self) {
        self.machine = TransactionCoordinator::new(LIMITS);
        self.now.monotonic_ms = 0;
        self.deadlines.clear();
        let stored = self
            .stored
            .rows
            .get(&(Tree::Producers, crate::producers::PRODUCER_ID_KEY.to_vec()));
        self.ids = ProducerIds::load(stored.map(Vec::as_slice)).unwrap();
        for ((tree, key), value) in &self.stored.rows {
            if *tree == Tree::Transactions {
                let id = transactional_id_of_key(key).unwrap();
                let deadline = self.machine.load(id, value, self.now).unwrap();
                self.deadlines
                    .extend(deadline.map(|at| (id.to_owned(), at)));
            }
        }
    }

    fn step(&mut self) {
        let i = self.rng.random_range(0..self.clients.len());
        match self.rng.random_range(0..100) {
            0..8 => self.init(i),
            8..60 => self.write(i),
            60..85 => self.end(i),
            85..88 => self.crash(),
            _ => self.pass_time(),
        }
        self.check();
    }

    fn init(&mut self, i: usize) {
        let expected = self.clients[i]
            .producer
            .filter(|_| self.rng.random_bool(0.5));
        let request = InitProducerId {
            transactional_id: self.clients[i].transactional_id,
            timeout_ms: self.rng.random_range(100..2_000),
            expected,
        };
        let mut effects = Effects::default();
        let answer = self
            .machine
            .init_producer_id(self.now, &request, &mut self.ids, &mut effects);
        let kept = self.commit(effects);
        // The answer may be lost on its way, too.
        if kept && self.rng.random_ratio(9, 10) {
            self.clients[i].producer = answer.ok();
            self.clients[i].open = None;
            self.clients[i].asked = None;
        }
    }

    /// A batch into a partition, which joins the transaction in the same commit.
    fn write(&mut self, i: usize) {
        let client = &self.clients[i];
        let (Some(producer), None) = (client.producer, client.asked) else {
            return;
        };
        let partition = PartitionId {
            topic: "t".to_owned(),
            partition: self.rng.random_range(0..PARTITIONS),
        };
        let who = Producer {
            transactional_id: client.transactional_id,
            producer,
        };
        let mut effects = Effects::default();
        let added = self
            .machine
            .add_partitions(self.now, who, [partition.clone()], &mut effects);
        if added.is_err() {
            assert_eq!(effects, Effects::default());
            self.clients[i].producer = None;
            self.clients[i].open = None;
            return;
        }
        if !self.commit(effects) {
            return;
        }
        let number = *self.clients[i].open.get_or_insert_with(|| {
            self.transactions += 1;
            self.transactions
        });
        let state = self
            .stored
            .partitions
            .entry((partition.partition, producer.producer_id))
            .or_default();
        assert!(
            producer.epoch >= state.epoch,
            "a fenced producer could write"
        );
        assert!(
            state.open.is_none_or(|open| open == number),
            "two transactions are open in one partition under one producer id"
        );
        state.epoch = producer.epoch;
        state.open = Some(number);
    }

    fn end(&mut self, i: usize) {
        let outcome = match self.clients[i].asked {
            Some(asked) => asked,
            None if self.rng.random_bool(0.7) => Outcome::Commit,
            None => Outcome::Abort,
        };
        let client = &mut self.clients[i];
        let (Some(producer), Some(number)) = (client.producer, client.open) else {
            return;
        };
        client.asked = Some(outcome);
        let who = Producer {
            transactional_id: client.transactional_id,
            producer,
        };
        // Both of the clients of an id follow the same rules.
        let version = match client.transactional_id {
            "a" => TransactionVersion::V2,
            _ => TransactionVersion::V1,
        };
        let mut effects = Effects::default();
        let answer = self
            .machine
            .end(self.now, who, outcome, version, &mut self.ids, &mut effects);
        if !self.commit(effects) || self.rng.random_ratio(1, 5) {
            // No answer: it asks again.
            return;
        }
        let client = &mut self.clients[i];
        client.asked = None;
        client.open = None;
        client.producer = answer.ok();
        if answer.is_ok() {
            self.ends_heard += 1;
            assert_eq!(
                self.stored.ended.get(&number),
                Some(&outcome),
                "transaction {number} is said to have ended"
            );
        }
    }

    fn pass_time(&mut self) {
        let ms = self.rng.random_range(1..400);
        self.now.monotonic_ms += ms;
        self.now.wall_ms += i64::try_from(ms).unwrap();
        let due: Vec<String> = self
            .deadlines
            .iter()
            .filter(|(_, at)| **at <= self.now.monotonic_ms)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            if self.deadlines.remove(&id).is_none() {
                continue;
            }
            let mut effects = Effects::default();
            self.machine.timed_out(self.now, &id, &mut effects);
            self.timed_out += u64::try_from(effects.endings.len()).unwrap();
            self.commit(effects);
        }
    }

    fn check(&self) {
        let mut reloaded = TransactionCoordinator::new(LIMITS);
        for ((tree, key), value) in &self.stored.rows {
            if *tree == Tree::Transactions {
                let id = transactional_id_of_key(key).unwrap();
                reloaded.load(id, value, self.now).unwrap();
            }
        }
        assert_eq!(reloaded, self.machine, "what is stored is what is known");
        // What a partition has open belongs to an open transaction that knows of the partition: it will get its marker.
        for ((partition, producer_id), state) in &self.stored.partitions {
            if state.open.is_some() {
                let owner = IDS
                    .iter()
                    .filter_map(|id| self.machine.describe(id))
                    .find(|d| d.producer.producer_id == *producer_id)
                    .expect("the producer is known");
                assert_eq!(owner.state, State::Ongoing);
                assert!(owner.partitions.iter().any(|p| p.partition == *partition));
            }
        }
        for id in IDS {
            let open = self
                .machine
                .describe(id)
                .is_some_and(|d| d.state == State::Ongoing);
            assert_eq!(
                open,
                self.deadlines.contains_key(id),
                "an open one has a timer"
            );
        }
    }
}

#[test]
fn every_transaction_ends_once_and_the_same_way_everywhere() {
    let seeds: u64 = match std::env::var("OTTLA_SIM_SEEDS") {
        Ok(seeds) => seeds.parse().expect("OTTLA_SIM_SEEDS is a number"),
        Err(_) => 200,
    };
    let (mut heard, mut timed_out, mut aborted) = (0, 0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed);
        for step in 0..400 {
            let at = std::panic::AssertUnwindSafe(|| world.step());
            if let Err(panic) = std::panic::catch_unwind(at) {
                eprintln!("seed {seed}, step {step}");
                std::panic::resume_unwind(panic);
            }
        }
        heard += world.ends_heard;
        timed_out += world.timed_out;
        let aborts = |outcome: &&Outcome| **outcome == Outcome::Abort;
        aborted += world.stored.ended.values().filter(aborts).count();
    }
    assert!(heard > seeds * 10, "too few transactions: {heard}");
    assert!(timed_out > seeds && aborted > 0, "{timed_out}, {aborted}");
}
