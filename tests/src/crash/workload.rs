//! All clients together on one broker: idempotent producers, a consumer group, transactions, topics that come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::compacted::{self, Compacted};
use super::groups::{Progress, committed, consume, group_settings};
use super::records::{
    Acknowledged, Log, PARTITIONS, PRODUCERS, Told, assert_kept, assert_once_and_in_order, produce,
    read_all,
};
use super::topics::{State, Topics};
use super::transfers::Transfers;
use super::{Signals, TIMEOUT, create_topic};
use crate::harness::unique;

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
    /// What was told before the last crash.
    before: Before,
}

#[derive(Default)]
struct Before {
    told: Vec<Told>,
    confirmed: BTreeMap<i32, i64>,
    topics: State,
    compacted: compacted::Records,
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

    /// All of it.
    pub fn start(bootstrap: &str) -> Workload {
        let mut workload = Workload::of_records(bootstrap);
        workload.transfers = Some(Transfers::start(bootstrap));
        let signals = Arc::clone(&workload.signals);
        workload.compacted = Some(Compacted::start(bootstrap, signals));
        workload.topics = Some(Topics::start(bootstrap, Arc::clone(&workload.signals)));
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
            assert!(
                stored >= *offset,
                "partition {partition} had {offset} committed, now {stored}"
            );
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
        self.signals.pause.store(false, Ordering::Relaxed);
    }

    /// Lets all clients end what they do, and looks at everything once more.
    pub fn finish(self) -> Summary {
        self.finish_with_log().0
    }

    /// The topic of its producers.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// As [`Workload::finish`], with what is in the topic of its producers.
    pub fn finish_with_log(self) -> (Summary, Log) {
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
        assert_eq!(log.len() as u64, sent, "all that was sent came once");
        self.progress.assert_still_there(&log);
        let summary = Summary {
            records: sent,
            transactions: self.transfers.map_or(0, |t| t.finish().len() as u64),
            topics: self.topics.map_or(0, Topics::finish),
            compacted: self.compacted.map_or(0, Compacted::finish),
        };
        (summary, log)
    }
}
