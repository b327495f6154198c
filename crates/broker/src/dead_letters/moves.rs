//! Moves: records copied into a queue or a retry topic, and the group's position advanced, in one commit.
//!
//! The records are read and the destination is made sure of without the mutex of the group service; with it, the position is
//! held against the one on which the decision was made, and everything is committed or nothing is.

use std::sync::Arc;

use bytes::BytesMut;
use ottla_codec::batch::{BatchHeader, TimestampType};
use ottla_codec::compression::Compression;
use ottla_codec::records::{BatchBuilder, Record, iterate};
use ottla_coordinator::groups::{Event as GroupEvent, PartitionId};
use ottla_dlq::event::{DeadRecord, Destination, Event, Move};
use ottla_dlq::headers::{self, Failure};
use ottla_dlq::redrive::retry_topics;
use ottla_storage::{AppendContext, AppendError, Commit, Op, Partition, ReadError, TopicId};

use super::{DeadLetters, Outcome, alerts, gate, names};
use crate::clock::wall_ms;
use crate::groups::{Inner, Shared, UNAVAILABLE};
use crate::produce_check::INFLATED_MAX;

/// Why a move cannot be made.
enum Trouble {
    /// It never can: there is nothing to move, or the position is another one.
    Gone(String),
    /// It can when something has changed.
    Later(String),
}

/// What is to be committed.
struct Prepared {
    source: TopicId,
    destination: Arc<Partition>,
    topic: String,
    batches: BytesMut,
    headers: Vec<BatchHeader>,
    copied: Vec<DeadRecord>,
}

/// A record as it is in the log, with the codec of its batch.
struct Found {
    dead: DeadRecord,
    record: Record,
    codec: Compression,
}

/// Carries a move out.
pub(super) async fn run(shared: Arc<Shared>, planned: Move) {
    let deps = shared.dead_letters.clone();
    let Ok(slot) = shared.move_slots.acquire().await else {
        // Never closed.
        return;
    };
    let (prepared, planned) = {
        let prepare = move || (prepare(&deps, &planned), planned);
        match tokio::task::spawn_blocking(prepare).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a move of dead letters failed, which is a defect");
                return;
            }
        }
    };
    let told = prepared
        .as_ref()
        .ok()
        .map(|p| (p.topic.clone(), p.copied.clone()));
    let committed = shared.finish_move(&planned, prepared);
    drop(slot);
    let Some(commit) = committed else { return };
    // What was not kept is not told; the groups are loaded again then.
    if shared.durable(Some(commit)).await.is_ok()
        && let Some((topic, copied)) = told
    {
        for record in &copied {
            alerts::moved(&planned.group, &planned.at, record, &planned.to, &topic);
            if planned.to == Destination::DeadLetters {
                let metrics = &shared.dead_letters.metrics;
                metrics.dead_lettered(&planned.at.topic, &planned.group, record.cause);
            }
        }
    }
}

impl Shared {
    /// Commits what was prepared, if the decision still stands; `None` if nothing was committed.
    fn finish_move(&self, planned: &Move, prepared: Result<Prepared, Trouble>) -> Option<Commit> {
        let mut inner = self.lock();
        if !inner.policy.is_under_way(planned.id) {
            // The group was loaded again meanwhile, or is gone: the engine has decided anew.
            return None;
        }
        match prepared.and_then(|p| self.commit_move(&mut inner, planned, p)) {
            Ok(commit) => {
                inner.policy.ended(planned.id, Ok(commit));
                let mut outcome = Outcome::default();
                self.event(&mut inner, Event::Moved { id: planned.id }, &mut outcome);
                self.settle(&mut inner, Some(&planned.group), outcome);
                Some(commit)
            }
            Err(trouble) => {
                inner.policy.ended(planned.id, Err(UNAVAILABLE));
                self.move_failed(&mut inner, planned, trouble);
                None
            }
        }
    }

