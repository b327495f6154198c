//! The broker of the simulation: logs, positions, rows, the queue, and the engine with its gates.
//!
//! What a broker commits together happens together here. Between any two commits it may crash.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{
    Alert, CommitVerdict, Destination, Effects, Event, Gate, Move, MoveId, NackOutcome, Serve,
    Served,
};
use crate::marker::Marker;
use crate::settings::Settings;
use crate::{Engine, Now, StoreOp, TopicPartition};

pub(super) const GROUP: &str = "group";

pub(super) fn at(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: "topic".to_owned(),
        partition,
    }
}

/// A record as produced: a redriven one is the same record in another place.
pub(super) type RecordId = u32;
/// A place in a log.
pub(super) type Place = (i32, i64);

/// The retry topic's partitions have the numbers of the topic's and this.
const RETRY: i32 = 100;

pub(super) struct World {
    pub settings: Settings,
    pub partitions: i32,
    pub now_ms: u64,
    // What is kept.
    pub logs: BTreeMap<i32, BTreeMap<i64, RecordId>>,
    pub ends: BTreeMap<i32, i64>,
    pub committed: BTreeMap<i32, i64>,
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub queue: Vec<(Place, RecordId)>,
    /// What waits, or waited, in the retry topic: from where, to where.
    pub retried: BTreeMap<Place, Place>,
    /// What the headers of copies in the retry topic say: failures, and when it may be served.
    pub retries: BTreeMap<Place, (u32, i64)>,
    // What is in memory.
    engine: Engine,
    pub gates: BTreeMap<i32, Gate>,
    asked: Vec<Move>,
    wake_at_ms: Option<u64>,
    /// What each member was served of each partition.
    pub watched: BTreeMap<(String, i32), Served>,
    pub told: BTreeSet<(i32, bool)>,
    // What is true.
    next_id: RecordId,
    pub poisons: BTreeSet<RecordId>,
    pub processed: BTreeMap<Place, RecordId>,
    pub redriven: BTreeSet<Place>,
    pub alerts: Vec<Alert>,
    /// Positions or the queue have changed since the last check.
    unchecked: bool,
    crashing: bool,
    /// How far each partition was processed, if that was in order.
    pub in_order: Option<BTreeMap<i32, i64>>,
    /// What came of moves since the members last looked.
    pub answered: BTreeSet<MoveId>,
}

impl World {
    pub fn new(settings: Settings, partitions: i32) -> World {
        World {
            settings,
            now_ms: 1_000_000,
            logs: (0..partitions)
                .flat_map(|p| [(p, BTreeMap::new()), (p + RETRY, BTreeMap::new())])
                .collect(),
            ends: (0..partitions)
                .flat_map(|p| [(p, 0), (p + RETRY, 0)])
                .collect(),
            partitions,
            committed: BTreeMap::new(),
            rows: BTreeMap::new(),
            queue: Vec::new(),
            retried: BTreeMap::new(),
            retries: BTreeMap::new(),
            engine: Engine::new(),
            gates: BTreeMap::new(),
            asked: Vec::new(),
            wake_at_ms: None,
            watched: BTreeMap::new(),
            told: BTreeSet::new(),
            next_id: 0,
            poisons: BTreeSet::new(),
            processed: BTreeMap::new(),
            redriven: BTreeSet::new(),
            alerts: Vec::new(),
            unchecked: true,
            crashing: false,
            in_order: Some(BTreeMap::new()),
            answered: BTreeSet::new(),
        }
    }

