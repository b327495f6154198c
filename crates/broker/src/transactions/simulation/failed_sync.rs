//! What each request of a transaction is answered when its sync fails, and what it comes to with the next start: the disk may have it or not.

use std::sync::Arc;

use bytes::Bytes;
use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;
use ottla_coordinator::transactions::TransactionVersion;
use ottla_storage::fs::sim::SimFs;

use super::client::NOBODY;
use super::place_of;
use super::process::{self, MAX_TIMEOUT_MS, settings};
use super::requests::{self, Answer, Call, Identity};
use crate::reply::Reply;
use crate::settings::Settings;
use crate::simulated::{Damage, Process, SetClock};

const POSITION: i64 = 5;
/// The number of the transactional id, and of the input.
const INPUT: i32 = 1;
/// In two topics.
const ACCOUNTS: [usize; 2] = [0, 2];
/// Of power cuts: whether they take what was not synced is a matter of chance.
const SEEDS: u64 = 12;

/// A transaction, request by request.
fn plan(version: TransactionVersion, outcome: Outcome) -> Vec<Call> {
    let produce = |account| Call::Produce {
        account,
        sequence: 0,
        records: vec![Bytes::from_static(b"a record")],
    };
    let mut calls = vec![Call::Init(None)];
    if version == TransactionVersion::V1 {
        calls.push(Call::AddPartitions(ACCOUNTS.to_vec()));
    }
    calls.extend(ACCOUNTS.map(produce));
    if version == TransactionVersion::V1 {
        calls.push(Call::AddOffsets);
    }
    calls.extend([Call::Offsets(POSITION), Call::End(outcome)]);
    calls
}

struct Run {
    fs: SimFs,
    settings: Arc<Settings>,
    clock: SetClock,
    process: Option<Process>,
    who: Identity,
}

impl Run {
    fn new(seed: u64, version: TransactionVersion) -> Run {
        let mut run = Run {
            fs: SimFs::new(seed),
            settings: settings(),
            clock: process::clock(),
            process: None,
            who: Identity {
                input: INPUT,
                version,
                producer: NOBODY,
                timeout_ms: MAX_TIMEOUT_MS,
            },
        };
        run.start();
        assert!(run.process().make_topics() && run.process().settle());
        run
    }

    fn start(&mut self) {
        let process = Process::open(&self.fs, &self.settings, &self.clock);
        self.process = Some(process.expect("a start"));
    }

    fn restart(&mut self, end: Damage) {
        self.process = None;
        end.befall(&self.fs);
        self.start();
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn ask(&self, call: &Call) -> Answer {
        let wall_ms = self.clock.lock().wall_ms;
        let sent = requests::send(self.process(), self.who, call, wall_ms);
        self.process().answer(Reply::Later(sent))
    }

    /// Asks for what must succeed.
    fn insist(&mut self, call: &Call) {
        let answer = self.ask(call);
        assert_eq!(answer.error, 0, "{call:?}");
        if matches!(call, Call::Init(_)) || self.bumps() && matches!(call, Call::End(_)) {
            self.who.producer = answer.producer;
        }
    }

    fn bumps(&self) -> bool {
        self.who.version == TransactionVersion::V2
    }

    /// What there is after the transaction.
    fn check(&self, outcome: Outcome) {
        for account in ACCOUNTS {
            let found = requests::fetch(self.process(), place_of(account), 0, true, 1 << 20);
            let found = found.expect("readable");
            assert_eq!(found.last_stable, found.high_watermark, "nothing is open");
            let records: usize = found.batches.iter().map(|b| b.records.len()).sum();
            assert_eq!(records, 1, "once, and whoever reads drops what was aborted");
            let aborted = usize::from(outcome == Outcome::Abort);
            assert_eq!(found.aborted.len(), aborted);
            let markers: Vec<Outcome> = found.batches.iter().filter_map(|b| b.marker).collect();
            assert_eq!(markers, [outcome]);
        }
        let committed = if outcome == Outcome::Commit {
            POSITION
        } else {
            -1
        };
        assert_eq!(
            requests::committed(self.process(), INPUT, true),
            (0, committed)
        );
    }
}

fn refusal(call: &Call) -> ResponseError {
    match call {
        Call::Produce { .. } => ResponseError::KafkaStorageError,
        _ => ResponseError::CoordinatorNotAvailable,
    }
}

/// The sync of request `at` fails.
fn fail(version: TransactionVersion, outcome: Outcome, at: usize, end: Damage, seed: u64) {
    let calls = plan(version, outcome);
    let mut run = Run::new(seed, version);
    for call in &calls[..at] {
        run.insist(call);
    }
    let call = &calls[at];
    run.fs.fail_next_sync();
    // What it left behind in memory must not pass for an answer the second time, or the third.
    for _ in 0..3 {
        assert_eq!(run.ask(call).error, refusal(call).code(), "{call:?}");
    }
    let unavailable = ResponseError::CoordinatorNotAvailable.code();
    assert_eq!(run.ask(&Call::Position).error, unavailable);
    run.restart(end);
    for call in &calls[at..] {
        run.insist(call);
    }
    run.check(outcome);
}

#[test]
fn a_request_whose_sync_fails_is_asked_again_until_the_broker_is_back() {
    for version in [TransactionVersion::V1, TransactionVersion::V2] {
        for outcome in [Outcome::Commit, Outcome::Abort] {
            for at in 0..plan(version, outcome).len() {
                fail(version, outcome, at, Damage::Kill, 0);
                for seed in 0..SEEDS {
                    fail(version, outcome, at, Damage::PowerCut, seed);
                }
            }
        }
    }
}

/// An abort that the disk may have: who asks again is not told that it is done, and a transaction that begins meanwhile is not mixed up
/// with it.
#[test]
fn a_transaction_does_not_begin_before_the_end_of_the_last_one_is_certain() {
    for version in [TransactionVersion::V1, TransactionVersion::V2] {
        let mut run = Run::new(0, version);
        let calls = plan(version, Outcome::Abort);
        let (end, begun) = calls.split_last().expect("a plan");
        for call in begun {
            run.insist(call);
        }
        run.fs.fail_next_sync();
        let unavailable = ResponseError::CoordinatorNotAvailable.code();
        assert_eq!(run.ask(end).error, unavailable);
        let next = match version {
            TransactionVersion::V1 => Call::AddPartitions(ACCOUNTS.to_vec()),
            TransactionVersion::V2 => Call::Offsets(POSITION + 1),
        };
        for call in [end, &next, &Call::AddOffsets, &Call::Init(None)] {
            assert_eq!(run.ask(call).error, unavailable, "{call:?}");
        }
    }
}
