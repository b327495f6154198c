//! The order in which commits come into the journal. It is the order in which they were made, except that a large append has its place
//! only once its bytes are in its segment: what has nothing to do with it goes by meanwhile.
//!
//! Of two commits the earlier one comes first if both append to one partition, or if it changes a tree, or if the later one
//! changes the catalogue. So each partition and each tree is, at any moment, as it was after one of its commits.
//!
//! The device takes the bytes of a large append and its record in the journal side by side, and one of them may be there without the
//! other after a power cut: the commit is *unsettled* until both are. A record without its bytes is left out then
//! (`recovery`), so what must follow the commit comes into the journal only when it is settled.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::partition::PendingAppend;
use crate::queue::{Job, Large, QueuedOp};

/// Commits that are not kept yet, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Those that are not in the journal.
    jobs: VecDeque<Job>,
    /// Those that are, by their record's number.
    unsettled: BTreeMap<u64, Job>,
}

impl Job {
    /// Its appends.
    pub fn appends(&self) -> impl Iterator<Item = &PendingAppend> + Clone {
        self.ops.iter().filter_map(|op| match op {
            QueuedOp::Append(append) => Some(append),
            QueuedOp::Meta(_) => None,
        })
    }

    /// Whether it changes a tree.
    pub fn changes_trees(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, QueuedOp::Meta(_)))
    }

    fn changes_catalogue(&self) -> bool {
        self.ops.iter().any(|op| match op {
            QueuedOp::Meta(op) => op.changes_catalogue(),
            QueuedOp::Append(_) => false,
        })
    }

    /// Whether it is kept once it is in the journal.
    pub fn is_settled(&self) -> bool {
        self.large != Large::Written
    }

    /// Whether its bytes may go to their segments before it has a place in the journal.
    pub fn may_be_overtaken(&self) -> bool {
        !self.changes_trees() && self.appends().any(PendingAppend::is_large)
    }
}

