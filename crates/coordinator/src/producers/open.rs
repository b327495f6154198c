//! The transactions of one partition: which are open, where they began, which were aborted (KIP-98; Kafka's
//! ProducerStateManager and TransactionIndex).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_codec::control::Outcome;
use serde::{Deserialize, Serialize};

/// An aborted transaction, as a reader of committed records needs it: records of `producer_id` from `first_offset` up to the
/// marker at `last_offset` are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
    /// Nothing before this was undecided when the marker came. Grows from entry to entry, so that a search knows where to end.
    pub last_stable_offset: i64,
}

/// A transaction whose marker may not be durable yet, and may be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    producer_id: i64,
    first_offset: i64,
    marker: i64,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionTransactions {
    /// First offset by producer id.
    open: BTreeMap<i64, i64>,
    /// The first offsets of those that are open. No two begin at one offset.
    first_offsets: BTreeSet<i64>,
    /// By marker.
    ended: VecDeque<Ended>,
    /// By marker.
    aborted: VecDeque<Aborted>,
}

impl PartitionTransactions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was open, and which were aborted, at a checkpoint: all of it durable.
    pub fn restore(open: BTreeMap<i64, i64>, aborted: VecDeque<Aborted>) -> Self {
        PartitionTransactions {
            first_offsets: open.values().copied().collect(),
            open,
            ended: VecDeque::new(),
            aborted,
        }
    }

    /// The open ones: first offset by producer id.
    pub fn open(&self) -> &BTreeMap<i64, i64> {
        &self.open
    }

    /// The aborted ones, by marker.
    pub fn aborted(&self) -> &VecDeque<Aborted> {
        &self.aborted
    }

    /// Whether a transaction of `producer_id` is open here.
    pub fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// A transactional batch was appended at `base_offset`.
    pub fn appended(&mut self, producer_id: i64, base_offset: i64) {
        self.open.entry(producer_id).or_insert_with(|| {
            self.first_offsets.insert(base_offset);
            base_offset
        });
    }

    /// A marker was appended at `offset`. One of a producer with nothing open here ends nothing.
    pub fn marker(&mut self, producer_id: i64, outcome: Outcome, offset: i64) {
        let Some(first_offset) = self.open.remove(&producer_id) else {
            return;
        };
        self.first_offsets.remove(&first_offset);
        self.ended.push_back(Ended {
            producer_id,
            first_offset,
            marker: offset,
        });
        if outcome == Outcome::Abort {
            self.aborted.push_back(Aborted {
                producer_id,
                first_offset,
                last_offset: offset,
                last_stable_offset: self.first_offsets.first().copied().unwrap_or(offset + 1),
            });
        }
    }

    /// The end of what is decided, for readers to whom everything below `high_watermark` is durable: the first record of the
    /// first transaction that is open, or whose marker they do not see.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let unseen = self.ended.iter().rev();
        let undecided = unseen
            .take_while(|ended| ended.marker >= high_watermark)
            .map(|ended| ended.first_offset)
            .chain(self.first_offsets.first().copied())
            .min();
        undecided.map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// The first offset of those that are open or may be taken back to being so.
    pub fn first_undecided(&self) -> Option<i64> {
        let ended = self.ended.iter().map(|ended| ended.first_offset);
        ended.chain(self.first_offsets.first().copied()).min()
    }

    /// Everything below `end` is durable: markers there are not taken back any more.
    pub fn durable(&mut self, end: i64) {
        while self.ended.front().is_some_and(|ended| ended.marker < end) {
            self.ended.pop_front();
        }
    }

    /// The aborted transactions with records in `from..to`, by marker. Looks at few others: the search begins at the first
    /// marker from `from` on, and ends where all that follow began after `to`.
    pub fn aborted_between(&self, from: i64, to: i64) -> impl Iterator<Item = &Aborted> {
        let first = self.aborted.partition_point(|a| a.last_offset < from);
        let mut beyond = false;
        self.aborted
            .range(first..)
            .take_while(move |a| {
                // The entry that shows the end may itself be one.
                let go_on = !beyond;
                beyond = a.last_stable_offset >= to;
                go_on
            })
            .filter(move |a| a.first_offset < to)
    }

    /// Forgets the aborted transactions whose markers are at `last_offsets`, in any order: compaction has left no record of
    /// them, and their markers are about to go. Other offsets change nothing.
    pub fn forget_aborted(&mut self, last_offsets: &[i64]) {
        if last_offsets.is_empty() {
            return;
        }
        let gone: BTreeSet<i64> = last_offsets.iter().copied().collect();
        self.aborted
            .retain(|aborted| !gone.contains(&aborted.last_offset));
    }

    /// Appends at and after `offset` are taken back: transactions that began there are gone, and those that ended there open.
    pub fn truncate(&mut self, offset: i64) {
        while let Some(ended) = self.ended.pop_back_if(|ended| ended.marker >= offset) {
            self.open.insert(ended.producer_id, ended.first_offset);
            self.first_offsets.insert(ended.first_offset);
        }
        while self
            .aborted
            .pop_back_if(|aborted| aborted.last_offset >= offset)
            .is_some()
        {}
        self.open.retain(|_, first| *first < offset);
        self.first_offsets.split_off(&offset);
    }

    /// Gives away the aborted transactions whose markers are below `end`, all of it durable, by marker.
    pub fn take_aborted(&mut self, end: i64) -> impl Iterator<Item = Aborted> {
        let kept = self.aborted.partition_point(|a| a.last_offset < end);
        let rest = self.aborted.split_off(kept);
        std::mem::replace(&mut self.aborted, rest).into_iter()
    }

    /// The log begins at `log_start` now: aborted transactions before it are of no use.
    pub fn log_starts_at(&mut self, log_start: i64) {
        while self
            .aborted
            .pop_front_if(|aborted| aborted.last_offset < log_start)
            .is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn readers_of_committed_records_stop_before_the_first_that_is_undecided() {
        let mut transactions = PartitionTransactions::new();
        assert_eq!(transactions.last_stable_offset(5), 5);
        transactions.appended(7, 5);
        transactions.appended(8, 6);
        transactions.appended(7, 7);
        assert_eq!(transactions.last_stable_offset(8), 5);
        assert_eq!(transactions.last_stable_offset(4), 4);
        transactions.marker(7, Outcome::Commit, 8);
        assert_eq!(
            transactions.last_stable_offset(8),
            5,
            "the marker is not seen"
        );
        assert_eq!(transactions.last_stable_offset(9), 6);
        transactions.durable(9);
        transactions.marker(8, Outcome::Abort, 9);
        assert_eq!(transactions.last_stable_offset(10), 10);
    }

    #[test]
    fn what_is_taken_back_is_open_again() {
        let mut transactions = PartitionTransactions::new();
        transactions.appended(7, 0);
        transactions.appended(8, 1);
        let before = transactions.clone();
        transactions.marker(7, Outcome::Abort, 2);
        transactions.marker(8, Outcome::Commit, 3);
        transactions.appended(9, 4);
        transactions.truncate(2);
        assert_eq!(transactions, before);
        transactions.truncate(1);
        assert!(transactions.is_open(7) && !transactions.is_open(8));
    }

    #[test]
    fn a_marker_without_a_transaction_ends_nothing() {
        let mut transactions = PartitionTransactions::new();
        transactions.marker(7, Outcome::Abort, 0);
        assert_eq!(transactions, PartitionTransactions::new());
    }

    #[test]
    fn what_retention_took_is_forgotten() {
        let mut transactions = PartitionTransactions::new();
        for producer in 0..3 {
            transactions.appended(producer, producer * 10);
            transactions.marker(producer, Outcome::Abort, producer * 10 + 5);
        }
        transactions.log_starts_at(15);
        let left = transactions.aborted().iter().map(|a| a.producer_id);
        assert_eq!(left.collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_compaction_took_is_forgotten_and_the_rest_is_found() {
        let mut transactions = PartitionTransactions::new();
        for producer in 0..6 {
            transactions.appended(producer, producer * 10);
            transactions.marker(producer, Outcome::Abort, producer * 10 + 5);
        }
        transactions.forget_aborted(&[35, 5, 7, 99]);
        let ids = |from, to| -> Vec<i64> {
            let found = transactions.aborted_between(from, to);
            found.map(|a| a.producer_id).collect()
        };
        assert_eq!(ids(0, 100), [1, 2, 4, 5]);
        assert_eq!(ids(5, 36), [1, 2]);
        assert_eq!(ids(26, 51), [4, 5]);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Batch(i64),
        Marker(i64, bool),
        /// So many of the last steps.
        TakeBack(usize),
        Durable,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0i64..5).prop_map(Step::Batch),
            3 => (0i64..5, any::<bool>()).prop_map(|(p, commit)| Step::Marker(p, commit)),
            1 => (0usize..4).prop_map(Step::TakeBack),
            1 => Just(Step::Durable),
        ]
    }

    /// The log as a list: one offset for each step that was not taken back.
    fn model(log: &[Step]) -> (BTreeMap<i64, i64>, Vec<Aborted>) {
        let mut open = BTreeMap::new();
        let mut aborted = Vec::new();
        for (offset, step) in (0i64..).zip(log) {
            match *step {
                Step::Batch(producer) => {
                    open.entry(producer).or_insert(offset);
                }
                Step::Marker(producer, commit) => {
                    let Some(first) = open.remove(&producer) else {
                        continue;
                    };
                    if !commit {
                        aborted.push(Aborted {
                            producer_id: producer,
                            first_offset: first,
                            last_offset: offset,
                            last_stable_offset: open.values().copied().min().unwrap_or(offset + 1),
                        });
                    }
                }
                Step::TakeBack(_) | Step::Durable => unreachable!("not part of the log"),
            }
        }
        (open, aborted)
    }

    proptest! {
        #[test]
        fn it_knows_what_the_log_says(steps in prop::collection::vec(step(), 0..60), forgotten: u64) {
            let mut log: Vec<Step> = Vec::new();
            let mut durable = 0;
            let mut transactions = PartitionTransactions::new();
            for step in steps {
                let offset = i64::try_from(log.len()).unwrap();
                match step {
                    Step::Batch(producer) => transactions.appended(producer, offset),
                    Step::Marker(producer, commit) => {
                        let outcome = if commit { Outcome::Commit } else { Outcome::Abort };
                        transactions.marker(producer, outcome, offset);
                    }
                    Step::Durable => {
                        durable = log.len();
                        transactions.durable(offset);
                        continue;
                    }
                    Step::TakeBack(n) => {
                        log.truncate(log.len().saturating_sub(n).max(durable));
                        transactions.truncate(i64::try_from(log.len()).unwrap());
                        continue;
                    }
                }
                log.push(step);
            }
            let (open, aborted) = model(&log);
            prop_assert_eq!(&open, transactions.open());
            prop_assert!(aborted.iter().eq(transactions.aborted()));
            let end = i64::try_from(log.len()).unwrap();
            for high_watermark in i64::try_from(durable).unwrap()..=end {
                let seen = &log[..usize::try_from(high_watermark).unwrap()];
                let expected = model(seen).0.values().copied().min().unwrap_or(high_watermark);
                prop_assert_eq!(transactions.last_stable_offset(high_watermark), expected);
            }
            for from in 0..=end {
                for to in from..=end {
                    let expected = aborted.iter().filter(|a| a.last_offset >= from && a.first_offset < to);
                    prop_assert!(expected.eq(transactions.aborted_between(from, to)), "{}..{}", from, to);
                }
            }
            let restored = PartitionTransactions::restore(open, aborted.clone().into());
            transactions.durable(end);
            prop_assert_eq!(&restored, &transactions);

            let forgets = |a: &Aborted| forgotten >> (a.last_offset % 64) & 1 == 1;
            let gone: Vec<i64> = aborted.iter().filter(|a| forgets(a)).map(|a| a.last_offset).collect();
            transactions.forget_aborted(&gone);
            for from in 0..=end {
                for to in from..=end {
                    let expected = aborted.iter().filter(|a| a.last_offset >= from && a.first_offset < to && !forgets(a));
                    prop_assert!(expected.eq(transactions.aborted_between(from, to)), "{}..{}", from, to);
                }
            }
        }
    }
}
