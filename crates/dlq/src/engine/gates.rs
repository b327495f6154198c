//! What a group's state says of its gates and of commits.

use super::case::CondemnedRecord;
use super::group::Group;
use super::moves::{Origin, Plan};
use crate::event::{CommitVerdict, DeadRecord, Destination, Gate, Serve};
use crate::{Offsets, TopicPartition};

impl Group {
    pub fn before_commit(
        &mut self,
        group: &str,
        next_move: &mut u64,
        at: &TopicPartition,
        offset: i64,
    ) -> CommitVerdict {
        let Some(partition) = self.partitions.get(at) else {
            return CommitVerdict::Plain;
        };
        if let Some(lift) = partition.lift
            && lift.commits_from <= offset
            && offset < lift.skip.until
        {
            return CommitVerdict::Lifted(lift.skip.until);
        }
        let records = self.condemned_before(at, offset);
        if records.is_empty() {
            return CommitVerdict::Plain;
        }
        let plan = Plan {
            at: at.clone(),
            records,
            to: Destination::DeadLetters,
            expected: partition.position,
            position: offset,
            origin: Origin::Commit,
        };
        CommitVerdict::Moves(self.plan(group, next_move, plan))
    }

    /// Condemned records that a commit of `offset` would pass.
    pub fn condemned_before(&self, at: &TopicPartition, offset: i64) -> Vec<DeadRecord> {
        let condemned = self.case.as_ref().and_then(|c| c.condemned.get(at));
        let records = condemned.into_iter().flat_map(|c| &c.records);
        let passed = records.filter(|r| r.offset < offset);
        passed.map(CondemnedRecord::dead).collect()
    }

    /// What is left out for the owner: dead, or about to be.
    pub fn skip_of(&self, at: &TopicPartition) -> Option<Offsets> {
        let lift = self.partitions.get(at).and_then(|p| p.lift).map(|l| l.skip);
        let condemned = self.case.as_ref().and_then(|c| c.condemned.get(at));
        match (lift, condemned.map(|c| c.offsets)) {
            (Some(lift), Some(condemned)) => Some(Offsets {
                from: lift.from.min(condemned.from),
                until: lift.until.max(condemned.until),
            }),
            (lift, condemned) => lift.or(condemned),
        }
    }

    /// What the state says of a partition's gate.
    pub fn gate_of(&self, at: &TopicPartition) -> Option<Gate> {
        let partition = self.partitions.get(at)?;
        let skip = self.skip_of(at);
        let case = self.case.as_ref().filter(|c| c.has(at));
        let waits = partition.moving.is_some()
            || partition.nack.as_ref().is_some_and(|n| n.due_ms.is_some());
        let serve = match case {
            _ if waits => Serve::Nothing,
            None => Serve::All,
            Some(case) => case
                .window(at)
                .map_or(Serve::Nothing, |w| Serve::Until(w.until)),
        };
        match (skip, serve) {
            (None, Serve::All) => None,
            (skip, serve) => Some(Gate { skip, serve }),
        }
    }
}
