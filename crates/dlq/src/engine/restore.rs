//! A group comes from its rows, and goes.

use super::group::{Group, Turn};
use super::rows;
use crate::event::Gate;
use crate::{StoreOp, TopicPartition};

impl Group {
    /// The state as it was loaded meets the committed positions and the clock.
    pub fn reconcile(
        &mut self,
        turn: &mut Turn<'_>,
        position: &dyn Fn(&TopicPartition) -> Option<i64>,
    ) {
        let all: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        for at in all {
            let position = position(&at);
            let partition = self.partitions.get_mut(&at).expect("listed above");
            partition.position = position;
            let past = |offset: i64| position.is_some_and(|p| p > offset);
            if partition.suspect.as_ref().is_some_and(|s| past(s.head)) {
                partition.suspect = None;
            }
            if partition.lift.is_some_and(|l| past(l.skip.until)) {
                partition.lift = None;
            }
            if partition.nack.as_ref().is_some_and(|n| past(n.offset)) {
                partition.nack = None;
            }
            if let Some(nack) = &mut partition.nack
                && let Some(due) = nack.due_wall_ms
            {
                // A wall clock that was set back must not hold the partition for longer than the setting allows.
                let max = (turn.settings)(turn.group, &at.topic).retry_backoff_max_ms;
                let left = u64::try_from(due.saturating_sub(turn.now.wall_ms)).unwrap_or(0);
                let due_ms = turn.now.monotonic_ms.saturating_add(left.min(max));
                nack.due_ms = Some(due_ms);
                self.retries.insert((due_ms, at.clone()));
            }
            turn.touch(&at);
        }
        self.reconcile_case(turn, position);
    }

    /// What opens all gates.
    pub fn open_gates(&self, group: &str) -> Vec<(String, TopicPartition, Option<Gate>)> {
        let closed = self.partitions.iter().filter(|(_, p)| p.gate.is_some());
        closed
            .map(|(at, _)| (group.to_owned(), at.clone(), None))
            .collect()
    }

    /// What deletes all rows.
    pub fn delete_rows(&self, group: &str) -> Vec<StoreOp> {
        let mut ops: Vec<StoreOp> = self
            .partitions
            .iter()
            .filter(|(_, p)| p.stored.is_some())
            .map(|(at, _)| StoreOp::Delete {
                key: rows::partition_key(group, at),
            })
            .collect();
        if self.stored_case.is_some() {
            ops.push(StoreOp::Delete {
                key: rows::case_key(group),
            });
        }
        if self.breaker.stored.is_some() {
            ops.push(StoreOp::Delete {
                key: rows::breaker_key(group),
            });
        }
        ops
    }
}
