//! Drives the engine by hand: one group, a clock, the rows and positions that a broker would keep.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::{Engine, GroupView, SuspectView};
use crate::event::{
    Alert, CommitVerdict, Departure, Effects, Event, Gate, MemberAssignment, Move, NackOutcome,
    Served,
};
use crate::marker::{self, Marker};
use crate::settings::Settings;
use crate::{Now, StoreOp, TopicPartition};

pub(super) const GROUP: &str = "group";

/// Partition `partition` of the only topic.
pub(super) fn at(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: "topic".to_owned(),
        partition,
    }
}

pub(super) struct Driver {
    pub engine: Engine,
    pub settings: Settings,
    pub now_ms: u64,
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub positions: BTreeMap<TopicPartition, i64>,
    pub gates: BTreeMap<TopicPartition, Gate>,
    pub alerts: Vec<Alert>,
    /// Asked for, and not carried out yet.
    pub asked: Vec<Move>,
    /// Carried out.
    pub moved: Vec<Move>,
    pub wake_at_ms: Option<u64>,
}

impl Driver {
    pub fn new(settings: Settings) -> Driver {
        Driver {
            engine: Engine::new(),
            settings,
            now_ms: 1_000_000,
            rows: BTreeMap::new(),
            positions: BTreeMap::new(),
            gates: BTreeMap::new(),
            alerts: Vec::new(),
            asked: Vec::new(),
            moved: Vec::new(),
            wake_at_ms: None,
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            wall_ms: 1_700_000_000_000 + i64::try_from(self.now_ms).unwrap(),
        }
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
            match gate {
                Some(gate) => self.gates.insert(at, gate),
                None => self.gates.remove(&at),
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

    /// The broker starts again: what was only in memory is gone.
    pub fn restart(&mut self) {
        self.engine = Engine::new();
        self.gates.clear();
        self.asked.clear();
        let settings = self.settings.clone();
        let positions = self.positions.clone();
        let effects = self
            .engine
            .load(
                self.now(),
                move |_, _| settings.clone(),
                GROUP,
                self.rows.clone(),
                |at| positions.get(at).copied(),
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

    /// Members `(id, partitions)` make up the new generation.
    pub fn assign(&mut self, members: &[(&str, &[i32])]) {
        let members = members.iter().map(|(id, partitions)| MemberAssignment {
            member_id: (*id).to_owned(),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: 60_000,
            partitions: partitions.iter().map(|p| at(*p)).collect(),
        });
        let members = members.collect();
        self.send(Event::Assigned {
            group: GROUP.to_owned(),
            members,
        });
    }

    pub fn fetches_position(&mut self, member: &str, partition: i32) {
        let offset = self.positions.get(&at(partition)).copied();
        self.send(Event::PositionFetched {
            group: GROUP.to_owned(),
            member_id: member.to_owned(),
            at: at(partition),
            offset,
        });
    }

    pub fn dies(&mut self, member: &str, served: &[(i32, i64, i64)]) {
        self.leaves(member, Departure::TimedOut, served, false);
    }

    pub fn leaves(
        &mut self,
        member: &str,
        how: Departure,
        served: &[(i32, i64, i64)],
        ambiguous: bool,
    ) {
        let served = served.iter().map(|(partition, first, next)| {
            let served = Served {
                first: *first,
                next: *next,
                ambiguous,
            };
            (at(*partition), served)
        });
        let served = served.collect();
        self.send(Event::Gone {
            group: GROUP.to_owned(),
            member_id: member.to_owned(),
            how,
            served,
        });
    }

    /// Commits as a member would; moves that the commit calls for are carried out.
    pub fn commits(&mut self, partition: i32, offset: i64) {
        let offset = match self.engine.before_commit(GROUP, &at(partition), offset) {
            CommitVerdict::Plain => offset,
            CommitVerdict::Lifted(offset) => offset,
            CommitVerdict::Moves(planned) => {
                self.asked.push(planned);
                self.carry_out();
                return;
            }
        };
        self.positions.insert(at(partition), offset);
        self.send(Event::Committed {
            group: GROUP.to_owned(),
            at: at(partition),
            offset,
        });
    }

    pub fn nacks(&mut self, partition: i32, offset: i64, metadata: &str) -> NackOutcome {
        let marker = marker::parse(metadata).unwrap().unwrap();
        self.nacks_after(partition, offset, marker, 0)
    }

    pub fn nacks_after(
        &mut self,
        partition: i32,
        offset: i64,
        marker: Marker,
        earlier: u32,
    ) -> NackOutcome {
        let committed = self.positions.get(&at(partition)).copied();
        let outcome = self
            .send(Event::Nack {
                group: GROUP.to_owned(),
                at: at(partition),
                offset,
                marker,
                client: "client/127.0.0.1".to_owned(),
                committed,
                earlier,
            })
            .expect("a nack has an outcome");
        if let NackOutcome::Stays { .. } = outcome {
            self.positions.insert(at(partition), offset);
        }
        outcome
    }

    /// Does what the broker does with moves, and takes what comes of them.
    pub fn carry_out(&mut self) {
        while !self.asked.is_empty() {
            let planned = self.asked.remove(0);
            let id = planned.id;
            if self.positions.get(&planned.at).copied() != planned.expected {
                let error = "the position has changed".to_owned();
                self.send(Event::MoveFailed {
                    id,
                    error,
                    retry: false,
                });
                continue;
            }
            self.store(&planned.ops);
            self.positions.insert(planned.at.clone(), planned.position);
            self.moved.push(planned);
            self.send(Event::Moved { id });
        }
    }

    /// Partition and offset of all records that were moved.
    pub fn dead(&self) -> Vec<(i32, i64)> {
        let moved = self.moved.iter();
        moved
            .flat_map(|m| m.records.iter().map(|r| (m.at.partition, r.offset)))
            .collect()
    }

    /// A move is committed, and the broker crashes before anything else is.
    pub fn carry_out_and_crash(&mut self) {
        let planned = self.asked.remove(0);
        assert_eq!(self.positions.get(&planned.at).copied(), planned.expected);
        self.store(&planned.ops);
        self.positions.insert(planned.at.clone(), planned.position);
        self.moved.push(planned);
        self.restart();
    }

    pub fn view(&self) -> Option<GroupView> {
        self.engine.views(Some(GROUP)).pop()
    }

    pub fn suspects(&self) -> Vec<SuspectView> {
        self.view().map(|v| v.suspects).unwrap_or_default()
    }
}
