//! The front of a queue that was moved entirely is deleted, as DeleteRecords does it.

use std::ops::ControlFlow;

use ottla_dlq::StoreOp;
use ottla_dlq::redrive::{RangeSet, ranges};
use ottla_storage::{Store, TopicId, Tree};

use super::meta_op;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::reading::scan;

/// Moves the start of a queue's partition up to the first record that is still in it, and forgets rows about what is below.
/// Doing it again changes nothing, so it may be left undone by a crash.
pub(super) fn trim(
    store: &Store,
    queue: &TopicId,
    partition: i32,
    gone: &RangeSet,
) -> Result<(), Problem> {
    let Some(log) = store.partition(queue, partition) else {
        return Ok(());
    };
    let (start, end) = (log.log_start_offset(), log.high_watermark());
    let mut front = end;
    // Where compaction or a marker left an offset without a record, there is nothing to keep the start at.
    scan(&log, gone, start..end, |found| {
        front = found.record.offset;
        ControlFlow::Break(())
    })?;
    if front > start {
        log.delete_records(front)??;
    }
    let prefix = ranges::rows_prefix(queue.as_bytes(), partition);
    let below: Vec<_> = store
        .scan(Tree::DeadLetters, &prefix)?
        .into_iter()
        .filter(|(key, _)| ranges::is_below(key, front))
        .map(|(key, _)| meta_op(StoreOp::Delete { key: key.to_vec() }))
        .collect();
    if !below.is_empty() {
        store.commit(below)?;
    }
    Ok(())
}
