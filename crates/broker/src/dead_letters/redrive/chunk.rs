//! One chunk of a redrive: read, decide, pack, commit.

use std::ops::ControlFlow;

use bytes::BytesMut;
use ottla_codec::batch::BatchHeader;
use ottla_codec::compression::Compression;
use ottla_codec::records::Record;
use ottla_dlq::redrive::records::Target;
use ottla_dlq::redrive::{Kept, RangeSet, Task, Verdict, verdict};
use ottla_storage::{AppendContext, AppendError, Commit, Op, StoreError, Topic, TopicId};

use super::op;
use super::pack::{Packed, pack};
use crate::clock::wall_ms;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::reading::scan;
use crate::state::BrokerState;

/// Records that a chunk looks at, at most.
const LOOK: u32 = 5_000;
/// Bytes after which a chunk is full.
const FULL: usize = 512 << 10;

/// What a chunk did.
pub(super) struct Done {
    /// The task as its row has it once the commit is kept.
    pub task: Task,
    pub commit: Commit,
    /// Records that it moved.
    pub moved: u64,
}

/// Why there is no chunk.
pub(super) enum Stop {
    /// The task cannot go on.
    Fail(String),
    /// Not now.
    Wait(String),
    /// The broker stops.
    Stopping,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        match error {
            StoreError::Closed => Stop::Stopping,
            other => Stop::Wait(other.to_string()),
        }
    }
}

/// Where a task's records go.
pub(super) struct Place {
    pub target: std::sync::Arc<Topic>,
    /// The largest batch.
    pub limit: usize,
    pub needs_key: bool,
}

impl Place {
    pub fn new(broker: &BrokerState, target: &std::sync::Arc<Topic>) -> Place {
        let log = broker.topics.config(target).log.clone();
        let segment = usize::try_from(log.segment_bytes).unwrap_or(usize::MAX);
        Place {
            target: target.clone(),
            limit: log.max_message_bytes.min(segment),
            needs_key: log.cleanup_policy.compact,
        }
    }
}

/// The partition of the target for records of this one: the same; if there is none, the remainder by the number that there are.
pub(super) fn target_partition(partition: i32, target: &Topic) -> i32 {
    partition % target.partitions.max(1)
}

