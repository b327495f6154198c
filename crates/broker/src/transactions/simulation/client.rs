//! A client that consumes orders, moves money and commits its position in one transaction, and goes on through errors as clients do.

use std::collections::VecDeque;

use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;
use ottla_coordinator::transactions::{ProducerEpoch, TransactionVersion};
use rand::Rng;
use rand::rngs::StdRng;

use super::bank::{Bank, Transfer};
use super::requests::{Answer, Call, Identity};
use super::{ACCOUNTS, process};

/// Who has no producer id yet.
pub(super) const NOBODY: ProducerEpoch = ProducerEpoch {
    producer_id: -1,
    epoch: -1,
};

/// One instance of a client. Copies that go on after their successor has begun are zombies.
#[derive(Clone)]
pub(super) struct Client {
    pub who: Identity,
    /// Counts the lives of its transactional id.
    pub life: u64,
    pub is_zombie: bool,
    /// What it does next; the first is under way or will be sent again.
    plan: VecDeque<Call>,
    position: Option<i64>,
    sequences: [i32; ACCOUNTS],
    /// The number of its transaction.
    number: Option<usize>,
    /// The last life of its transactional id that was known when it asked last.
    pub asked_after: u64,
}

/// What became of a client with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoesOn,
    /// Somebody has its transactional id, or its state is lost: it begins a new life, or ends if it is a zombie.
    IsOver,
}

impl Client {
    pub fn new(input: i32, version: TransactionVersion) -> Client {
        Client {
            who: Identity {
                input,
                version,
                producer: NOBODY,
                timeout_ms: 0,
            },
            life: 0,
            is_zombie: false,
            plan: VecDeque::new(),
            position: None,
            sequences: [0; ACCOUNTS],
            number: None,
            asked_after: 0,
        }
    }

    /// A new life of its transactional id.
    pub fn begin(&mut self, rng: &mut StdRng) {
        let fresh = Client::new(self.who.input, self.who.version);
        *self = Client {
            life: self.life + 1,
            ..fresh
        };
        self.who.timeout_ms = rng.random_range(300..=process::MAX_TIMEOUT_MS);
        self.plan = [Call::Init(None), Call::Position].into();
    }

    /// Whether it may go on as a zombie: it has something to go on with.
    pub fn has_begun(&self) -> bool {
        self.who.producer != NOBODY && !self.inits()
    }

    /// Whether it begins a life, or renews it.
    pub fn inits(&self) -> bool {
        self.plan.iter().any(|call| matches!(call, Call::Init(_)))
    }

    /// Whether it asks to begin a life, or to renew it.
    pub fn begins(&self) -> bool {
        matches!(self.plan.front(), Some(Call::Init(_)))
    }

    /// Whether it asks for an end.
    pub fn ends(&self) -> bool {
        matches!(self.plan.front(), Some(Call::End(_)))
    }

    /// What it asks next; `None` if there is nothing to do. `orders`: the end of its input.
    pub fn call(&mut self, orders: i64, bank: &mut Bank, rng: &mut StdRng) -> Option<Call> {
        if self.plan.is_empty() {
            match self.position {
                None => self.plan.push_back(Call::Position),
                Some(position) if position < orders => self.transact(position, orders, bank, rng),
                Some(_) => return None,
            }
        }
        self.plan.front().cloned()
    }

