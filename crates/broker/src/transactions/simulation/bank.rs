//! What is true of the bank: what each transaction wanted, what readers saw, what clients were told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_codec::control::Outcome;

use super::requests::{self, Fetched, Read};
use super::{ACCOUNTS, INPUTS, place_of};
use crate::simulated::Process;

/// The orders that a transaction did, and its number.
type Done = ((i64, i64), usize);

/// A transaction, by its number: what it moves for which orders.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub input: i32,
    /// The offset of its first order, and of the one after its last.
    pub orders: (i64, i64),
    /// Account and amount.
    pub entries: Vec<(usize, i64)>,
}

impl Transfer {
    /// The value of entry `n` of transaction `number`.
    pub fn value(&self, number: usize, n: usize) -> Bytes {
        let (account, amount) = self.entries[n];
        Bytes::from(format!("{number} {n} {account} {amount}"))
    }
}

fn parse(value: &[u8]) -> (usize, usize, usize, i64) {
    let text = std::str::from_utf8(value).expect("text");
    let mut parts = text
        .split(' ')
        .map(|part| part.parse::<i64>().expect("a number"));
    let mut next = || parts.next().expect("four numbers");
    let (number, n, account, amount) = (next(), next(), next(), next());
    (number as usize, n as usize, account as usize, amount)
}

/// One partition as readers saw it: nothing of it may ever change.
#[derive(Default)]
pub(super) struct Seen {
    batches: Vec<Read>,
    last_stable: i64,
}

