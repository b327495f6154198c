//! Reading records of queues: which topic is whose queue, what of it is gone already, and its records one by one.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ottla_codec::batch::BatchHeader;
use ottla_codec::compression::Compression;
use ottla_codec::records::{Record, iterate};
use ottla_dlq::redrive::{RangeSet, ranges};
use ottla_storage::{Partition, ReadError, Store, Topic, Tree};

use super::gate::{batches, corrupt};
use super::problem::Problem;
use crate::produce_check::INFLATED_MAX;
use crate::state::BrokerState;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// A queue and the topic whose dead letters it holds.
#[derive(Clone)]
pub(crate) struct Queue {
    /// The name of the source topic.
    pub source: String,
    /// The source topic, if it exists.
    pub source_topic: Option<Arc<Topic>>,
    /// The queue topic.
    pub topic: Arc<Topic>,
}

/// The queue of `source`.
pub(crate) fn find(broker: &BrokerState, source: &str) -> Result<Queue, Problem> {
    let topics = broker.store.topics();
    let name = broker.settings.dead_letter_topic(&broker.store, source);
    let source_topic = topics.by_name(source).cloned();
    if let Some(topic) = topics.by_name(&name) {
        return Ok(Queue {
            source: source.to_owned(),
            source_topic,
            topic: topic.clone(),
        });
    }
    if let Some(of) = all(broker).iter().find(|q| &*q.topic.name == source) {
        return Err(Problem::invalid(
            "is_a_queue",
            format!(
                "{source} is the dead letter queue of {0}: ask for {0}",
                of.source
            ),
        ));
    }
    Err(match source_topic {
        Some(_) => Problem::not_found(
            "no_queue",
            format!("{source} has no dead letters: its queue {name} is created with the first one"),
        ),
        None => Problem::not_found(
            "unknown_topic",
            format!("there is no topic {source}, and no queue {name}"),
        ),
    })
}

/// All queues, in the order of their sources' names; those of deleted topics too, if the suffix tells them.
pub(crate) fn all(broker: &BrokerState) -> Vec<Queue> {
    let topics = broker.store.topics();
    let mut queues: Vec<Queue> = topics
        .iter()
        .filter_map(|source| {
            let name = broker
                .settings
                .dead_letter_topic(&broker.store, &source.name);
            let topic = topics.by_name(&name).filter(|t| t.id != source.id)?;
            Some(Queue {
                source: source.name.to_string(),
                source_topic: Some(source.clone()),
                topic: topic.clone(),
            })
        })
        .collect();
    let suffix = broker.settings.current().dead_letter_topic_suffix.clone();
    for topic in topics.iter() {
        let Some(source) = topic.name.strip_suffix(&*suffix) else {
            continue;
        };
        if !source.is_empty()
            && topics.by_name(source).is_none()
            && queues.iter().all(|q| q.topic.id != topic.id)
        {
            queues.push(Queue {
                source: source.to_owned(),
                source_topic: None,
                topic: topic.clone(),
            });
        }
    }
    queues.sort_by(|a, b| a.source.cmp(&b.source));
    queues
}

/// Whether records may not be redriven into this topic, because it is a queue.
pub(crate) fn is_queue(broker: &BrokerState, name: &str) -> bool {
    all(broker).iter().any(|q| &*q.topic.name == name)
}

impl Queue {
    /// A partition of the queue.
    pub fn partition(&self, store: &Store, index: i32) -> Result<Arc<Partition>, Problem> {
        store.partition(&self.topic.id, index).ok_or_else(|| {
            Problem::not_found(
                "deleted",
                format!("the queue {} is being deleted", self.topic.name),
            )
        })
    }
}

/// What of a queue's partition was moved back or purged, though its log still has it.
pub(crate) fn load_gone(store: &Store, queue: &[u8; 16], index: i32) -> Result<RangeSet, Problem> {
    let rows = store.scan(Tree::DeadLetters, &ranges::rows_prefix(queue, index))?;
    RangeSet::load(rows.iter().map(|(k, v)| (&k[..], &v[..])))
        .map_err(|e| Problem::unavailable("damaged", e.to_string()))
}

/// A record of a queue.
pub(crate) struct Found {
    /// With its offset in the queue.
    pub record: Record,
    /// Of the batch that it is in.
    pub compression: Compression,
}

/// Shows `see` the records of `within` that are still in the queue, in order, until it breaks. Returns the offset to go on from: one past the last
/// record shown, or the end of `within`.
pub(crate) fn scan(
    partition: &Partition,
    gone: &RangeSet,
    within: Range<i64>,
    mut see: impl FnMut(Found) -> ControlFlow<()>,
) -> Result<i64, ReadError> {
    let log_end = partition.high_watermark();
    let end = within.end.min(log_end);
    let mut at = within.start;
    loop {
        at = gone.first_absent(at.max(partition.log_start_offset()));
        if at >= end {
            return Ok(at.max(within.start).min(within.end.max(within.start)));
        }
        // Beyond the end, which may lie inside of a batch.
        let slice = match partition.read(at, log_end, READ_BYTES, true) {
            Ok(slice) => slice,
            // Somebody deleted records meanwhile.
            Err(ReadError::OutOfRange { start, .. }) if start > at => continue,
            Err(e) => return Err(e),
        };
        let batches = batches(&slice.chunks)?;
        if batches.is_empty() {
            // Compaction left nothing up to the end.
            return Ok(end);
        }
        for batch in batches {
            let header = BatchHeader::parse(&batch).map_err(|e| corrupt(at, &e))?;
            let compression = header.compression().map_err(|e| corrupt(at, &e))?;
            if !header.is_control() {
                for record in iterate(batch, INFLATED_MAX).map_err(|e| corrupt(at, &e))? {
                    let record = record.map_err(|e| corrupt(at, &e))?;
                    let offset = record.offset;
                    if offset >= end {
                        return Ok(end);
                    }
                    if offset < at || gone.contains(offset) {
                        continue;
                    }
                    let found = Found {
                        record,
                        compression,
                    };
                    if see(found).is_break() {
                        return Ok(offset + 1);
                    }
                }
            }
            at = header.next_offset().max(at);
        }
    }
}
