//! All clients together on one broker: idempotent producers, a consumer group, transactions, topics that come and go, a compacted topic,
//! records that fail, snapshots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::compacted::{self, Compacted};
use super::dead_letters::DeadLetters;
use super::groups::{Progress, committed, consume, group_settings};
use super::promises::Promise;
use super::records::{
    Acknowledged, PARTITIONS, PRODUCERS, Told, assert_kept, assert_once_and_in_order, produce,
    read_all,
};
use super::snapshots::{self, Snapshots};
use super::topics::{State, Topics};
use super::transfers::Transfers;
use super::{Signals, TIMEOUT, create_topic};
use crate::harness::unique;

/// Records of dead letters' topic in each partition, at most: all are read in the end, one failure after the other.
const DEAD_LETTERS: usize = 2_000;

/// Clients at work.
pub struct Workload {
    bootstrap: String,
    topic: String,
    group: String,
    signals: Arc<Signals>,
    acknowledged: Vec<Arc<Acknowledged>>,
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<()>>,
    transfers: Option<Transfers>,
    topics: Option<Topics>,
    compacted: Option<Compacted>,
    dead_letters: Option<DeadLetters>,
    /// With the data directory, from which they are restored.
    snapshots: Option<(Snapshots, PathBuf)>,
    /// What was told before the last crash.
    before: Before,
}

#[derive(Default)]
struct Before {
    told: Vec<Told>,
    confirmed: BTreeMap<i32, i64>,
    topics: State,
    compacted: compacted::Records,
    snapshots: snapshots::State,
}

/// What was done and held.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Records that were acknowledged and read back.
    pub records: u64,
    /// Transactions that were committed or aborted, and told so.
    pub transactions: u64,
    /// Topics made, trimmed and removed.
    pub topics: u64,
    /// Records that compaction removed.
    pub compacted: u64,
    /// Records that failed, were dead-lettered, and came back.
    pub dead_letters: u64,
    /// Snapshots saved.
    pub snapshots: u64,
}

impl Summary {
    /// What is counted, with its name.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("records", self.records),
            ("transactions", self.transactions),
            ("topics", self.topics),
            ("compacted away", self.compacted),
            ("dead letters", self.dead_letters),
            ("snapshots", self.snapshots),
        ]
    }

    /// Adds what another did.
    pub fn add(&mut self, other: &Summary) {
        self.records += other.records;
        self.transactions += other.transactions;
        self.topics += other.topics;
        self.compacted += other.compacted;
        self.dead_letters += other.dead_letters;
        self.snapshots += other.snapshots;
    }
}

impl Workload {
    /// Producers and a group alone.
    pub fn of_records(bootstrap: &str) -> Workload {
        let mut workload = Workload {
            bootstrap: bootstrap.to_owned(),
            topic: unique("crash"),
            group: unique("crash-group"),
            signals: Arc::default(),
            acknowledged: (0..PRODUCERS).map(|_| Arc::default()).collect(),
            progress: Arc::default(),
            threads: Vec::new(),
            transfers: None,
            topics: None,
            compacted: None,
            dead_letters: None,
            snapshots: None,
            before: Before::default(),
        };
        create_topic(bootstrap, &workload.topic, PARTITIONS);
        for (producer, acknowledged) in workload.acknowledged.iter().enumerate() {
            let (bootstrap, topic) = (bootstrap.to_owned(), workload.topic.clone());
            let (acknowledged, signals) = (Arc::clone(acknowledged), Arc::clone(&workload.signals));
            workload.threads.push(thread::spawn(move || {
                produce(bootstrap, topic, producer, acknowledged, signals);
            }));
        }
        for _ in 0..2 {
            let config = group_settings(bootstrap, &workload.group);
            let (topic, signals) = (workload.topic.clone(), Arc::clone(&workload.signals));
            let progress = Arc::clone(&workload.progress);
            workload.threads.push(thread::spawn(move || {
                consume(config, topic, progress, signals)
            }));
        }
        workload
    }

