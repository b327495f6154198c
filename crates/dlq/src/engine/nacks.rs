//! Nacks: a client says that a record failed.

use super::group::{Group, Turn};
use super::moves::{Origin, Plan};
use super::partition::Nacked;
use crate::TopicPartition;
use crate::event::{Cause, DeadRecord, Destination, NackOutcome};
use crate::marker::Marker;
use crate::settings::{RetryMode, Settings};

/// The event, without the group.
pub(super) struct Nack {
    pub at: TopicPartition,
    pub offset: i64,
    pub marker: Marker,
    pub client: String,
    pub committed: Option<i64>,
    pub earlier: u32,
}

/// What is to become of the record.
enum Decision {
    Stays,
    Dead(Cause),
    Retried { due_ms: i64 },
}

impl Group {
    pub fn nack(&mut self, turn: &mut Turn<'_>, nack: Nack) {
        turn.touch(&nack.at);
        let partition = self.partitions.entry(nack.at.clone()).or_default();
        partition.position = nack.committed;
        // Condemned records before this one must not be passed without a copy of them.
        let mut records = self.condemned_before(&nack.at, nack.offset);
        let passes = !records.is_empty();
        if nack.committed.is_some_and(|c| nack.offset > c) && !passes {
            // Everything before the record is processed.
            self.progress(turn, &nack.at, nack.offset);
        }
        if let Some(id) = self.move_of(&nack) {
            turn.effects.nack = Some(NackOutcome::Moves(id));
            return;
        }
        let settings = turn.settings(&nack.at);
        let (reason, ordered_dead) = match &nack.marker {
            Marker::Nack(reason) => (reason.clone(), false),
            Marker::Dead(reason) => (reason.clone(), true),
        };
        let before = self.partitions.get(&nack.at).and_then(|p| p.nack.as_ref());
        let before = before
            .filter(|n| n.offset == nack.offset)
            .map_or(nack.earlier, |n| n.count);
        let attempts = before.saturating_add(1);
        let decision = self.decide(turn, &settings, attempts, ordered_dead);
        let dead = |cause| DeadRecord {
            offset: nack.offset,
            attempts,
            cause,
            reason: reason.clone(),
            client: nack.client.clone(),
        };
        let mut to = Destination::DeadLetters;
        let mut position = nack.offset.saturating_add(1);
        match decision {
            Decision::Dead(cause) => records.push(dead(cause)),
            Decision::Retried { due_ms } if !passes => {
                to = Destination::Retry { due_ms };
                records.push(dead(Cause::Nacked));
            }
            Decision::Retried { .. } | Decision::Stays => {
                let wait = match settings.retry_mode {
                    RetryMode::Ordered => backoff_ms(&settings, attempts),
                    RetryMode::Unordered => 0,
                };
                let nacked = Nacked {
                    offset: nack.offset,
                    count: attempts,
                    reason,
                    client: nack.client.clone(),
                    due_ms: (wait > 0).then(|| turn.now.monotonic_ms.saturating_add(wait)),
                    due_wall_ms: (wait > 0).then(|| turn.now.wall_ms.saturating_add_unsigned(wait)),
                };
                self.keep_nack(&nack.at, nacked);
                if !passes {
                    turn.effects.nack = Some(NackOutcome::Stays { attempts });
                    return;
                }
                position = nack.offset;
            }
        }
        let plan = Plan {
            at: nack.at,
            records,
            to,
            expected: nack.committed,
            position,
            origin: if passes { Origin::Commit } else { Origin::Nack },
        };
        // The position is still the one before the nack until the move is committed.
        if let Some(partition) = self.partitions.get_mut(&plan.at) {
            partition.position = plan.expected;
        }
        let id = self.ask_for(turn, plan);
        turn.effects.nack = Some(NackOutcome::Moves(id));
    }

    fn decide(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &Settings,
        attempts: u32,
        ordered_dead: bool,
    ) -> Decision {
        if ordered_dead {
            return Decision::Dead(Cause::Rejected);
        }
        if attempts >= settings.max_attempts {
            return match self.may_move_nacked(turn, settings) {
                true => Decision::Dead(Cause::Nacked),
                false => Decision::Stays,
            };
        }
        let wait = backoff_ms(settings, attempts);
        if settings.retry_mode == RetryMode::Unordered && wait > 0 {
            return Decision::Retried {
                due_ms: turn.now.wall_ms.saturating_add_unsigned(wait),
            };
        }
        Decision::Stays
    }

    /// The move that is under way with this record in it.
    fn move_of(&self, nack: &Nack) -> Option<crate::event::MoveId> {
        let id = self.partitions.get(&nack.at)?.moving?;
        let planned = &self.moves.get(&id)?.planned;
        let has = planned.records.iter().any(|r| r.offset == nack.offset);
        (has && planned.expected == nack.committed).then_some(id)
    }

    fn keep_nack(&mut self, at: &TopicPartition, nacked: Nacked) {
        self.forget_nack(at);
        if let Some(due) = nacked.due_ms {
            self.retries.insert((due, at.clone()));
        }
        self.partitions.entry(at.clone()).or_default().nack = Some(Box::new(nacked));
    }

    pub fn forget_nack(&mut self, at: &TopicPartition) {
        let nack = self.partitions.get_mut(at).and_then(|p| p.nack.take());
        if let Some(due) = nack.and_then(|n| n.due_ms) {
            self.retries.remove(&(due, at.clone()));
        }
    }
}

/// How long a record waits after its `attempts`th failure (1 or more), milliseconds.
fn backoff_ms(settings: &Settings, attempts: u32) -> u64 {
    let doublings = attempts.saturating_sub(1).min(63);
    settings
        .retry_backoff_ms
        .saturating_mul(1 << doublings)
        .min(settings.retry_backoff_max_ms)
}
