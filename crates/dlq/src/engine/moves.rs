//! Moves: planned, carried out by the broker, asked for again.

use super::group::{Group, Turn};
use super::partition::Lift;
use super::rows;
use crate::event::{DeadRecord, Destination, Move, MoveId};
use crate::{Offsets, StoreOp, TopicPartition};

/// The longest pause before a move that could not be made is asked for again, milliseconds.
const LONGEST_PAUSE_MS: u64 = 30_000;

/// A move that is under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub planned: Move,
    /// Why it could not be made, the last time.
    pub error: Option<String>,
    /// When it is asked for again, on the monotonic clock.
    pub again_at_ms: Option<u64>,
    failures: u32,
    origin: Origin,
}

/// What a move came of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client waits for the answer of its nack.
    Nack,
    /// A search that is over.
    Case,
    /// A client's commit, or a nack further on, passes records that are condemned. It comes again by itself.
    Commit,
}

/// What a move is to be, before it has a name.
pub(super) struct Plan {
    pub at: TopicPartition,
    pub records: Vec<DeadRecord>,
    pub to: Destination,
    pub expected: Option<i64>,
    pub position: i64,
    pub origin: Origin,
}

impl Group {
    /// Gives a plan its name and the rows that go with it.
    pub fn plan(&mut self, group: &str, next_move: &mut u64, plan: Plan) -> Move {
        let id = MoveId(*next_move);
        *next_move += 1;
        let partition = self.partitions.entry(plan.at.clone()).or_default();
        partition.moving = Some(id);
        let lift = lift_after(partition.lift, &plan.records, plan.expected, plan.position);
        let ops = vec![StoreOp::Put {
            key: rows::partition_key(group, &plan.at),
            value: rows::of_lift(lift),
        }];
        // What the breaker counts was stored with the event that led to this.
        let planned = Move {
            id,
            group: group.to_owned(),
            at: plan.at,
            records: plan.records,
            to: plan.to,
            expected: plan.expected,
            position: plan.position,
            ops,
        };
        let pending = Pending {
            planned: planned.clone(),
            error: None,
            again_at_ms: None,
            failures: 0,
            origin: plan.origin,
        };
        self.moves.insert(id, pending);
        planned
    }

    /// The same, asked for with the effects of this event.
    pub fn ask_for(&mut self, turn: &mut Turn<'_>, plan: Plan) -> MoveId {
        turn.touch(&plan.at);
        let planned = self.plan(turn.group, turn.next_move, plan);
        let id = planned.id;
        turn.effects.moves.push(planned);
        id
    }

    pub fn moved(&mut self, turn: &mut Turn<'_>, id: MoveId) {
        let Some(Pending {
            planned, origin, ..
        }) = self.moves.remove(&id)
        else {
            return;
        };
        let at = planned.at;
        // Others were planned on the position that is no more.
        self.moves.retain(|_, m| m.planned.at != at);
        let nack = self.partitions.get(&at).and_then(|p| p.nack.as_ref());
        if nack.is_some_and(|n| n.offset < planned.position) {
            self.forget_nack(&at);
        }
        let partition = self.partitions.entry(at.clone()).or_default();
        partition.moving = None;
        partition.suspect = None;
        // This row came into the store with the move.
        partition.stored = planned.ops.into_iter().find_map(|op| match op {
            StoreOp::Put { value, .. } => Some(value),
            StoreOp::Delete { .. } => None,
        });
        turn.touch(&at);
        if partition.position != planned.expected {
            // Something else has happened meanwhile, and was told of before this.
            return self.case_moved(turn, &at, planned.position);
        }
        partition.position = Some(planned.position);
        let (expected, position) = (planned.expected, planned.position);
        let lift = lift_after(partition.lift, &planned.records, expected, position);
        partition.lift = Some(lift);
        if let Some(start) = &mut partition.start
            && start.committed.is_none_or(|c| c < planned.position)
        {
            // Who fetched its position before the move is served from after it.
            start.committed = Some(planned.position);
        }
        if origin == Origin::Commit {
            self.breaker_progress(turn);
            if let Some(case) = &mut self.case {
                case.group_proven = true;
            }
        }
        self.case_moved(turn, &at, planned.position);
    }

    pub fn move_failed(&mut self, turn: &mut Turn<'_>, id: MoveId, error: String, retry: bool) {
        let Some(pending) = self.moves.get_mut(&id) else {
            return;
        };
        let at = pending.planned.at.clone();
        turn.touch(&at);
        let (origin, expected) = (pending.origin, pending.planned.expected);
        if retry && origin != Origin::Commit {
            let pause = 1000u64
                .saturating_mul(1 << pending.failures.min(8))
                .min(LONGEST_PAUSE_MS);
            pending.failures += 1;
            pending.error = Some(error);
            pending.again_at_ms = Some(turn.now.monotonic_ms.saturating_add(pause));
            return;
        }
        self.moves.remove(&id);
        let position = self.partitions.get(&at).and_then(|p| p.position);
        let left = self.moves.iter().find(|(_, m)| m.planned.at == at);
        let left = left.map(|(id, _)| *id);
        if let Some(partition) = self.partitions.get_mut(&at) {
            partition.moving = left;
        }
        // The record is not where the decision was made: it is decided anew.
        match origin {
            _ if retry || left.is_some() => {}
            Origin::Nack => self.forget_nack(&at),
            Origin::Case => self.leave_case(turn, &at),
            // With the position as it was, the log has the records no more, and the commit must not wait for them for ever.
            Origin::Commit if position == expected => self.leave_case(turn, &at),
            Origin::Commit => {}
        }
    }

    /// The moves whose pause is over are asked for again.
    pub fn ask_again(&mut self, turn: &mut Turn<'_>) {
        for pending in self.moves.values_mut() {
            if let Some(at) = pending.again_at_ms
                && at <= turn.now.monotonic_ms
            {
                pending.again_at_ms = None;
                turn.effects.moves.push(pending.planned.clone());
            }
        }
    }
}

/// What a move leaves behind: together with what the one before it left, if that was not passed yet.
fn lift_after(
    before: Option<Lift>,
    records: &[DeadRecord],
    expected: Option<i64>,
    position: i64,
) -> Lift {
    let first = records.first().map_or(position, |r| r.offset);
    let mut lift = Lift {
        skip: Offsets {
            from: first,
            until: position,
        },
        commits_from: expected.unwrap_or(0).min(first),
    };
    if let Some(before) = before
        && before.skip.from <= first
        && before.skip.until >= first
    {
        lift.skip.from = before.skip.from;
        lift.commits_from = lift.commits_from.min(before.commits_from);
    }
    lift
}