    fn commit_move(
        &self,
        inner: &mut Inner,
        planned: &Move,
        prepared: Prepared,
    ) -> Result<Commit, Trouble> {
        let (group, at) = (&planned.group, &planned.at);
        self.ensure_loaded(inner, group)
            .map_err(|_| Trouble::Later("the group cannot be loaded".to_owned()))?;
        let current = self.store.topics().by_name(&at.topic).map(|t| t.id);
        if current != Some(prepared.source) {
            return Err(Trouble::Gone("the topic was deleted".to_owned()));
        }
        let topic_id = *prepared.source.as_bytes();
        let committed = inner
            .machine
            .committed(group, &at.topic, at.partition)
            .filter(|c| c.topic_id == topic_id)
            .map(|c| c.offset);
        if committed != planned.expected {
            return Err(Trouble::Gone(format!(
                "the group's position is {committed:?} and not {:?} any more",
                planned.expected
            )));
        }
        let id = PartitionId {
            topic: at.topic.clone(),
            partition: at.partition,
        };
        let now = self.now();
        let advance = inner
            .machine
            .plan_advance(now, group, &id, topic_id, planned.position)
            .ok_or_else(|| Trouble::Gone("the group is gone".to_owned()))?;
        let mut ops: Vec<Op> = vec![Op::Append {
            partition: prepared.destination,
            batches: prepared.batches,
            headers: prepared.headers,
            ctx: AppendContext::at(now.wall_ms),
        }];
        ops.push(Op::Meta(crate::groups::meta_op(advance)));
        let rows = planned.ops.iter().cloned().map(super::policy::meta_op);
        ops.extend(rows.map(Op::Meta));
        let (_, commit) = self
            .store
            .commit_all(ops)
            .map_err(|e| refused(&e, &prepared.topic))?;
        inner.last_commit = Some(commit);
        // Its op is in the commit already.
        let _ = inner.machine.handle(
            now,
            GroupEvent::Advance {
                group_id: group.clone(),
                id,
                topic_id,
                offset: planned.position,
            },
        );
        Ok(commit)
    }

    fn move_failed(&self, inner: &mut Inner, planned: &Move, trouble: Trouble) {
        let (error, retry) = match trouble {
            Trouble::Gone(error) => {
                tracing::debug!(group = planned.group, error, "a dead letter is not moved");
                (error, false)
            }
            Trouble::Later(error) => {
                let offset = planned
                    .records
                    .first()
                    .map_or(planned.position, |r| r.offset);
                alerts::stuck(&planned.group, &planned.at, offset, &error);
                (error, true)
            }
        };
        let event = Event::MoveFailed {
            id: planned.id,
            error,
            retry,
        };
        let mut outcome = Outcome::default();
        self.event(inner, event, &mut outcome);
        self.settle(inner, Some(&planned.group), outcome);
    }
}

fn refused(error: &AppendError, topic: &str) -> Trouble {
    Trouble::Later(match error {
        AppendError::TooLarge { .. } | AppendError::LargerThanSegment { .. } => {
            format!(
                "topic {topic} does not take the record: {error}. Raise it there, with ottla topic alter {topic}"
            )
        }
        AppendError::Deleted => format!("topic {topic} is being deleted"),
        _ => error.to_string(),
    })
}

fn prepare(deps: &DeadLetters, planned: &Move) -> Result<Prepared, Trouble> {
    let gone = |what: &str| Trouble::Gone(format!("{what} {} is gone", planned.at.topic));
    let topics = deps.store.topics();
    let source = topics
        .by_name(&planned.at.topic)
        .ok_or_else(|| gone("topic"))?;
    let partition = deps
        .store
        .partition(&source.id, planned.at.partition)
        .ok_or_else(|| gone("partition of"))?;
    let mut found: Vec<Found> = Vec::new();
    for dead in &planned.records {
        let one = find(&partition, dead, planned.position).map_err(|e| match e {
            ReadError::Deleted => gone("topic"),
            other => Trouble::Later(other.to_string()),
        })?;
        // A record that was found for its predecessor is not copied twice.
        let last = found.last().map_or(-1, |f| f.record.offset);
        found.extend(one.filter(|f| f.record.offset > last));
    }
    let Some(first) = found.first() else {
        return Err(Trouble::Gone(
            "the log has no such record any more".to_owned(),
        ));
    };

    // In a retry topic the record is a copy, and goes on to where its original would.
    let headers = &first.record.headers;
    let copy_of = names::retried_from(&planned.at.topic, &planned.group, headers);
    let copy_of = copy_of.and_then(|origin| origin.topic);
    let origin = copy_of.as_deref().unwrap_or(&planned.at.topic);
    let name = match planned.to {
        Destination::DeadLetters => deps.settings.dead_letter_topic(&deps.store, origin),
        Destination::Retry { .. } => retry_topics::name(origin, &planned.group),
    };
    let like = topics.by_name(origin).unwrap_or(source);
    let topic = deps.ensure_topic(like, &name).map_err(Trouble::Later)?;
    if matches!(planned.to, Destination::Retry { .. }) {
        let registered = deps.delays.register(&deps.store, topic.id);
        registered.map_err(|e| Trouble::Later(e.to_string()))?;
    }
    let destination = deps
        .store
        .partition(&topic.id, planned.at.partition)
        .ok_or_else(|| Trouble::Later(format!("topic {name} is being deleted")))?;

    let limit = deps.topics.config(&topic).log.max_message_bytes;
    let (batches, headers) = batches(planned, &found, copy_of.is_some(), limit)
        .map_err(|e| Trouble::Later(format!("the copy cannot be made: {e}")))?;
    Ok(Prepared {
        source: source.id,
        destination,
        topic: name,
        batches,
        headers,
        copied: found.into_iter().map(|f| f.dead).collect(),
    })
}

