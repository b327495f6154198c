//! The breaker: a deployment that fails on everything must not empty a topic into its queue.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::group::{Group, Turn};
use crate::TopicPartition;
use crate::event::Alert;
use crate::settings::Settings;

/// What failed since the group last made progress.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    pub counts: Counts,
    /// What is stored of it.
    pub stored: Option<Vec<u8>>,
}

/// The stored part.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Records that failed to the end, one after the other.
    pub in_a_row: u32,
    /// Partitions in which one failed alone in its window.
    pub partitions: BTreeSet<TopicPartition>,
    /// A record was moved without a proof that the group works.
    pub unproven: bool,
    /// Since when it is open, and why.
    pub open: Option<Open>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub since_wall_ms: i64,
    pub reason: String,
}

impl Breaker {
    pub fn is_open(&self) -> bool {
        self.counts.open.is_some()
    }
}

impl Group {
    /// Counts a nacked record that failed to the end. `false`: the breaker is open, it stays.
    pub fn may_move_nacked(&mut self, turn: &mut Turn<'_>, settings: &Settings) -> bool {
        if self.breaker.is_open() {
            return false;
        }
        let counts = &mut self.breaker.counts;
        counts.in_a_row = counts.in_a_row.saturating_add(1);
        let limit = settings.breaker_consecutive;
        if limit > 0 && counts.in_a_row >= limit {
            let reason = format!("{limit} records in a row failed, and none was committed between");
            self.open_breaker(turn, reason);
            return false;
        }
        true
    }

    /// Counts a record that failed alone in its window. `Some`: why that opens the breaker. `waiting`: how many wait for a proof.
    pub fn count_condemned(
        &mut self,
        turn: &Turn<'_>,
        at: &TopicPartition,
        waiting: usize,
    ) -> Option<String> {
        let settings = turn.settings(at);
        let counts = &mut self.breaker.counts;
        counts.in_a_row = counts.in_a_row.saturating_add(1);
        counts.partitions.insert(at.clone());
        let reached = |count: usize, limit: u32| limit > 0 && count >= limit as usize;
        let in_a_row = (counts.in_a_row as usize).max(waiting);
        if reached(in_a_row, settings.breaker_consecutive) {
            return Some(format!(
                "members died on {in_a_row} records in a row, each alone, and none was committed between"
            ));
        }
        let partitions = counts.partitions.len();
        reached(partitions, settings.breaker_partitions).then(|| {
            format!("members died on records of {partitions} partitions, each alone, and none was committed between")
        })
    }

    pub fn open_breaker(&mut self, turn: &mut Turn<'_>, reason: String) {
        self.breaker.counts.open = Some(Open {
            since_wall_ms: turn.now.wall_ms,
            reason: reason.clone(),
        });
        turn.effects.alerts.push(Alert::BreakerOpen {
            group: turn.group.to_owned(),
            reason,
        });
        // Everything is served again, and what is to be searched after this must be seen anew.
        self.end_case(turn);
        for (at, partition) in &mut self.partitions {
            if partition.suspect.take().is_some() {
                turn.touched.insert(at.clone());
            }
        }
    }

    /// Something was processed and committed.
    pub fn breaker_progress(&mut self, turn: &mut Turn<'_>) {
        if self.breaker.counts == Counts::default() {
            return;
        }
        if self.breaker.is_open() {
            turn.effects.alerts.push(Alert::BreakerClosed {
                group: turn.group.to_owned(),
            });
        }
        self.breaker.counts = Counts::default();
    }
}
