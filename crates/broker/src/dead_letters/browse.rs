//! Looking at queues. Nothing here changes anything.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use ottla_codec::records::Record;
use ottla_dlq::headers;
use ottla_dlq::redrive::records::is_of;
use ottla_dlq::redrive::selection::Seen;
use ottla_dlq::redrive::{Blob, Selection};

use super::problem::Problem;
use super::reading::{self, Queue, find, load_gone, scan};
use super::views::{
    DeadRecord, HeaderView, MAX_REASONS, PartitionDetail, QueueDetail, QueueSummary, ReasonCount,
    RecordPage, SourceView,
};
use crate::state::BrokerState;

/// What a page of records holds at most, bytes of keys and values; one record is always in it.
const PAGE_BYTES: usize = 1 << 20;
/// Different reasons that are counted; what comes after that is not.
const MAX_COUNTED_REASONS: usize = 10_000;

/// All queues.
pub(crate) fn list(broker: &std::sync::Arc<BrokerState>) -> Result<Vec<QueueSummary>, Problem> {
    let mut summaries = Vec::new();
    for queue in reading::all(broker) {
        match survey(broker, &queue) {
            Ok(survey) => summaries.push(survey.summary),
            // It was deleted while it was read.
            Err(e) if e.code == "deleted" => {}
            Err(e) => return Err(e),
        }
    }
    Ok(summaries)
}

/// Records in each queue topic, without reading them: its offsets less what was moved back or purged. In a queue that somebody
/// has compacted, or writes to in transactions, there are fewer.
pub(crate) fn sizes(broker: &BrokerState) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for queue in reading::all(broker) {
        let size = (0..queue.topic.partitions).try_fold(0, |sum, index| {
            let partition = queue.partition(&broker.store, index)?;
            let gone = load_gone(&broker.store, queue.topic.id.as_bytes(), index)?;
            let log = partition.log_start_offset()..partition.high_watermark();
            let records = u64::try_from(log.end - log.start).unwrap_or(0);
            Ok::<u64, Problem>(sum + records.saturating_sub(gone.count_in(&log)))
        });
        // One that is being deleted has no size.
        if let Ok(size) = size {
            sizes.insert(queue.topic.name.to_string(), size);
        }
    }
    sizes
}

/// One queue.
pub(crate) fn show(broker: &BrokerState, source: &str) -> Result<QueueDetail, Problem> {
    let queue = find(broker, source)?;
    let survey = survey(broker, &queue)?;
    let mut reasons: Vec<ReasonCount> = survey
        .reasons
        .into_iter()
        .map(|(reason, records)| ReasonCount { reason, records })
        .collect();
    reasons.sort_by(|a, b| (b.records, &a.reason).cmp(&(a.records, &b.reason)));
    reasons.truncate(MAX_REASONS);
    let mut redrives = broker.redrives.all();
    redrives.retain(|t| t.queue == *queue.topic.name && matches!(t.state, "running" | "paused"));
    Ok(QueueDetail {
        summary: survey.summary,
        partitions: survey.partitions,
        reasons,
        redrives,
    })
}

struct Survey {
    summary: QueueSummary,
    partitions: Vec<PartitionDetail>,
    reasons: HashMap<String, u64>,
}

fn survey(broker: &BrokerState, queue: &Queue) -> Result<Survey, Problem> {
    let mut survey = Survey {
        summary: QueueSummary {
            source: queue.source.clone(),
            source_exists: queue.source_topic.is_some(),
            queue: queue.topic.name.to_string(),
            records: 0,
            oldest: None,
            newest: None,
            groups: BTreeMap::new(),
        },
        partitions: Vec::new(),
        reasons: HashMap::new(),
    };
    for index in 0..queue.topic.partitions {
        let partition = queue.partition(&broker.store, index)?;
        let gone = load_gone(&broker.store, queue.topic.id.as_bytes(), index)?;
        let mut records = 0;
        scan(&partition, &gone, 0..i64::MAX, |found| {
            let origin = headers::origin(&found.record.headers);
            if !is_of(&origin, &queue.source) {
                return ControlFlow::Continue(());
            }
            records += 1;
            let time = origin.timestamp_ms.unwrap_or(found.record.timestamp);
            let summary = &mut survey.summary;
            summary.oldest = Some(summary.oldest.map_or(time, |t| t.min(time)));
            summary.newest = Some(summary.newest.map_or(time, |t| t.max(time)));
            if let Some(group) = origin.group {
                *summary.groups.entry(group).or_default() += 1;
            }
            let reason = origin.message.unwrap_or_default();
            if survey.reasons.len() < MAX_COUNTED_REASONS || survey.reasons.contains_key(&reason) {
                *survey.reasons.entry(reason).or_default() += 1;
            }
            ControlFlow::Continue(())
        })?;
        survey.summary.records += records;
        survey.partitions.push(PartitionDetail {
            partition: index,
            records,
            start: partition.log_start_offset(),
            end: partition.high_watermark(),
        });
    }
    Ok(survey)
}

