//! What a redrive or a purge would do, found without writing anything.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ottla_codec::records::Record;
use ottla_dlq::headers;
use ottla_dlq::redrive::records::Target as Rules;
use ottla_dlq::redrive::task::MAX_NAMED;
use ottla_dlq::redrive::{Verdict, verdict};

use super::chunk::{Place, redrive_max};
use super::pack::{Packed, pack};
use super::start::{Plan, Target, notes};
use crate::clock::wall_ms;
use crate::dead_letters::browse::view;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::reading::{Queue, load_gone, scan};
use crate::dead_letters::views::{DryRun, KeptView, RedriveRequest};
use crate::state::BrokerState;

/// Records that a dry run shows.
const SHOWN: usize = 10;

/// Nothing yet.
pub(super) fn empty(queue: &Queue, target: Option<String>, notes: Vec<String>) -> DryRun {
    DryRun {
        dry_run: true,
        source: queue.source.clone(),
        queue: queue.topic.name.to_string(),
        target,
        records: 0,
        groups: BTreeMap::new(),
        kept: 0,
        kept_records: Vec::new(),
        older_than_retention: 0,
        first: Vec::new(),
        notes,
    }
}

impl DryRun {
    /// Counts a record that would go.
    pub(super) fn goes(&mut self, partition: i32, record: &Record) {
        self.records += 1;
        if let Some(group) = headers::origin(&record.headers).group {
            *self.groups.entry(group).or_default() += 1;
        }
        if self.first.len() < SHOWN {
            self.first.push(view(partition, record));
        }
    }
}

/// What `plan` would do now.
pub(super) fn redrive(
    broker: &BrokerState,
    plan: &Plan,
    request: &RedriveRequest,
) -> Result<DryRun, Problem> {
    let queue = &plan.queue;
    let target = plan.target.name().to_owned();
    let notes = notes(&queue.source, &target, request.for_group.as_deref());
    let mut told = empty(queue, Some(target), notes);
    // A retry topic that is to be made will take what its queue took, and keeps it.
    let place = match &plan.target {
        Target::Topic(topic) => Some((Place::new(broker, topic), topic)),
        Target::ToBeMade { .. } => None,
    };
    let rules = Rules {
        source: &queue.source,
        retry: request.for_group.is_some(),
        needs_key: place.as_ref().is_some_and(|(p, _)| p.needs_key),
    };
    let oldest = place.as_ref().and_then(|(_, topic)| {
        let retention = broker.topics.config(topic).log.retention_ms?;
        i64::try_from(retention)
            .ok()
            .map(|ms| wall_ms().saturating_sub(ms))
    });
    for part in &plan.parts {
        let partition = queue.partition(&broker.store, part.partition)?;
        let gone = load_gone(&broker.store, queue.topic.id.as_bytes(), part.partition)?;
        scan(&partition, &gone, part.cursor..part.end, |found| {
            let keep = |told: &mut DryRun, why| {
                told.kept += 1;
                if told.kept_records.len() < MAX_NAMED {
                    let kept = KeptView::new(part.partition, found.record.offset, &why);
                    told.kept_records.push(kept);
                }
            };
            match verdict(
                &found.record,
                part.partition,
                &request.selection,
                request.edit.as_ref(),
                &rules,
                |origin| redrive_max(broker, &queue.source, origin.group.as_deref()),
            ) {
                Verdict::Passed => {}
                Verdict::Kept(why) => keep(&mut told, why),
                Verdict::Moves(moved) => {
                    let too_large = place.as_ref().and_then(|(place, _)| {
                        let one = std::slice::from_ref(&moved);
                        match pack(one, found.compression, place.limit).pop() {
                            Some(Packed::TooLarge(size)) => Some((size, place.limit as u64)),
                            _ => None,
                        }
                    });
                    if let Some((size, limit)) = too_large {
                        keep(
                            &mut told,
                            ottla_dlq::redrive::Kept::TooLarge { size, limit },
                        );
                    } else {
                        told.goes(part.partition, &found.record);
                        if oldest.is_some_and(|oldest| moved.timestamp < oldest) {
                            told.older_than_retention += 1;
                        }
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
    }
    if told.older_than_retention > 0 {
        told.notes.push(format!(
            "{} of them are older than what {} keeps (retention.ms): it may delete them before they are consumed",
            told.older_than_retention,
            plan.target.name()
        ));
    }
    Ok(told)
}
