//! One group: what its events change, and the gates that follow from its state.

use std::collections::{BTreeMap, BTreeSet};

use super::breaker::Breaker;
use super::case::Case;
use super::moves::Pending;
use super::partition::{Partition, Start};
use super::rows;
use crate::event::{Effects, MemberAssignment, MoveId};
use crate::settings::Settings;
use crate::{Now, TopicPartition};

/// What is known of one group's failures.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub members: BTreeMap<String, Member>,
    pub partitions: BTreeMap<TopicPartition, Partition>,
    /// The moves that are under way.
    pub moves: BTreeMap<MoveId, Pending>,
    pub breaker: Breaker,
    /// What is searched because members died on it.
    pub case: Option<Case>,
    /// What is stored of the case.
    pub stored_case: Option<Vec<u8>>,
    /// How often patience was too short for this group's consumers. Not stored.
    pub patience_doublings: u32,
    /// The partitions that wait until a nacked record is due, on the monotonic clock.
    pub retries: BTreeSet<(u64, TopicPartition)>,
    /// The timer that the engine keeps for it.
    pub wake: Option<u64>,
}

/// A member in the current generation.
#[derive(Debug)]
pub(super) struct Member {
    pub client: String,
    pub rebalance_timeout_ms: i32,
    /// When it was first seen, on the monotonic clock.
    pub since_ms: u64,
}

/// One event's way through a group.
pub(super) struct Turn<'a> {
    pub now: Now,
    pub group: &'a str,
    pub settings: &'a dyn Fn(&str, &str) -> Settings,
    pub effects: Effects,
    pub next_move: &'a mut u64,
    /// Partitions whose gates and rows are to be looked at afterwards.
    pub touched: BTreeSet<TopicPartition>,
}

impl Turn<'_> {
    pub fn settings(&self, at: &TopicPartition) -> Settings {
        (self.settings)(self.group, &at.topic)
    }

    pub fn touch(&mut self, at: &TopicPartition) {
        if !self.touched.contains(at) {
            self.touched.insert(at.clone());
        }
    }
}

impl Group {
    pub fn assigned(&mut self, turn: &mut Turn<'_>, members: Vec<MemberAssignment>) {
        let mut old = std::mem::take(&mut self.members);
        let mut owned = BTreeSet::new();
        for member in members {
            let since_ms = old
                .remove(&member.member_id)
                .map_or(turn.now.monotonic_ms, |m| m.since_ms);
            self.members.insert(
                member.member_id,
                Member {
                    client: format!("{}{}", member.client_id, member.client_host),
                    rebalance_timeout_ms: member.rebalance_timeout_ms,
                    since_ms,
                },
            );
            owned.extend(member.partitions);
        }
        // What nobody reads is not kept in memory, unless there is something to say of it.
        self.partitions
            .retain(|at, p| owned.contains(at) || !p.is_plain());
    }

    pub fn position_fetched(
        &mut self,
        turn: &mut Turn<'_>,
        member_id: String,
        at: TopicPartition,
        offset: Option<i64>,
    ) {
        let position = self.partitions.get(&at).and_then(|p| p.position);
        if position.is_some() && position != offset {
            // Nobody told of this change, so nothing is known of how it came.
            self.reset(turn, &at);
        }
        let partition = self.partitions.entry(at).or_default();
        partition.position = offset;
        partition.start = Some(Start {
            member_id,
            committed: offset,
        });
    }

    pub fn committed(&mut self, turn: &mut Turn<'_>, at: &TopicPartition, offset: i64) {
        let Some(partition) = self.partitions.get_mut(at) else {
            if !self.members.is_empty() {
                self.partitions.entry(at.clone()).or_default().position = Some(offset);
            }
            return;
        };
        let floor = partition.position.or_else(|| {
            // A group's first commit: it is progress if it passes the head on which members died.
            let searched = || self.case.as_ref().and_then(|c| c.first(at));
            let head = partition.suspect.as_ref().map(|s| s.head);
            head.or_else(searched)
        });
        match floor {
            Some(floor) if offset > floor => self.progress(turn, at, offset),
            Some(floor) if offset < floor => {
                self.reset(turn, at);
                self.partitions.entry(at.clone()).or_default().position = Some(offset);
            }
            _ => partition.position = Some(offset),
        }
    }

