//! The order in which commits come into the journal. It is the order in which they were made, except that a large append has its place
//! only once its bytes are in its segment: what has nothing to do with it goes by meanwhile.
//!
//! Of two commits the earlier one comes first if both append to one partition, or if it changes a tree, or if the later one
//! changes the catalogue. So each partition and each tree is, at any moment, as it was after one of its commits.

use std::collections::{HashSet, VecDeque};

use crate::partition::PendingAppend;
use crate::queue::{Job, QueuedOp};

/// Commits that are not in the journal yet, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Waiting {
    jobs: VecDeque<Entry>,
    /// How many are on their way to their segments.
    in_segments: usize,
}

struct Entry {
    job: Job,
    in_segments: bool,
}

impl Job {
    /// Its appends.
    pub fn appends(&self) -> impl Iterator<Item = &PendingAppend> {
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

    /// Whether its bytes may go to their segments before it has a place in the journal.
    pub fn may_be_overtaken(&self) -> bool {
        !self.changes_trees() && self.appends().any(PendingAppend::is_large)
    }
}

impl Waiting {
    /// Adds a commit made after all that are there.
    pub fn add(&mut self, job: Job) {
        let in_segments = job.is_sent;
        self.in_segments += usize::from(in_segments);
        self.jobs.push_back(Entry { job, in_segments });
    }

    /// The bytes of these commits, in order, are in their segments.
    pub fn arrived(&mut self, commits: &[u64]) {
        let mut commits = commits.iter().peekable();
        for entry in &mut self.jobs {
            if commits.next_if_eq(&&entry.job.seq).is_some() && entry.in_segments {
                entry.in_segments = false;
                self.in_segments -= 1;
            }
        }
    }

    /// Takes out what the journal may have now.
    pub fn take_ready(&mut self) -> Vec<Job> {
        if self.in_segments == 0 {
            return self.take_all();
        }
        let mut ready = Vec::new();
        let mut kept = VecDeque::new();
        // What is kept appends to these, and whether it changes a tree.
        let mut partitions = HashSet::new();
        let mut trees = false;
        for entry in self.jobs.drain(..) {
            let job = &entry.job;
            let waits = entry.in_segments
                || trees
                || job
                    .appends()
                    .any(|a| partitions.contains(&a.partition.uid()))
                || !kept.is_empty() && job.changes_catalogue();
            if !waits {
                ready.push(entry.job);
                continue;
            }
            partitions.extend(job.appends().map(|a| a.partition.uid()));
            trees |= job.changes_trees();
            kept.push_back(entry);
        }
        self.jobs = kept;
        ready
    }

    /// Takes out everything.
    pub fn take_all(&mut self) -> Vec<Job> {
        self.in_segments = 0;
        self.jobs.drain(..).map(|entry| entry.job).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
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

    /// Whether `later` must not be in the journal before `earlier`.
    fn must_follow(earlier: &Job, later: &Job) -> bool {
        let same = |a: &PendingAppend| {
            later
                .appends()
                .any(|b| Arc::ptr_eq(&a.partition, &b.partition))
        };
        earlier.appends().any(same) || earlier.changes_trees() || later.changes_catalogue()
    }

    #[test]
    fn what_depends_on_another_comes_after_it_and_everything_comes() {
        let partitions = partitions();
        let (mut overtaken, mut held) = (0, 0);
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut waiting = Waiting::default();
            let mut sent = Vec::new();
            let mut made = 0;
            let mut journal: Vec<Job> = Vec::new();
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
                    let mut job = Job {
                        seq: made,
                        ops,
                        is_sent: false,
                    };
                    job.is_sent = job.may_be_overtaken();
                    if job.is_sent {
                        sent.push(job.seq);
                    }
                    waiting.add(job);
                } else {
                    // Segments are synced beside one another, so any may come first.
                    let some = sent.extract_if(.., |_| rng.random_bool(0.5));
                    waiting.arrived(&some.collect::<Vec<_>>());
                    journal.extend(waiting.take_ready());
                    held += usize::from(!waiting.is_empty());
                }
            }
            assert_eq!(journal.len(), 60, "seed {seed}");
            for (i, later) in journal.iter().enumerate() {
                for earlier in &journal[i + 1..] {
                    let (a, b) = (earlier.seq, later.seq);
                    if a < b {
                        overtaken += 1;
                        assert!(!must_follow(earlier, later), "seed {seed}: {b} before {a}");
                        assert!(earlier.may_be_overtaken() || !earlier.changes_trees());
                    }
                }
            }
        }
        assert!(overtaken > 1000 && held > 1000, "{overtaken}, {held}");
    }

    #[test]
    fn a_small_append_goes_by_a_large_one_at_once() {
        let partitions = partitions();
        let mut waiting = Waiting::default();
        let job = |seq, op, is_sent| Job {
            seq,
            ops: vec![op],
            is_sent,
        };
        waiting.add(job(1, append(&partitions[0], true), true));
        waiting.add(job(2, append(&partitions[1], false), false));
        waiting.add(job(3, append(&partitions[0], false), false));
        waiting.add(job(4, change(2), false));
        let seqs = |jobs: Vec<Job>| jobs.iter().map(|job| job.seq).collect::<Vec<_>>();
        assert_eq!(seqs(waiting.take_ready()), [2, 4]);
        waiting.arrived(&[1]);
        assert_eq!(seqs(waiting.take_ready()), [1, 3]);
        assert!(waiting.is_empty());
    }
}