    fn transact(&mut self, position: i64, orders: i64, bank: &mut Bank, rng: &mut StdRng) {
        let to = orders.min(position + rng.random_range(1..=3));
        let mut entries = Vec::new();
        for _ in position..to {
            let amount = rng.random_range(1..100);
            let from = rng.random_range(0..ACCOUNTS);
            let by = rng.random_range(1..ACCOUNTS);
            entries.push((from, -amount));
            entries.push(((from + by) % ACCOUNTS, amount));
        }
        let number = bank.transfers.len();
        let transfer = Transfer {
            input: self.who.input,
            orders: (position, to),
            entries,
        };
        let is_v2 = self.who.version == TransactionVersion::V2;
        let mut accounts: Vec<usize> = transfer.entries.iter().map(|e| e.0).collect();
        accounts.sort_unstable();
        accounts.dedup();
        if !is_v2 {
            self.plan.push_back(Call::AddPartitions(accounts.clone()));
        }
        for account in accounts {
            let of_account =
                (0..transfer.entries.len()).filter(|n| transfer.entries[*n].0 == account);
            let records: Vec<_> = of_account.map(|n| transfer.value(number, n)).collect();
            // In one batch, or in several.
            let batch = rng.random_range(1..=records.len());
            for records in records.chunks(batch) {
                let sequence = self.sequences[account];
                self.sequences[account] += records.len() as i32;
                self.plan.push_back(Call::Produce {
                    account,
                    sequence,
                    records: records.to_vec(),
                });
            }
        }
        if !is_v2 {
            self.plan.push_back(Call::AddOffsets);
        }
        let offsets = self.plan.len();
        let offsets = if is_v2 {
            rng.random_range(0..=offsets)
        } else {
            offsets
        };
        self.plan.insert(offsets, Call::Offsets(to));
        let outcome = match rng.random_bool(0.75) {
            true => Outcome::Commit,
            false => Outcome::Abort,
        };
        self.plan.push_back(Call::End(outcome));
        self.number = Some(number);
        bank.transfers.push(transfer);
    }

    /// Takes the answer to its last call.
    pub fn heard(&mut self, answer: Answer, bank: &mut Bank) -> Next {
        let Some(call) = self.plan.front().cloned() else {
            return Next::GoesOn;
        };
        let error = ResponseError::try_from_code(answer.error);
        if let Some(error) = error {
            return self.refused(&call, error);
        }
        self.plan.pop_front();
        match call {
            Call::Init(_) => {
                self.who.producer = answer.producer;
                self.sequences = [0; ACCOUNTS];
                self.number = None;
            }
            Call::Position => self.position = Some(answer.offset.max(0)),
            Call::End(outcome) => {
                if let Some(number) = self.number.take() {
                    let told = *bank.told.entry(number).or_insert(outcome);
                    assert_eq!(told, outcome, "transaction {number}");
                    let transfer = &bank.transfers[number];
                    self.position = Some(match outcome {
                        Outcome::Commit => transfer.orders.1,
                        Outcome::Abort => transfer.orders.0,
                    });
                }
                if self.who.version == TransactionVersion::V2 {
                    assert_ne!(answer.producer, self.who.producer, "an end bumps the epoch");
                    self.who.producer = answer.producer;
                    self.sequences = [0; ACCOUNTS];
                }
            }
            Call::AddPartitions(_) | Call::Produce { .. } | Call::AddOffsets | Call::Offsets(_) => {
            }
        }
        Next::GoesOn
    }

    fn refused(&mut self, call: &Call, error: ResponseError) -> Next {
        let is_fenced = matches!(
            error,
            ResponseError::ProducerFenced
                | ResponseError::InvalidProducerEpoch
                | ResponseError::InvalidProducerIdMapping
        );
        match call {
            _ if is_fenced => Next::IsOver,
            // Asked again.
            _ if error.is_retriable() => Next::GoesOn,
            Call::AddPartitions(_) | Call::Produce { .. } | Call::AddOffsets | Call::Offsets(_) => {
                // What is open is aborted. Which sequences arrived is not known: an epoch of its own begins.
                self.plan = [Call::End(Outcome::Abort)].into();
                if self.who.version == TransactionVersion::V1 {
                    self.plan.push_back(Call::Init(Some(self.who.producer)));
                }
                Next::GoesOn
            }
            Call::Init(_) | Call::Position | Call::End(_) => Next::IsOver,
        }
    }
}
