//! Seeded lives of a journal alone, in small files, so that crashes come while one is made, begun, used again or removed.
//! `OTTLA_SIM_SEED` and `OTTLA_SIM_SEEDS` as in the simulation of the store.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::format::JournalOp;
use super::*;
use crate::fs::sim::SimFs;

const LIVES: usize = 60;
const SEEDS: u64 = 15;
const DIR: &str = "/journal";
const MIN_LEN: u64 = 3 * HEADER_LEN;

/// How often what matters here was met.
#[derive(Debug, Default)]
struct Met {
    crashes: u64,
    crashes_of_starts: u64,
    changes_of_file: u64,
    crashes_in_changes: u64,
    crashes_in_making: u64,
    reused: u64,
    refused: u64,
    torn: u64,
    closed: u64,
}

struct Lives {
    rng: StdRng,
    fs: SimFs,
    synced: bool,
    life: u64,
    /// Which life wrote a commit.
    written: BTreeMap<u64, u64>,
    /// The last commit that must be there after a power cut.
    kept: u64,
    /// Where the catalogue stands. It is durable by itself.
    position: u64,
    was_started: bool,
    next: Arc<NextFile>,
    met: Met,
}

fn op(life: u64, len: usize) -> [JournalOp; 1] {
    let mut value = vec![7; len];
    value[..8].copy_from_slice(&life.to_le_bytes());
    [JournalOp::Meta {
        tree: 1,
        key: Bytes::from_static(b"k"),
        value: Some(value.into()),
    }]
}

fn life_of(ops: &[JournalOp]) -> u64 {
    match ops {
        [JournalOp::Meta { value: Some(v), .. }] => u64::from_le_bytes(v[..8].try_into().unwrap()),
        other => panic!("{other:?}"),
    }
}

impl Lives {
    fn new(seed: u64, synced: bool) -> Lives {
        let fs = SimFs::new(seed);
        fs.create_dir_all(Path::new(DIR)).unwrap();
        fs.sync_dir(Path::new(DIR)).unwrap();
        Lives {
            rng: StdRng::seed_from_u64(seed),
            fs,
            synced,
            life: 0,
            written: BTreeMap::new(),
            kept: 0,
            position: 0,
            was_started: false,
            next: Arc::default(),
            met: Met::default(),
        }
    }

    /// As a start does it: reads, makes a checkpoint of it, goes on in a fresh file.
    fn open(&mut self) -> Result<Journal, ReplayError> {
        let mut seen = Vec::new();
        let dir = Path::new(DIR);
        let found = replay(&self.fs, dir, self.position, u64::MAX, |seq, ops| {
            seen.push((seq, life_of(&ops)));
            Ok(true)
        })?;
        assert_eq!(found.damage, None, "a crash is taken for damage");
        assert!(found.checkpoint <= self.position, "a note is ahead");
        assert!(found.max_id > 0 || !self.was_started, "no header is there");
        assert!(found.last_seq >= self.kept, "{found:?}");
        self.written.retain(|seq, _| *seq <= found.last_seq);
        let expected = self.written.range(self.position + 1..);
        let expected: Vec<_> = expected.map(|(seq, life)| (*seq, *life)).collect();
        assert_eq!(seen, expected);
        self.met.torn += u64::from(found.torn_bytes > 0);
        self.kept = found.last_seq;
        self.position = found.last_seq;
        self.next = Arc::default();
        let fs = Arc::new(self.fs.clone());
        let journal = Journal::start(fs, dir, found, MIN_LEN, self.next.clone(), self.synced)?;
        self.was_started = true;
        Ok(journal)
    }

    fn run(mut self) -> Met {
        for _ in 0..LIVES {
            self.life += 1;
            if self.rng.random_bool(0.3) {
                self.fs.crash_after(self.rng.random_range(0..25));
            }
            match self.open() {
                Ok(journal) => {
                    self.fs.crash_after(self.rng.random_range(0..120));
                    self.live(journal);
                }
                Err(e) => {
                    assert!(self.fs.has_crashed(), "{e:?}");
                    self.met.crashes_of_starts += 1;
                }
            }
            self.die();
        }
        self.fs.crash_after(u64::MAX);
        self.open().unwrap();
        self.met
    }

    fn die(&mut self) {
        self.met.crashes += 1;
        self.fs.set_free(None);
        if self.rng.random_bool(0.3) {
            self.fs.kill();
            return;
        }
        if !self.synced {
            self.kept = self.position;
        }
        self.fs.crash();
    }