    pub fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            wall_ms: 1_700_000_000_000 + i64::try_from(self.now_ms).unwrap(),
        }
    }

    pub fn produce(&mut self, partition: i32, poison: bool) -> Place {
        self.next_id += 1;
        if poison {
            self.poisons.insert(self.next_id);
        }
        self.append(partition, self.next_id)
    }

    fn append(&mut self, partition: i32, id: RecordId) -> Place {
        let end = self.ends.get_mut(&partition).unwrap();
        let offset = *end;
        *end += 1;
        self.logs.get_mut(&partition).unwrap().insert(offset, id);
        (partition, offset)
    }

    /// Offsets without a record, as compaction and transactions leave them.
    pub fn gap(&mut self, partition: i32, offsets: i64) {
        *self.ends.get_mut(&partition).unwrap() += offsets;
    }

    fn store(&mut self, ops: &[StoreOp]) {
        for op in ops {
            match op.clone() {
                StoreOp::Put { key, value } => self.rows.insert(key, value),
                StoreOp::Delete { key } => self.rows.remove(&key),
            };
        }
    }

    fn take(&mut self, effects: Effects) -> Option<NackOutcome> {
        self.store(&effects.ops);
        for (_, at, gate) in effects.gates {
            self.told.remove(&(at.partition, true));
            self.told.remove(&(at.partition, false));
            match gate {
                Some(gate) => self.gates.insert(at.partition, gate),
                None => self.gates.remove(&at.partition),
            };
        }
        self.alerts.extend(effects.alerts);
        self.asked.extend(effects.moves);
        self.wake_at_ms = effects.wake_at_ms;
        effects.nack
    }

    pub fn send(&mut self, event: Event) -> Option<NackOutcome> {
        let settings = self.settings.clone();
        let effects = self
            .engine
            .handle(self.now(), move |_, _| settings.clone(), event);
        self.take(effects)
    }

    /// The broker crashes and starts again.
    pub fn crash(&mut self) {
        self.engine = Engine::new();
        self.gates.clear();
        // Whoever waited for one of them is not answered, and sees its connection end.
        self.answered.clear();
        self.asked.clear();
        self.watched.clear();
        self.told.clear();
        let settings = self.settings.clone();
        let committed = self.committed.clone();
        let effects = self
            .engine
            .load(
                self.now(),
                move |_, _| settings.clone(),
                GROUP,
                self.rows.clone(),
                |at| committed.get(&at.partition).copied(),
            )
            .unwrap();
        self.take(effects);
    }

    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        if self.wake_at_ms.is_some_and(|at| at <= self.now_ms) {
            self.send(Event::Timer);
        }
    }

    pub fn has_moves(&self) -> bool {
        !self.asked.is_empty()
    }

    /// One of the moves that were asked for is carried out.
    pub fn carry_out(&mut self, which: usize) {
        let planned = self.asked.remove(which);
        if !self.execute(&planned) {
            let error = "the position has changed".to_owned();
            self.fail(planned.id, error, false);
        }
    }

    /// One of them is committed, and the broker crashes before anybody hears of it.
    pub fn carry_out_and_crash(&mut self, which: usize) {
        self.crashing = true;
        let planned = self.asked.remove(which);
        self.execute(&planned);
        self.crashing = false;
        self.crash();
    }

    /// One of them cannot be carried out now.
    pub fn fail_move(&mut self, which: usize) {
        let planned = self.asked.remove(which);
        self.fail(planned.id, "the disk is full".to_owned(), true);
    }

    fn fail(&mut self, id: MoveId, error: String, retry: bool) {
        self.answered.insert(id);
        self.send(Event::MoveFailed { id, error, retry });
    }

    fn execute(&mut self, planned: &Move) -> bool {
        let partition = planned.at.partition;
        if self.committed.get(&partition).copied() != planned.expected {
            return false;
        }
        for record in &planned.records {
            let range = record.offset..planned.position;
            let Some((offset, id)) = self.logs[&partition].range(range).next() else {
                continue;
            };
            let (place, id) = ((partition, *offset), *id);
            match planned.to {
                Destination::DeadLetters => self.queue.push((place, id)),
                Destination::Retry { due_ms } => {
                    let copy = self.append(partition % RETRY + RETRY, id);
                    self.retried.insert(place, copy);
                    self.retries.insert(copy, (record.attempts, due_ms));
                }
            }
        }
        self.store(&planned.ops);
        self.unchecked = true;
        self.committed.insert(partition, planned.position);
        if self.crashing {
            return true;
        }
        self.answered.insert(planned.id);
        self.send(Event::Moved { id: planned.id });
        true
    }

    /// A member commits. `false`: it is not done yet. If it takes a move, that is made `later`.
    pub fn commit(&mut self, partition: i32, offset: i64, later: bool) -> bool {
        let offset = match self.engine.before_commit(GROUP, &at(partition), offset) {
            CommitVerdict::Plain => offset,
            CommitVerdict::Lifted(offset) => offset,
            // The member does not always wait for its answer before it goes on, and commits again.
            CommitVerdict::Moves(planned) if later => {
                self.asked.push(planned);
                return false;
            }
            CommitVerdict::Moves(planned) => return self.execute(&planned),
        };
        self.unchecked = true;
        self.committed.insert(partition, offset);
        self.send(Event::Committed {
            group: GROUP.to_owned(),
            at: at(partition),
            offset,
        });
        true
    }

    /// A member nacks. `None`: refused, since the position is past it.
    pub fn nack(&mut self, partition: i32, offset: i64) -> Option<NackOutcome> {
        let committed = self.committed.get(&partition).copied();
        if committed.is_some_and(|c| c > offset) {
            return None;
        }
        let outcome = self.send(Event::Nack {
            group: GROUP.to_owned(),
            at: at(partition),
            offset,
            marker: Marker::Nack("no".to_owned()),
            client: "client/127.0.0.1".to_owned(),
            committed,
            earlier: self.retries.get(&(partition, offset)).map_or(0, |r| r.0),
        });
        if let Some(NackOutcome::Stays { .. }) = outcome {
            self.unchecked = true;
            self.committed.insert(partition, offset);
        }
        outcome
    }

    /// What a member was served; forgotten by this.
    pub fn served(&mut self, member: &str) -> Vec<(TopicPartition, Served)> {
        let keys: Vec<(String, i32)> = self.watched.keys().cloned().collect();
        keys.into_iter()
            .filter(|(m, _)| m == member)
            .map(|key| (at(key.1), self.watched.remove(&key).unwrap()))
            .collect()
    }

    pub fn lost_partition(&mut self, member: &str, partition: i32) {
        self.watched.remove(&(member.to_owned(), partition));
    }

    /// Everything in the queue goes back.
    pub fn redrive(&mut self) {
        for (place, id) in self.queue.clone() {
            if self.redriven.insert(place) {
                self.append(place.0 % RETRY, id);
            }
        }
    }

    /// A member has processed a record.
    pub fn process(&mut self, place: Place) {
        let id = self.logs[&place.0][&place.1];
        let first = self.processed.insert(place, id).is_none();
        if let Some(order) = &mut self.in_order
            && first
            && let Some(before) = order.insert(place.0, place.1)
        {
            assert!(before < place.1, "{place:?} is processed after {before}");
        }
    }

    pub fn is_poison(&self, place: Place) -> bool {
        self.poisons.contains(&self.logs[&place.0][&place.1])
    }

    pub fn is_searching(&self) -> bool {
        self.gates.values().any(|g| g.serve != Serve::All)
    }

    pub fn breaker_is_open(&self) -> bool {
        let views = self.engine.views(Some(GROUP));
        views.iter().any(|v| v.breaker.is_some())
    }

    /// Every place in every log is in exactly one state.
    pub fn check(&mut self) {
        if !std::mem::take(&mut self.unchecked) {
            return;
        }
        let mut copies: BTreeMap<Place, u32> = BTreeMap::new();
        for (place, id) in &self.queue {
            assert_eq!(
                self.logs[&place.0].get(&place.1),
                Some(id),
                "a copy of another record"
            );
            *copies.entry(*place).or_default() += 1;
        }
        for (partition, log) in &self.logs {
            let position = self.committed.get(partition).copied().unwrap_or(0);
            for (offset, id) in log {
                let place = (*partition, *offset);
                let retried = u32::from(self.retried.contains_key(&place));
                let copies = copies.get(&place).copied().unwrap_or(0) + retried;
                assert!(copies <= 1, "{place:?} is in the queue {copies} times");
                if *offset >= position {
                    assert_eq!(
                        copies, 0,
                        "{place:?} is in the queue and ahead of {position}"
                    );
                } else {
                    let processed = self.processed.contains_key(&place);
                    assert!(
                        processed || copies == 1,
                        "{place:?} (record {id}) is lost: position {position}"
                    );
                }
            }
        }
    }

    /// Everything is processed or in the queue.
    pub fn is_done(&self) -> bool {
        self.logs.iter().all(|(partition, log)| {
            let position = self.committed.get(partition).copied().unwrap_or(0);
            log.keys().next_back().is_none_or(|last| *last < position)
        })
    }
}