impl Waiting {
    /// Adds a commit made after all that are there.
    pub fn add(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// The large appends of these commits, in order, have come to `step`. Returns those that are settled by it, in order.
    pub fn arrived(&mut self, commits: &[u64], step: Large) -> Vec<Job> {
        let is_one = |job: &Job| commits.binary_search(&job.seq).is_ok();
        for job in self.jobs.iter_mut().filter(|job| is_one(job)) {
            job.large = step;
        }
        let settled = self.unsettled.extract_if(.., |_, job| is_one(job));
        let mut settled: Vec<Job> = settled.map(|(_, job)| job).collect();
        settled.sort_by_key(|job| job.seq);
        settled
    }

    /// Takes out what the journal may have now.
    pub fn take_ready(&mut self) -> Vec<Job> {
        let mut ready = Vec::new();
        let mut kept = VecDeque::new();
        // What is kept appends to these, and whether it changes a tree; what is unsettled does so, too, and never changes one.
        let appended = self.unsettled.values().flat_map(Job::appends);
        let mut partitions: HashSet<u64> = appended.map(|a| a.partition.uid()).collect();
        let mut any_unsettled = !self.unsettled.is_empty();
        let mut trees = false;
        for job in self.jobs.drain(..) {
            let is_behind = |a: &PendingAppend| partitions.contains(&a.partition.uid());
            let waits = job.large == Large::Sent
                || trees
                || job.appends().any(is_behind)
                || (any_unsettled || !kept.is_empty()) && job.changes_catalogue();
            let will_be_unsettled = !waits && !job.is_settled();
            if waits || will_be_unsettled {
                partitions.extend(job.appends().map(|a| a.partition.uid()));
            }
            any_unsettled |= will_be_unsettled;
            if waits {
                trees |= job.changes_trees();
                kept.push_back(job);
            } else {
                ready.push(job);
            }
        }
        self.jobs = kept;
        ready
    }

    /// The journal has this commit as the record of this number, and the device not all of its bytes.
    pub fn add_unsettled(&mut self, record: u64, job: Job) {
        self.unsettled.insert(record, job);
    }

    /// The first record of the journal that is unsettled.
    pub fn first_unsettled(&self) -> Option<u64> {
        self.unsettled.keys().next().copied()
    }

    /// Takes out everything that is not in the journal.
    pub fn take_all(&mut self) -> Vec<Job> {
        self.jobs.drain(..).collect()
    }

    /// Takes out what is unsettled.
    pub fn take_unsettled(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.unsettled).into_values().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.unsettled.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::fs::sim::SimFs;
    use crate::journal::format::{JournalOp, Place};
    use crate::partition::Partition;
    use crate::simulation::{options, tuning};
    use crate::{Durability, NewTopic, Store, TopicId};

    const TOPIC: TopicId = TopicId::from_u128(5);
    const PARTITIONS: usize = 3;

    fn partitions() -> Vec<Arc<Partition>> {
        let fs = Arc::new(SimFs::new(1));
        let options = options(Durability::Disk);
        let store = Store::open_stepped(fs, Path::new("/data"), options, tuning()).unwrap();
        let new = NewTopic {
            id: TOPIC,
            name: "t".to_owned(),
            partitions: PARTITIONS as i32,
            configs: BTreeMap::from([("segment.bytes".to_owned(), "72000".to_owned())]),
            created_ms: 0,
        };
        store.create_topic(new).unwrap().unwrap();
        let partitions = 0..PARTITIONS as i32;
        partitions
            .map(|i| store.partition(&TOPIC, i).unwrap())
            .collect()
    }

    fn append(partition: &Arc<Partition>, large: bool) -> QueuedOp {
        QueuedOp::Append(PendingAppend {
            partition: partition.clone(),
            place: Place {
                topic: TOPIC,
                partition: partition.index(),
                base_offset: 0,
                next_offset: 1,
                segment: 0,
                position: 0,
                now_ms: 0,
                max_timestamp: 0,
            },
            bytes: Bytes::from(vec![0; if large { 100_000 } else { 10 }]),
            count: 1,
        })
    }

    fn change(tree: crate::meta::TreeId) -> QueuedOp {
        QueuedOp::Meta(JournalOp::Meta {
            tree,
            key: Bytes::new(),
            value: None,
        })
    }

    fn copy(op: &QueuedOp) -> QueuedOp {
        match op {
            QueuedOp::Append(append) => QueuedOp::Append(append.clone()),
            QueuedOp::Meta(op) => QueuedOp::Meta(op.clone()),
        }
    }

    /// Whether `later` must not be in the journal before `earlier`.
    fn must_follow(earlier: &Job, later: &Job) -> bool {
        let same = |a: &PendingAppend| {
            later
                .appends()
                .any(|b| Arc::ptr_eq(&a.partition, &b.partition))
        };
        earlier.appends().any(same) || earlier.changes_trees() || later.changes_catalogue()
    }

    fn job(seq: u64, ops: Vec<QueuedOp>) -> Job {
        let mut job = Job {
            seq,
            ops,
            large: Large::None,
        };
        if job.may_be_overtaken() {
            job.large = Large::Sent;
        }
        job
    }

    #[test]
    fn what_depends_on_another_comes_after_it_and_everything_comes() {
        let partitions = partitions();
        let (mut overtaken, mut held, mut unsettled) = (0, 0, 0);
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut waiting = Waiting::default();
            let (mut sent, mut written) = (Vec::new(), Vec::new());
            let mut made = 0;
            let mut journal: Vec<Job> = Vec::new();
            // Commits that the journal has, in its order, and which of them are settled.
            let (mut records, mut settled) = (Vec::<Job>::new(), BTreeSet::new());
            while made < 60 || !waiting.is_empty() {
                if made < 60 && rng.random_bool(0.6) {
                    made += 1;
                    let mut ops = Vec::new();
                    for partition in &partitions {
                        if rng.random_bool(0.4) {
                            ops.push(append(partition, rng.random_bool(0.3)));
                        }
                    }
                    if ops.is_empty() || rng.random_bool(0.1) {
                        ops.push(change(if rng.random_bool(0.1) { 101 } else { 2 }));
                    }
                    let job = job(made, ops);
                    if job.large == Large::Sent {
                        sent.push(job.seq);
                    }
                    waiting.add(job);
                    continue;
                }
                // Segments are synced beside one another, so any may come first.
                let synced = written.extract_if(.., |_| rng.random_bool(0.5));
                let synced: Vec<u64> = synced.collect();
                for job in waiting.arrived(&synced, Large::Synced) {
                    settled.insert(job.seq);
                    journal.push(job);
                }
                let some = sent.extract_if(.., |_| rng.random_bool(0.5));
                let some: Vec<u64> = some.collect();
                assert!(waiting.arrived(&some, Large::Written).is_empty());
                written.extend(some);
                written.sort_unstable();
                for job in waiting.take_ready() {
                    for earlier in &records {
                        let is_kept = settled.contains(&earlier.seq);
                        assert!(is_kept || !must_follow(earlier, &job), "seed {seed}");
                    }
                    let copy = Job {
                        ops: job.ops.iter().map(copy).collect(),
                        ..job
                    };
                    records.push(copy);
                    if job.is_settled() {
                        settled.insert(job.seq);
                        journal.push(job);
                    } else {
                        unsettled += 1;
                        waiting.add_unsettled(records.len() as u64, job);
                    }
                }
                let first = records.iter().position(|job| !settled.contains(&job.seq));
                assert_eq!(waiting.first_unsettled(), first.map(|i| i as u64 + 1));
                held += usize::from(!waiting.is_empty());
            }
            for order in [&records, &journal] {
                assert_eq!(order.len(), 60, "seed {seed}");
                for (i, later) in order.iter().enumerate() {
                    for earlier in &order[i + 1..] {
                        let (a, b) = (earlier.seq, later.seq);
                        if a < b {
                            overtaken += 1;
                            assert!(!must_follow(earlier, later), "seed {seed}: {b} before {a}");
                            assert!(earlier.may_be_overtaken() || !earlier.changes_trees());
                        }
                    }
                }
            }
        }
        let counts = [overtaken, held, unsettled];
        assert!(counts.into_iter().all(|n| n > 1000), "{counts:?}");
    }

