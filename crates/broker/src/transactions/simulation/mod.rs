//! Seeded simulation of transactions from the handlers down to a disk that crashes, fills up and fails syncs: a bank.
//!
//! Clients consume orders, move amounts between accounts in several partitions and commit their positions in the same
//! transactions. They die and go on as zombies, stall until they are timed out, lose answers and ask again; requests that are given
//! up arrive later. `OTTLA_SIM_SEED=n` runs one seed, `OTTLA_SIM_SEEDS=n` that many. A failure names its seed.
#![allow(clippy::unwrap_used)]

mod bank;
mod client;
mod failed_sync;
mod process;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;
use ottla_codec::records::BatchBuilder;
use ottla_coordinator::transactions::TransactionVersion;
use ottla_storage::StoreError;
use ottla_storage::fs::sim::{SimFs, SimStats};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::bank::Bank;
use self::client::{Client, Next};
use self::process::MAX_TIMEOUT_MS;
use self::requests::{Answer, Call, Identity};
use crate::reply::{Later, Reply};
use crate::settings::Settings;
use crate::simulated::{Damage, Process, SetClock, Timers, poll};

/// Where orders come from: topic and partitions.
const INPUTS: (&str, i32) = ("orders", 3);
const ACCOUNT_TOPICS: [&str; 2] = ["accounts-a", "accounts-b"];
const PARTITIONS_OF_ACCOUNTS: i32 = 2;
/// Each has a partition.
const ACCOUNTS: usize = 4;
const GROUP: &str = "bank";

const LIVES: usize = 5;
const SEEDS: u64 = 200;

/// A partition.
#[derive(Debug, Clone, Copy)]
struct Place {
    topic: &'static str,
    partition: i32,
}

fn place_of(account: usize) -> Place {
    let partitions = PARTITIONS_OF_ACCOUNTS as usize;
    Place {
        topic: ACCOUNT_TOPICS[account / partitions],
        partition: (account % partitions) as i32,
    }
}

/// What happened in a run.
#[derive(Debug, Default)]
struct Events {
    lives: u64,
    committed: usize,
    told: usize,
    aborted: usize,
    fenced: u64,
    zombies: u64,
    late: u64,
    checks: u64,
    checkpoints: u64,
    deleted: u64,
    /// Steps after a failed sync.
    after_failure: u64,
    disk: SimStats,
}

impl Events {
    fn add(&mut self, other: &Events) {
        self.lives += other.lives;
        self.committed += other.committed;
        self.told += other.told;
        self.aborted += other.aborted;
        self.fenced += other.fenced;
        self.zombies += other.zombies;
        self.late += other.late;
        self.checks += other.checks;
        self.checkpoints += other.checkpoints;
        self.deleted += other.deleted;
        self.after_failure += other.after_failure;
        self.disk.power_cuts += other.disk.power_cuts;
        self.disk.torn_writes += other.disk.torn_writes;
        self.disk.lost_writes += other.disk.lost_writes;
        self.disk.refused_writes += other.disk.refused_writes;
        self.disk.failed_syncs += other.disk.failed_syncs;
    }
}