    /// The group processed something: all before `offset`, which is past what was committed before.
    pub fn progress(&mut self, turn: &mut Turn<'_>, at: &TopicPartition, offset: i64) {
        let Some(partition) = self.partitions.get_mut(at) else {
            return;
        };
        partition.position = Some(offset);
        if !partition.is_plain() {
            if partition.suspect.as_ref().is_some_and(|s| s.head < offset) {
                partition.suspect = None;
            }
            if partition.lift.is_some_and(|l| l.skip.until < offset) {
                partition.lift = None;
            }
            if partition.nack.as_ref().is_some_and(|n| n.offset < offset) {
                self.forget_nack(at);
            }
            turn.touch(at);
        }
        self.breaker_progress(turn);
        self.case_progress(turn, at, offset);
    }

    pub fn reset(&mut self, turn: &mut Turn<'_>, at: &TopicPartition) {
        self.forget_nack(at);
        self.leave_case(turn, at);
        let Some(partition) = self.partitions.get_mut(at) else {
            return;
        };
        partition.position = None;
        partition.start = None;
        partition.suspect = None;
        partition.lift = None;
        turn.touch(at);
    }

    pub fn topic_deleted(&mut self, turn: &mut Turn<'_>, topic: &str) {
        let gone: Vec<TopicPartition> = self
            .partitions
            .keys()
            .filter(|at| at.topic == topic)
            .cloned()
            .collect();
        for at in gone {
            self.reset(turn, &at);
        }
    }

    pub fn timer(&mut self, turn: &mut Turn<'_>) {
        while let Some((due, _)) = self.retries.first()
            && *due <= turn.now.monotonic_ms
        {
            let (_, at) = self.retries.pop_first().expect("there is a first one");
            if let Some(nack) = self.partitions.get_mut(&at).and_then(|p| p.nack.as_mut()) {
                nack.due_ms = None;
                nack.due_wall_ms = None;
            }
            turn.touch(&at);
        }
        self.ask_again(turn);
        self.case_timer(turn);
    }

    pub fn next_timer(&self) -> Option<u64> {
        let retry = self.retries.first().map(|(at, _)| *at);
        let moves = self.moves.values().filter_map(|m| m.again_at_ms).min();
        let patience = self.case.as_ref().and_then(|c| c.patience_at_ms);
        let stalled = self.case.as_ref().and_then(|c| c.stalled_at_ms);
        [retry, moves, patience, stalled]
            .into_iter()
            .flatten()
            .min()
    }

    /// Gates and rows of all that was touched follow the state.
    pub fn finish(&mut self, turn: &mut Turn<'_>) {
        self.finish_case(turn);
        for at in std::mem::take(&mut turn.touched) {
            let gate = self.gate_of(&at);
            let Some(partition) = self.partitions.get_mut(&at) else {
                continue;
            };
            if partition.gate != gate {
                partition.gate = gate;
                turn.effects
                    .gates
                    .push((turn.group.to_owned(), at.clone(), gate));
            }
            let row = rows::of_partition(partition);
            let key = || rows::partition_key(turn.group, &at);
            turn.effects
                .ops
                .extend(rows::change(&mut partition.stored, row, key));
        }
        let row = self.case.as_ref().map(rows::of_case);
        let key = || rows::case_key(turn.group);
        let change = rows::change(&mut self.stored_case, row, key);
        turn.effects.ops.extend(change);
        let row = rows::of_breaker(&self.breaker);
        let key = || rows::breaker_key(turn.group);
        let change = rows::change(&mut self.breaker.stored, row, key);
        turn.effects.ops.extend(change);
    }
}