/// A page of records.
pub(crate) fn records(
    broker: &BrokerState,
    source: &str,
    selection: &Selection,
    limit: usize,
    cursor: Option<&str>,
) -> Result<RecordPage, Problem> {
    selection
        .check()
        .map_err(|e| Problem::invalid("bad_selection", e.to_string()))?;
    let begin = cursor.map(read_cursor).transpose()?;
    let queue = find(broker, source)?;
    let limit = limit.max(1);
    let mut page = RecordPage {
        records: Vec::new(),
        next: None,
    };
    let mut bytes = 0;
    let first = begin.map_or(0, |(partition, _)| partition);
    for index in first..queue.topic.partitions {
        if !selection.takes_partition(index) {
            continue;
        }
        let partition = queue.partition(&broker.store, index)?;
        let gone = load_gone(&broker.store, queue.topic.id.as_bytes(), index)?;
        let mut within = selection.offsets();
        if let Some((_, offset)) = begin.filter(|(p, _)| *p == index) {
            within.start = within.start.max(offset);
        }
        scan(&partition, &gone, within, |found| {
            let record = found.record;
            if !takes(&queue, selection, index, &record) {
                return ControlFlow::Continue(());
            }
            let size = weight(&record);
            let is_full = page.records.len() >= limit || bytes + size > PAGE_BYTES;
            if is_full && !page.records.is_empty() {
                page.next = Some(format!("{index}:{}", record.offset));
                return ControlFlow::Break(());
            }
            bytes += size;
            page.records.push(view(index, &record));
            ControlFlow::Continue(())
        })?;
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

/// Whether a record of this queue is meant.
pub(crate) fn takes(queue: &Queue, selection: &Selection, partition: i32, record: &Record) -> bool {
    let origin = headers::origin(&record.headers);
    let seen = Seen {
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: record.key.as_deref(),
        origin: &origin,
    };
    is_of(&origin, &queue.source) && selection.takes(&seen)
}

fn weight(record: &Record) -> usize {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|h| h.key.len() + len(&h.value))
        .sum();
    len(&record.key) + len(&record.value) + headers
}

fn read_cursor(cursor: &str) -> Result<(i32, i64), Problem> {
    let read = || {
        let (partition, offset) = cursor.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    read()
        .filter(|(partition, offset)| *partition >= 0 && *offset >= 0)
        .ok_or_else(|| {
            Problem::invalid(
                "bad_cursor",
                format!("{cursor:?} is no cursor: take `next` of the page before"),
            )
        })
}

/// A record as people see it.
pub(crate) fn view(partition: i32, record: &Record) -> DeadRecord {
    let origin = headers::origin(&record.headers);
    let blob = |bytes: &Option<bytes::Bytes>| bytes.as_deref().map(Blob::new);
    DeadRecord {
        partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: blob(&record.key),
        value: blob(&record.value),
        headers: headers::restored(&record.headers, 0)
            .iter()
            .map(|h| HeaderView {
                key: Blob::new(&h.key),
                value: blob(&h.value),
            })
            .collect(),
        source: origin.topic.map(|topic| SourceView {
            topic,
            partition: origin.partition,
            offset: origin.offset,
        }),
        group: origin.group,
        attempts: origin.attempts,
        reason: origin.message,
        dead_lettered: origin.timestamp_ms,
        client: origin.client,
        redrives: origin.redrives,
    }
}