struct World {
    rng: StdRng,
    fs: SimFs,
    settings: Arc<Settings>,
    clock: SetClock,
    process: Option<Process>,
    clients: Vec<Client>,
    /// What clients wait for, by their places.
    waiting: BTreeMap<usize, Later<Answer>>,
    /// Requests that were given up and arrive later.
    late: Vec<(Identity, Call)>,
    timers: Timers,
    /// The last life of each transactional id whose Init was heard of.
    alive: BTreeMap<i32, u64>,
    bank: Bank,
    full: bool,
    events: Events,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let clients = (0..INPUTS.1).map(|input| {
            let version = match rng.random_bool(0.6) {
                true => TransactionVersion::V2,
                false => TransactionVersion::V1,
            };
            let mut client = Client::new(input, version);
            client.begin(&mut rng);
            client
        });
        let clients = clients.collect();
        World {
            rng,
            fs: SimFs::new(seed),
            settings: process::settings(),
            clock: process::clock(),
            process: None,
            clients,
            waiting: BTreeMap::new(),
            late: Vec::new(),
            timers: Timers::default(),
            alive: BTreeMap::new(),
            bank: Bank::default(),
            full: false,
            events: Events::default(),
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn now_ms(&self) -> i64 {
        self.clock.lock().wall_ms
    }

    fn run(mut self) -> Events {
        for _ in 0..LIVES {
            self.open();
            self.verify();
            self.live();
            self.die();
        }
        self.open();
        self.verify();
        self.end();
        self.events.disk = self.fs.stats();
        self.events.committed = self.bank.committed;
        self.events.told = self.bank.told.len();
        let aborts = self.bank.told.values();
        self.events.aborted = aborts.filter(|o| **o == Outcome::Abort).count();
        self.events
    }

    /// Starts a broker, through crashes of the start if need be.
    fn open(&mut self) {
        self.fs.set_free(None);
        self.full = false;
        for _ in 0..1000 {
            self.clock.lock().monotonic_ms = 0;
            if self.rng.random_bool(0.3) {
                self.fs.crash_after(self.rng.random_range(0..60));
            }
            match Process::open(&self.fs, &self.settings, &self.clock) {
                Ok(process) if !self.fs.has_crashed() => {
                    self.process = Some(process);
                    self.fs.crash_after(u64::MAX);
                    self.events.lives += 1;
                    return;
                }
                Ok(_) => self.cut(),
                Err(e) => {
                    assert!(self.fs.has_crashed(), "a start failed: {e}");
                    self.cut();
                }
            }
        }
        panic!("a thousand crashes in a row");
    }

    fn cut(&mut self) {
        let end = match self.rng.random_bool(0.8) {
            true => Damage::PowerCut,
            false => Damage::Kill,
        };
        end.befall(&self.fs);
    }

    /// The process ends, or the power. Who waits hears nothing.
    fn die(&mut self) {
        self.waiting.clear();
        self.timers = Timers::default();
        self.process = None;
        self.cut();
        let outage = self.rng.random_range(0..2_000);
        self.clock.lock().wall_ms += outage;
    }

    fn live(&mut self) {
        // A topic that a crash took is made again.
        if !self.process().make_topics() || !self.process().settle() {
            return;
        }
        self.fs.crash_after(self.rng.random_range(50..1500));
        for _ in 0..self.rng.random_range(100..400) {
            if self.fs.has_crashed() {
                return;
            }
            if self.has_failed() {
                self.live_on_after_a_failed_sync();
                return;
            }
            self.step();
        }
    }

    fn has_failed(&self) -> bool {
        let trouble = self.process().stepped.store().write_trouble();
        matches!(trouble, Some(StoreError::Failed(_)))
    }

    /// Nothing is taken any more until the next start, and what of the last commits is on the disk is not known. Clients ask on.
    fn live_on_after_a_failed_sync(&mut self) {
        for _ in 0..self.rng.random_range(0..60) {
            match self.rng.random_range(0..10) {
                0 => self.pass_time(),
                1 => self.arrive_late(),
                2 => _ = self.process().stepped.write(),
                _ => self.client(),
            }
            if self.fs.has_crashed() {
                return;
            }
            self.events.after_failure += 1;
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..1000) {
            0..60 => {
                let orders = self.rng.random_range(1..6);
                drop(self.order(vec![Bytes::from_static(b"transfer"); orders]));
            }
            60..600 => self.client(),
            600..800 => _ = self.process().stepped.write(),
            800..870 => self.pass_time(),
            870..890 => self.arrive_late(),
            890..915 => self.events.checkpoints += u64::from(self.process().stepped.checkpoint()),
            915..920 => self.process().stepped.flush(),
            920..930 => self.process().stepped.remove_files(),
            930..945 => self.delete_records(),
            945..955 => {
                self.full = !self.full;
                let free = self.full.then(|| self.rng.random_range(0..12_000));
                self.fs.set_free(free);
            }
            955..957 if self.rng.random_bool(0.3) => self.fs.fail_next_sync(),
            957..965 => self.expire(),
            965..985 => _ = self.read(),
            _ => self.verify(),
        }
    }

    /// Somebody orders transfers.
    fn order(&mut self, orders: Vec<Bytes>) -> Later<Answer> {
        let place = Place {
            topic: INPUTS.0,
            partition: self.rng.random_range(0..INPUTS.1),
        };
        let now_ms = self.now_ms();
        let builder = BatchBuilder::default();
        requests::produce(self.process(), 12, None, place, &builder, &orders, now_ms)
    }

    fn orders(&self, input: i32) -> i64 {
        let store = self.process().stepped.store();
        let topic = store.topics().by_name(INPUTS.0).cloned();
        let partition = topic.and_then(|topic| store.partition(&topic.id, input));
        partition.map_or(0, |p| p.high_watermark())
    }

    /// One of the clients looks for its answer, or asks.
    fn client(&mut self) {
        let at = self.rng.random_range(0..self.clients.len());
        if self.clients[at].is_zombie && self.rng.random_bool(0.02) {
            self.remove(at);
            return;
        }
        if let Some(waits) = self.waiting.get_mut(&at) {
            match poll(waits) {
                Poll::Pending if self.rng.random_bool(0.97) => return,
                // Its connection is lost, or the answer is: it asks again, or begins anew.
                Poll::Pending => _ = self.waiting.remove(&at),
                Poll::Ready(answer) => {
                    self.waiting.remove(&at);
                    if !self.rng.random_bool(0.08) {
                        self.heard(at, answer);
                        return;
                    }
                }
            }
            if self.rng.random_bool(0.1) {
                self.renew(at);
            }
            return;
        }
        if self.rng.random_bool(0.01) {
            self.renew(at);
            return;
        }
        let orders = self.orders(self.clients[at].who.input);
        let client = &mut self.clients[at];
        let Some(call) = client.call(orders, &mut self.bank, &mut self.rng) else {
            return;
        };
        client.asked_after = self.alive.get(&client.who.input).copied().unwrap_or(0);
        let who = client.who;
        // Only a client that bumps its epoch with each transaction is safe from its own late requests (KIP-890).
        if who.version == TransactionVersion::V2 && self.rng.random_bool(0.03) {
            self.late.push((who, call.clone()));
        }
        if self.rng.random_bool(0.02) {
            // It never arrives.
            return;
        }
        let sent = requests::send(self.process(), who, &call, self.now_ms());
        self.waiting.insert(at, sent);
    }

    fn heard(&mut self, at: usize, answer: Answer) {
        let client = &mut self.clients[at];
        let input = client.who.input;
        let last = self.alive.get(&input).copied().unwrap_or(0);
        let is_end = client.ends();
        if answer.error == 0 && client.begins() {
            self.alive.insert(input, last.max(client.life));
        }
        // The successor's life had begun before this end was asked for.
        if is_end && client.asked_after > client.life {
            assert_ne!(answer.error, 0, "a zombie ended a transaction");
        }
        if client.heard(answer, &mut self.bank) == Next::IsOver {
            self.events.fenced += 1;
            match self.clients[at].is_zombie {
                true => self.remove(at),
                false => self.renew(at),
            }
        }
    }

    /// A new instance takes the place of one that may go on.
    fn renew(&mut self, at: usize) {
        if self.clients[at].is_zombie {
            self.remove(at);
            return;
        }
        let waits = self.waiting.remove(&at);
        if self.clients.len() < 6 && self.clients[at].has_begun() && self.rng.random_bool(0.4) {
            self.events.zombies += 1;
            let mut zombie = self.clients[at].clone();
            zombie.is_zombie = true;
            self.clients.push(zombie);
            if let Some(waits) = waits {
                self.waiting.insert(self.clients.len() - 1, waits);
            }
        }
        self.clients[at].begin(&mut self.rng);
    }

    fn remove(&mut self, at: usize) {
        self.clients.remove(at);
        let waiting = std::mem::take(&mut self.waiting);
        let moved = waiting.into_iter().filter(|(n, _)| *n != at);
        self.waiting = moved
            .map(|(n, w)| (if n > at { n - 1 } else { n }, w))
            .collect();
    }

    fn arrive_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.late.len());
        let (who, call) = self.late.swap_remove(at);
        self.events.late += 1;
        let now_ms = self.now_ms();
        // Nobody waits for the answer.
        drop(requests::send(self.process(), who, &call, now_ms));
    }

    fn pass_time(&mut self) {
        let ms = match self.rng.random_bool(0.05) {
            true => self.rng.random_range(1..9_000),
            false => self.rng.random_range(1..150),
        };
        self.advance(ms);
    }

    fn advance(&mut self, ms: u64) {
        {
            let mut now = self.clock.lock();
            now.monotonic_ms += ms;
            now.wall_ms += i64::try_from(ms).unwrap();
        }
        let process = self.process.as_ref().unwrap();
        self.timers.run(process);
    }

    fn expire(&mut self) {
        let shared = &self.process().broker.groups.shared;
        shared.expire_transactional_ids(&mut shared.lock());
        shared.expire_offsets();
    }

    /// Reads a partition to its end.
    fn read(&mut self) -> Option<usize> {
        let account = self.rng.random_range(0..ACCOUNTS);
        let process = self.process.as_ref().unwrap();
        match self.bank.read(process, account) {
            Ok(_) => Some(account),
            Err(_) => {
                assert!(self.fs.has_crashed(), "account {account} cannot be read");
                None
            }
        }
    }

    fn delete_records(&mut self) {
        let Some(account) = self.read() else {
            return;
        };
        let end = self.bank.seen[account].end();
        let to = self.rng.random_range(0..=end);
        requests::delete_records(self.process(), place_of(account), to);
        self.events.deleted += 1;
    }

    /// Everything holds that must, once all that is on its way has been written.
    fn verify(&mut self) {
        let topics = self.process().stepped.store().topics().len();
        if topics < 1 + ACCOUNT_TOPICS.len() {
            assert_eq!(self.bank.told.len(), 0, "topics are gone");
            return;
        }
        if !self.process().settle() || self.fs.has_crashed() {
            return;
        }
        // Nothing goes wrong while one looks.
        self.fs.crash_after(u64::MAX);
        let process = self.process.as_ref().unwrap();
        for account in 0..ACCOUNTS {
            self.bank.read(process, account).expect("readable");
            let start = bank::log_start(process, account);
            let end = self.bank.seen[account].end();
            let from = match self.rng.random_bool(0.5) {
                true => start,
                false => self.rng.random_range(start..=end.max(start)),
            };
            let max = self.rng.random_range(1..3_000);
            self.bank.check_committed(process, account, from, max);
        }
        let offsets = (0..INPUTS.1).map(|input| {
            let (error, offset) = requests::committed(process, input, false);
            assert_eq!(error, 0);
            offset.max(0)
        });
        let offsets: Vec<i64> = offsets.collect();
        self.bank.check_transfers(&offsets);
        self.bank.check_open(process);
        self.events.checks += 1;
        self.fs.crash_after(self.rng.random_range(20..1_000));
    }

    /// Clients go away: what they left is aborted, and then there is nothing undecided.
    fn end(&mut self) {
        self.fs.crash_after(u64::MAX);
        self.fs.set_free(None);
        if self.process().stepped.store().topics().len() < 1 + ACCOUNT_TOPICS.len() {
            return;
        }
        self.waiting.clear();
        self.late.clear();
        if self.rng.random_bool(0.5) {
            // Time-outs that are not kept, and nobody who asks.
            self.advance(MAX_TIMEOUT_MS as u64);
            self.fs.set_free(Some(0));
            // A large append has no room, and takes all with it that was to be written with it.
            let order = self.order(vec![Bytes::from(vec![0; 70_000])]);
            // The store may have found room meanwhile: journal files that it needs no more.
            self.process().settle();
            let answer = self.process().answer(Reply::Later(order));
            assert_eq!(answer.error, ResponseError::KafkaStorageError.code());
            self.fs.set_free(None);
            self.process().settle();
        }
        for _ in 0..5 {
            self.advance(MAX_TIMEOUT_MS as u64);
            assert!(self.process().settle(), "the disk is well");
        }
        self.verify();
        let process = self.process.as_ref().unwrap();
        for account in 0..ACCOUNTS {
            let found = self.bank.read(process, account).expect("readable");
            assert_eq!(
                found.last_stable, found.high_watermark,
                "account {account} stays undecided"
            );
        }
        for input in 0..INPUTS.1 {
            let (error, _) = requests::committed(process, input, true);
            assert_eq!(error, 0, "the position of input {input} stays undecided");
            let (state, ..) = requests::describe(process, input);
            assert_ne!(state, "Ongoing");
        }
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_seeds(seeds: impl Iterator<Item = u64>) -> Events {
    let mut events = Events::default();
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        match outcome {
            Ok(more) => events.add(&more),
            Err(_) => panic!("the simulation failed: OTTLA_SIM_SEED={seed}"),
        }
    }
    events
}

#[test]
fn every_transfer_happens_once_or_not_at_all_whatever_crashes() {
    let seeds = match env("OTTLA_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("OTTLA_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let count = seeds.end - seeds.start;
    let events = run_seeds(seeds);
    println!("{events:?}");
    if count >= SEEDS {
        assert!(events.committed as u64 > count * 5, "{events:?}");
        assert!(events.aborted > 0 && events.fenced > 0 && events.zombies > 0 && events.late > 0);
        assert!(events.checks > count && events.checkpoints > 0 && events.deleted > 0);
        let disk = events.disk;
        assert!(disk.torn_writes > 0 && disk.refused_writes > 0 && disk.failed_syncs > 0);
        assert!(events.after_failure > 0, "{events:?}");
    }
}