    fn live(&mut self, mut journal: Journal) {
        let mut last = self.kept;
        while !self.fs.has_crashed() {
            let done = match self.rng.random_range(0..100) {
                0..70 => self.put(&mut journal, &mut last),
                70..80 => self.checkpoint(&journal),
                80..92 => {
                    journal.ask_for_next(self.position);
                    self.next.make(&self.fs);
                    self.met.crashes_in_making += u64::from(self.fs.has_crashed());
                    Ok(())
                }
                92..95 => {
                    let free = self.rng.random_range(0..60_000);
                    let is_full = self.rng.random_bool(0.4);
                    self.fs.set_free(is_full.then_some(free));
                    Ok(())
                }
                95..97 => journal.give_back(self.position),
                97 => {
                    self.fs.fail_next_sync();
                    Ok(())
                }
                _ => {
                    let closed = self.checkpoint(&journal).and_then(|()| journal.close());
                    self.met.closed += u64::from(closed.is_ok());
                    return;
                }
            };
            match done {
                Err(e) if is_disk_full(&e) => self.met.refused += 1,
                // Final, as the writer takes it; a close notes nothing that is not kept.
                Err(_) => {
                    let _ = journal.close();
                    return;
                }
                Ok(()) => {}
            }
        }
    }

    /// Writes a group.
    fn put(&mut self, journal: &mut Journal, last: &mut u64) -> io::Result<()> {
        let count = self.rng.random_range(1..4);
        let ops: Vec<_> = (0..count)
            .map(|_| op(self.life, self.rng.random_range(8..4000)))
            .collect();
        let first = *last + 1;
        *last += count;
        let lens = ops.iter().map(|ops| format::record_len(ops));
        let len = lens.sum::<usize>() + format::GROUP_MARK_LEN;
        let before = (journal.current.id, journal.current.path.clone());
        let slots = journal.next_slot;
        let room = journal.reserve(len, self.position);
        if journal.current.id != before.0 {
            self.met.changes_of_file += 1;
            self.met.reused += u64::from(journal.next_slot == slots);
        }
        self.met.crashes_in_changes += u64::from(self.fs.has_crashed());
        let id = room?;
        let mut group = Vec::new();
        for (seq, ops) in (first..).zip(&ops) {
            let begins = (self.synced && group.is_empty()).then_some(first);
            format::encode_record(&mut group, id, seq, ops, begins);
            self.written.insert(seq, self.life);
        }
        journal.write(&group, *last)?;
        if self.synced {
            journal.sync()?;
        }
        self.kept = *last;
        Ok(())
    }

    /// A checkpoint of some of what is kept.
    fn checkpoint(&mut self, journal: &Journal) -> io::Result<()> {
        if !self.synced {
            journal.files().try_for_each(|f| f.sync_data())?;
        }
        self.position = match self.synced && self.rng.random_bool(0.5) {
            true => self.rng.random_range(self.position..=self.kept),
            false => self.kept,
        };
        journal.note_checkpoint(self.position)
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_seeds(synced: bool) {
    let seeds = match env("OTTLA_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("OTTLA_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let many = seeds.end - seeds.start > 100;
    let mut all = Met::default();
    for seed in seeds {
        let run = std::panic::catch_unwind(|| Lives::new(seed, synced).run());
        let met = run.unwrap_or_else(|_| panic!("the simulation failed: OTTLA_SIM_SEED={seed}"));
        all.crashes += met.crashes;
        all.crashes_of_starts += met.crashes_of_starts;
        all.changes_of_file += met.changes_of_file;
        all.crashes_in_changes += met.crashes_in_changes;
        all.crashes_in_making += met.crashes_in_making;
        all.reused += met.reused;
        all.refused += met.refused;
        all.torn += met.torn;
        all.closed += met.closed;
    }
    println!("synced: {synced}: {all:?}");
    if many {
        assert!(all.crashes_in_changes > 100 && all.crashes_in_making > 100);
        assert!(all.crashes_of_starts > 100 && all.reused > 100 && all.torn > 100);
        assert!(all.refused > 0 && all.closed > 0);
    }
}

#[test]
fn no_crash_of_a_synced_journal_is_taken_for_damage() {
    run_seeds(true);
}

#[test]
fn no_crash_of_a_journal_without_syncs_is_taken_for_damage() {
    run_seeds(false);
}