/// Moves the next records of a running task, at most `limit` of them. `gone` is the moved set of the partition that the task works on; after an
/// error it must be loaded again.
pub(super) fn advance(
    broker: &BrokerState,
    task: &Task,
    gone: &mut RangeSet,
    limit: u32,
) -> Result<Done, Stop> {
    let mut next = task.clone();
    let Some(at) = task.part() else {
        next.finish(wall_ms());
        return commit(broker, Vec::new(), next, 0);
    };
    let part = task.parts[at];
    let queue_id = TopicId::from_bytes(task.queue_id);
    let topics = broker.store.topics();
    let target = topics
        .by_id(&TopicId::from_bytes(task.target_id))
        .ok_or_else(|| {
            Stop::Fail(format!(
                "topic {} was deleted: create it and redrive again, or name another target",
                task.target
            ))
        })?;
    let queue = broker
        .store
        .partition(&queue_id, part.partition)
        .ok_or_else(|| Stop::Fail(format!("the queue {} was deleted", task.queue)))?;
    let place = Place::new(broker, target);
    let rules = Target {
        source: &task.source,
        retry: task.for_group.is_some(),
        needs_key: place.needs_key,
    };

    let mut moving: Vec<(i64, Record)> = Vec::new();
    let (mut looked, mut bytes) = (0, 0);
    let mut codec = Compression::None;
    let cursor = scan(&queue, gone, part.cursor..part.end, |found| {
        looked += 1;
        let record = &found.record;
        match verdict(
            record,
            part.partition,
            &task.selection,
            task.edit.as_ref(),
            &rules,
            |origin| redrive_max(broker, &task.source, origin.group.as_deref()),
        ) {
            Verdict::Passed => next.counts.passed += 1,
            Verdict::Kept(why) => next.keep(part.partition, record.offset, why),
            Verdict::Moves(moved) => {
                if moving.is_empty() {
                    codec = found.compression;
                }
                bytes += moved.value.as_ref().map_or(0, bytes::Bytes::len);
                moving.push((record.offset, moved));
            }
        }
        if moving.len() as u32 >= limit || looked >= LOOK || bytes >= FULL {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .map_err(|e| Stop::Fail(format!("the queue {} cannot be read: {e}", task.queue)))?;
    // Nothing more can be read though there should be: the log was cut, by retention or by hand.
    next.parts[at].cursor = if cursor > part.cursor || looked > 0 {
        cursor
    } else {
        part.end
    };

    let (mut ops, went) = appends(broker, &place, part.partition, moving, codec, &mut next)?;
    for &offset in &went {
        gone.insert(offset..offset + 1);
    }
    if let (Some(first), Some(last)) = (went.first(), went.last()) {
        let rows = gone.rows(&task.queue_id, part.partition, &(*first..last + 1));
        ops.extend(rows.into_iter().map(op));
    }
    let moved = went.len() as u64;
    next.counts.moved += moved;
    next.finish(wall_ms());
    commit(broker, ops, next, moved)
}

/// `dlq.redrive.max` for a group on a topic.
pub(super) fn redrive_max(broker: &BrokerState, source: &str, group: Option<&str>) -> u32 {
    let rules = broker
        .settings
        .dead_letters(&broker.store, group.unwrap_or_default(), source);
    rules.redrive_max
}

/// The appends for `moving`, and the offsets in the queue of those that go. Others are kept.
fn appends(
    broker: &BrokerState,
    place: &Place,
    partition: i32,
    moving: Vec<(i64, Record)>,
    codec: Compression,
    task: &mut Task,
) -> Result<(Vec<Op>, Vec<i64>), Stop> {
    let (offsets, records): (Vec<i64>, Vec<Record>) = moving.into_iter().unzip();
    let mut offsets = offsets.into_iter();
    let (mut ops, mut went) = (Vec::new(), Vec::new());
    let now_ms = wall_ms();
    for packed in pack(&records, codec, place.limit) {
        match packed {
            Packed::Batch(batch, count) => {
                let header = BatchHeader::parse(&batch)
                    .map_err(|e| Stop::Fail(Problem::defect(e).message))?;
                let index = target_partition(partition, &place.target);
                let to = broker.store.partition(&place.target.id, index);
                ops.push(Op::Append {
                    partition: to.ok_or_else(|| {
                        Stop::Fail(format!("topic {} was deleted", place.target.name))
                    })?,
                    batches: BytesMut::from(&batch[..]),
                    headers: vec![header],
                    ctx: AppendContext::at(now_ms),
                });
                went.extend(offsets.by_ref().take(count));
            }
            Packed::TooLarge(size) => {
                let offset = offsets.next().expect("each record has its offset");
                let limit = place.limit as u64;
                task.keep(partition, offset, Kept::TooLarge { size, limit });
            }
        }
    }
    Ok((ops, went))
}

fn commit(broker: &BrokerState, mut ops: Vec<Op>, task: Task, moved: u64) -> Result<Done, Stop> {
    ops.push(op(task.row()));
    match broker.store.commit_all(ops) {
        Ok((_, commit)) => Ok(Done {
            task,
            commit,
            moved,
        }),
        Err(AppendError::Store(error)) => Err(error.into()),
        Err(AppendError::Deleted) => Err(Stop::Fail(format!("topic {} was deleted", task.target))),
        // The target's limits changed since they were looked at.
        Err(e @ (AppendError::TooLarge { .. } | AppendError::LargerThanSegment { .. })) => {
            Err(Stop::Wait(e.to_string()))
        }
        Err(e @ AppendError::Refused(_)) => Err(Stop::Fail(e.to_string())),
    }
}