    #[test]
    fn what_follows_a_large_append_waits_until_it_is_settled() {
        let partitions = partitions();
        let mut waiting = Waiting::default();
        waiting.add(job(1, vec![append(&partitions[0], true)]));
        waiting.add(job(2, vec![append(&partitions[0], true)]));
        waiting.add(job(3, vec![append(&partitions[1], true)]));
        waiting.add(job(4, vec![change(101)]));
        assert!(waiting.take_ready().is_empty());
        waiting.arrived(&[1, 2, 3], Large::Written);
        let ready = waiting.take_ready();
        assert_eq!(ready.iter().map(|job| job.seq).collect::<Vec<_>>(), [1, 3]);
        for (record, job) in (7..).zip(ready) {
            waiting.add_unsettled(record, job);
        }
        assert_eq!(waiting.first_unsettled(), Some(7));
        assert!(waiting.take_ready().is_empty());
        let settled = waiting.arrived(&[1, 2], Large::Synced);
        assert_eq!(settled.iter().map(|job| job.seq).collect::<Vec<_>>(), [1]);
        assert_eq!(waiting.first_unsettled(), Some(8));
        let ready = waiting.take_ready();
        assert!(ready.iter().map(|job| job.seq).eq([2]) && ready[0].is_settled());
        assert_eq!(waiting.arrived(&[3], Large::Synced).len(), 1);
        assert_eq!(waiting.take_ready().len(), 1);
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_small_append_goes_by_a_large_one_at_once() {
        let partitions = partitions();
        let mut waiting = Waiting::default();
        waiting.add(job(1, vec![append(&partitions[0], true)]));
        waiting.add(job(2, vec![append(&partitions[1], false)]));
        waiting.add(job(3, vec![append(&partitions[0], false)]));
        waiting.add(job(4, vec![change(2)]));
        let seqs = |jobs: Vec<Job>| jobs.iter().map(|job| job.seq).collect::<Vec<_>>();
        assert_eq!(seqs(waiting.take_ready()), [2, 4]);
        waiting.arrived(&[1], Large::Written);
        waiting.arrived(&[1], Large::Synced);
        assert_eq!(seqs(waiting.take_ready()), [1, 3]);
        assert!(waiting.is_empty());
    }
}