    /// All of it. The broker must have [`super::dead_letters::SETTINGS`].
    pub fn start(bootstrap: &str, data_dir: &Path) -> Workload {
        let mut workload = Workload::of_records(bootstrap);
        workload.transfers = Some(Transfers::start(bootstrap));
        let signals = Arc::clone(&workload.signals);
        workload.compacted = Some(Compacted::start(bootstrap, signals));
        workload.topics = Some(Topics::start(bootstrap, Arc::clone(&workload.signals)));
        let signals = Arc::clone(&workload.signals);
        workload.dead_letters = Some(DeadLetters::start(bootstrap, DEAD_LETTERS, signals));
        let snapshots = Snapshots::start(
            bootstrap,
            &workload.topic,
            workload.acknowledged.clone(),
            Arc::clone(&workload.signals),
        );
        workload.snapshots = Some((snapshots, data_dir.to_owned()));
        workload
    }

    fn told(&self) -> Vec<Told> {
        self.acknowledged.iter().map(|a| a.told()).collect()
    }

    fn total(&self) -> usize {
        self.told().iter().map(Told::len).sum()
    }

    /// Waits until something was done since the last crash, so that each finds work under way.
    pub fn get_somewhere(&self) {
        let records: usize = self.before.told.iter().map(Told::len).sum();
        let deadline = Instant::now() + TIMEOUT;
        while self.total() < records + 200 {
            assert!(Instant::now() < deadline, "no progress");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// To be called when the broker is dead: what counts as told.
    pub fn note(&mut self) {
        // What is not under way yet begins after the look at what was told.
        self.signals.pause.store(true, Ordering::Relaxed);
        self.before = Before {
            told: self.told(),
            confirmed: self.progress.confirmed(),
            topics: self.topics.as_ref().map(Topics::known).unwrap_or_default(),
            compacted: self
                .compacted
                .as_ref()
                .map(Compacted::told)
                .unwrap_or_default(),
            snapshots: self
                .snapshots
                .as_ref()
                .map(|(snapshots, _)| snapshots.known())
                .unwrap_or_default(),
        };
    }

    /// To be called when it is back: what was told before [`Workload::note`] holds.
    pub fn verify(&self) {
        let log = read_all(&self.bootstrap, &self.topic);
        assert_kept(&log, &self.before.told);
        assert_once_and_in_order(&log);
        let stored = committed(&self.bootstrap, &self.topic, &self.group);
        for (partition, offset) in &self.before.confirmed {
            let stored = stored.get(partition).copied().unwrap_or(-1);
            Promise::Positions.hold(stored >= *offset, || {
                format!("partition {partition} had {offset} committed, now {stored}")
            });
        }
        for acknowledged in &self.acknowledged {
            acknowledged.assert_nothing_failed();
        }
        if let Some(topics) = &self.topics {
            topics.verify(&self.before.topics);
        }
        if let Some(compacted) = &self.compacted {
            compacted.verify(&self.before.compacted);
        }
        if let Some((snapshots, _)) = &self.snapshots {
            snapshots.verify(&self.before.snapshots);
        }
        self.signals.pause.store(false, Ordering::Relaxed);
    }

    /// Lets all clients end what they do, and looks at everything once more.
    pub fn finish(self) -> Summary {
        self.signals.stop.store(true, Ordering::Relaxed);
        self.transfers.iter().for_each(Transfers::stop);
        self.topics.iter().for_each(Topics::stop);
        for thread in self.threads {
            thread.join().expect("no client failed");
        }
        let told: Vec<Told> = self.acknowledged.iter().map(|a| a.told()).collect();
        let log = read_all(&self.bootstrap, &self.topic);
        assert_kept(&log, &told);
        assert_once_and_in_order(&log);
        let sent = |a: &Arc<Acknowledged>| a.sent.load(Ordering::Relaxed);
        let sent: u64 = self.acknowledged.iter().map(sent).sum();
        let there = log.len() as u64;
        Promise::Kept.hold_all(sent.saturating_sub(there), || {
            format!("{sent} were sent, {there} are there")
        });
        self.progress.assert_still_there(&log);
        Summary {
            records: sent,
            transactions: self.transfers.map_or(0, |t| t.finish().len() as u64),
            topics: self.topics.map_or(0, Topics::finish),
            compacted: self.compacted.map_or(0, Compacted::finish),
            dead_letters: self.dead_letters.map_or(0, DeadLetters::finish),
            snapshots: self
                .snapshots
                .map_or(0, |(snapshots, dir)| snapshots.finish(&dir, &log)),
        }
    }
}