impl Seen {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(0, |b| b.next)
    }

    /// What began before `below` and has no marker there: first offset by producer id.
    fn open(&self) -> BTreeMap<i64, i64> {
        let mut open = BTreeMap::new();
        for batch in &self.batches {
            if batch.marker.is_some() {
                open.remove(&batch.producer_id);
            } else if batch.transactional {
                open.entry(batch.producer_id).or_insert(batch.base);
            }
        }
        open
    }

    /// Offset and value of the records of transactions that ended like this, in the order of offsets.
    fn ended(&self, outcome: Outcome) -> Vec<(i64, Bytes)> {
        let mut found: Vec<(i64, Bytes)> = Vec::new();
        let mut open: BTreeMap<i64, Vec<(i64, Bytes)>> = BTreeMap::new();
        for batch in &self.batches {
            match batch.marker {
                Some(marker) => {
                    let records = open.remove(&batch.producer_id).unwrap_or_default();
                    if marker == outcome {
                        found.extend(records);
                    }
                }
                None => {
                    let records = open.entry(batch.producer_id).or_default();
                    records.extend(batch.records.iter().cloned());
                }
            }
        }
        found.sort();
        found
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Bank {
    pub transfers: Vec<Transfer>,
    /// What clients heard of the ends of their transactions.
    pub told: BTreeMap<usize, Outcome>,
    pub seen: [Seen; ACCOUNTS],
    /// Transactions that readers saw committed, for counting.
    pub committed: usize,
}

impl Bank {
    /// Reads all that is to be read, whatever was decided of it: what was seen before is there still.
    pub fn read(&mut self, process: &Process, account: usize) -> Result<Fetched, i16> {
        let place = place_of(account);
        let start = requests::fetch(process, place, i64::MAX, false, 0).err();
        assert_eq!(start, Some(1), "an offset beyond the end");
        let seen = &mut self.seen[account];
        let mut from = log_start(process, account);
        loop {
            let found = requests::fetch(process, place, from, false, 2_000)?;
            assert!(
                found.high_watermark >= seen.end(),
                "account {account}: what a reader saw up to {} ends at {}",
                seen.end(),
                found.high_watermark
            );
            // A log start that is not kept yet shows, and may go back.
            if found.last_stable > found.log_start {
                assert!(
                    found.last_stable >= seen.last_stable,
                    "account {account}: the last stable offset went from {} back to {}",
                    seen.last_stable,
                    found.last_stable
                );
                seen.last_stable = found.last_stable;
            }
            for batch in &found.batches {
                let at = seen.batches.partition_point(|b| b.next <= batch.base);
                match seen.batches.get(at) {
                    Some(before) => assert_eq!(before, batch, "account {account}"),
                    None => {
                        assert_eq!(batch.base, seen.end(), "account {account}: a gap");
                        seen.batches.push(batch.clone());
                    }
                }
            }
            match found.batches.last() {
                Some(last) => from = last.next,
                None => assert!(
                    from >= found.high_watermark,
                    "account {account}: nothing at {from}"
                ),
            }
            if from >= found.high_watermark {
                let open = seen.open().into_values().min();
                let undecided = open.unwrap_or(i64::MAX).max(found.log_start);
                assert_eq!(
                    found.last_stable,
                    undecided.min(found.high_watermark),
                    "account {account}: the last stable offset"
                );
                return Ok(found);
            }
        }
    }

    /// A reader of committed records gets what was committed, from wherever it begins, in pieces of about `max` bytes.
    pub fn check_committed(&self, process: &Process, account: usize, from: i64, max: i32) {
        let place = place_of(account);
        let seen = &self.seen[account];
        let (mut next, mut got) = (from, Vec::new());
        let stable = loop {
            let found = requests::fetch(process, place, next, true, max).expect("readable");
            got.extend(committed_of(&found, next));
            match found.batches.last() {
                Some(last) => next = last.next,
                None => break found.last_stable,
            }
        };
        let mut expected = seen.ended(Outcome::Commit);
        expected.retain(|(offset, _)| (from..stable).contains(offset));
        assert_eq!(
            got, expected,
            "account {account}: committed records from {from} up to {stable}"
        );
    }

    /// Every transfer happened once or not at all, with its offsets; nobody was told otherwise.
    pub fn check_transfers(&mut self, offsets: &[i64]) {
        let mut entries: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut total = 0;
        let mut aborted = BTreeSet::new();
        for (account, seen) in self.seen.iter().enumerate() {
            for (offset, value) in seen.ended(Outcome::Commit) {
                let (number, n, of, amount) = parse(&value);
                assert_eq!(
                    (of, self.transfers[number].entries[n]),
                    (account, (account, amount))
                );
                let fresh = entries.entry(number).or_default().insert(n);
                assert!(
                    fresh,
                    "entry {n} of transaction {number} is there twice, at {offset}"
                );
                total += amount;
            }
            aborted.extend(
                seen.ended(Outcome::Abort)
                    .iter()
                    .map(|(_, value)| parse(value).0),
            );
        }
        assert_eq!(total, 0, "money was made or lost");
        let mut orders: BTreeMap<i32, Vec<Done>> = BTreeMap::new();
        for (number, found) in &entries {
            let transfer = &self.transfers[*number];
            assert_eq!(
                found.len(),
                transfer.entries.len(),
                "transaction {number} is half there"
            );
            assert!(
                !aborted.contains(number),
                "transaction {number} ended in two ways"
            );
            orders
                .entry(transfer.input)
                .or_default()
                .push((transfer.orders, *number));
        }
        for input in 0..INPUTS.1 {
            let mut done = 0;
            let mut of_input = orders.remove(&input).unwrap_or_default();
            of_input.sort_unstable();
            for ((from, to), number) in of_input {
                assert_eq!(
                    from, done,
                    "input {input}: transaction {number} begins elsewhere"
                );
                done = to;
            }
            let offset = offsets[input as usize];
            assert_eq!(
                offset, done,
                "input {input}: the committed offset, and what was done"
            );
        }
        for (number, outcome) in &self.told {
            let is_there = entries.contains_key(number);
            assert_eq!(
                is_there,
                *outcome == Outcome::Commit,
                "transaction {number} is said to be {outcome:?}"
            );
        }
        self.committed = entries.len();
    }

    /// What is open in partitions belongs to a transaction that is open and knows of them: it will end.
    pub fn check_open(&self, process: &Process) {
        let mut known = BTreeMap::new();
        for input in 0..INPUTS.1 {
            let (state, producer_id, partitions) = requests::describe(process, input);
            if state == "Ongoing" {
                known.insert(producer_id, partitions);
            }
        }
        for (account, seen) in self.seen.iter().enumerate() {
            let place = place_of(account);
            for (producer_id, first) in seen.open() {
                let partitions = known.get(&producer_id);
                let is_known = partitions
                    .is_some_and(|all| all.contains(&(place.topic.to_owned(), place.partition)));
                assert!(
                    is_known,
                    "account {account}: producer {producer_id} has a transaction open from {first} on that nobody will end: {partitions:?}"
                );
            }
        }
    }
}

/// What a consumer of committed records makes of an answer, as the clients do: from the first batch of an aborted transaction on
/// its producer's records are skipped up to the marker.
fn committed_of(found: &Fetched, from: i64) -> Vec<(i64, Bytes)> {
    let mut aborted = found.aborted.clone();
    aborted.sort_by_key(|(_, first)| *first);
    let mut aborted = aborted.into_iter().peekable();
    let mut skipped = BTreeSet::new();
    let mut records = Vec::new();
    for batch in &found.batches {
        while let Some((producer_id, _)) = aborted.next_if(|(_, first)| *first < batch.next) {
            skipped.insert(producer_id);
        }
        if batch.marker.is_some() {
            skipped.remove(&batch.producer_id);
        } else if !skipped.contains(&batch.producer_id) {
            records.extend(
                batch
                    .records
                    .iter()
                    .filter(|(offset, _)| *offset >= from)
                    .cloned(),
            );
        }
    }
    records
}

pub(super) fn log_start(process: &Process, account: usize) -> i64 {
    let place = place_of(account);
    let topics = process.stepped.store().topics();
    let topic = topics.by_name(place.topic).expect("made at the start");
    let partition = process
        .stepped
        .store()
        .partition(&topic.id, place.partition);
    partition.expect("it exists").log_start_offset()
}