/// The record at its offset; if the log has none there, the first one after it, if that is before `position`.
fn find(
    partition: &Partition,
    dead: &DeadRecord,
    position: i64,
) -> Result<Option<Found>, ReadError> {
    let end = partition.high_watermark();
    let mut at = dead.offset.max(partition.log_start_offset());
    while at < position.min(end) {
        let slice = partition.read(at, end, 0, true)?;
        let before = at;
        for batch in gate::batches(&slice.chunks)? {
            let corrupt = |e: &dyn std::fmt::Display| gate::corrupt(before, e);
            let header = BatchHeader::parse(&batch).map_err(|e| corrupt(&e))?;
            at = header.next_offset();
            if header.is_control() {
                continue;
            }
            let codec = header.compression().map_err(|e| corrupt(&e))?;
            for record in iterate(batch, INFLATED_MAX).map_err(|e| corrupt(&e))? {
                let record = record.map_err(|e| corrupt(&e))?;
                if record.offset >= position {
                    return Ok(None);
                }
                if record.offset >= dead.offset {
                    let dead = DeadRecord {
                        offset: record.offset,
                        ..dead.clone()
                    };
                    return Ok(Some(Found {
                        dead,
                        record,
                        codec,
                    }));
                }
            }
        }
        if at == before {
            break;
        }
    }
    Ok(None)
}

/// The copies: one batch if that is small enough, otherwise one for each record.
fn batches(
    planned: &Move,
    found: &[Found],
    is_copy: bool,
    limit: usize,
) -> Result<(BytesMut, Vec<BatchHeader>), ottla_codec::batch::BatchError> {
    let copies: Vec<Record> = (0..)
        .zip(found)
        .map(|(n, f)| copy(planned, f, is_copy, n))
        .collect();
    let build = |records: &[Record], codec| {
        let builder = BatchBuilder {
            compression: codec,
            timestamp_type: TimestampType::CreateTime,
            ..BatchBuilder::default()
        };
        builder.build(records)
    };
    let together = build(&copies, found[0].codec);
    let mut out = BytesMut::new();
    if copies.len() == 1 || together.len() <= limit {
        out.extend_from_slice(&together);
    } else {
        for (mut record, found) in copies.into_iter().zip(found) {
            record.offset = 0;
            out.extend_from_slice(&build(&[record], found.codec));
        }
    }
    let headers = ottla_codec::batch::check_all(&out)?;
    Ok((out, headers))
}

fn copy(planned: &Move, found: &Found, is_copy: bool, offset: i64) -> Record {
    let own = &found.record.headers;
    let origin = headers::origin(own);
    let failure = Failure {
        topic: &planned.at.topic,
        partition: planned.at.partition,
        offset: found.dead.offset,
        group: &planned.group,
        attempts: found.dead.attempts,
        message: &found.dead.reason,
        timestamp_ms: wall_ms(),
        client: &found.dead.client,
    };
    let due_ms = match planned.to {
        Destination::DeadLetters => None,
        Destination::Retry { due_ms } => Some(due_ms),
    };
    let headers = if is_copy {
        let failure = Failure {
            topic: origin.topic.as_deref().unwrap_or(failure.topic),
            partition: origin.partition.unwrap_or(failure.partition),
            offset: origin.offset.unwrap_or(failure.offset),
            ..failure
        };
        headers::of_copy(own, &failure, due_ms)
    } else {
        match due_ms {
            None => headers::for_queue(own, &failure),
            Some(due_ms) => headers::for_retry(own, &failure, due_ms),
        }
    };
    Record {
        offset,
        headers,
        ..found.record.clone()
    }
}
