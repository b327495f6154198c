//! Deleting dead letters for good.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{dry_run, front::trim, meta_op};
use crate::dead_letters::browse::takes;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::reading::{find, load_gone, scan};
use crate::dead_letters::views::{Purge, PurgeRequest, Purged};
use crate::state::BrokerState;

/// Records that one commit takes out of the queue.
const CHUNK: usize = 10_000;

/// Deletes what is selected, or says what that is. Blocking. If it ends with an error, a part may be gone; again does the rest.
pub(crate) fn run(
    broker: &Arc<BrokerState>,
    source: &str,
    request: &PurgeRequest,
) -> Result<Purge, Problem> {
    let selection = &request.selection;
    selection
        .check()
        .map_err(|e| Problem::invalid("bad_selection", e.to_string()))?;
    let queue = find(broker, source)?;
    let id = queue.topic.id;
    let _claim = match request.dry_run {
        true => None,
        false => Some(broker.redrives.claim(&id, &queue.topic.name)?),
    };
    let mut told = dry_run::empty(&queue, None, Vec::new());
    let mut purged = 0;
    for index in 0..queue.topic.partitions {
        if !selection.takes_partition(index) {
            continue;
        }
        let partition = queue.partition(&broker.store, index)?;
        let mut gone = load_gone(&broker.store, id.as_bytes(), index)?;
        let mut within = selection.offsets();
        // What comes while this runs was not meant.
        within.end = within.end.min(partition.high_watermark());
        while within.start < within.end {
            let mut going = Vec::new();
            let next = scan(&partition, &gone, within.clone(), |found| {
                if takes(&queue, selection, index, &found.record) {
                    if request.dry_run {
                        told.goes(index, &found.record);
                    } else {
                        going.push(found.record.offset);
                    }
                }
                match going.len() < CHUNK {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
            let (Some(&first), Some(&last)) = (going.first(), going.last()) else {
                break;
            };
            for &offset in &going {
                gone.insert(offset..offset + 1);
            }
            let rows = gone.rows(id.as_bytes(), index, &(first..last + 1));
            let commit = broker
                .store
                .commit(rows.into_iter().map(meta_op).collect())?;
            tokio::runtime::Handle::current().block_on(broker.store.durable(commit))?;
            purged += going.len() as u64;
            within.start = next;
        }
        if !request.dry_run {
            trim(&broker.store, &id, index, &gone)?;
        }
    }
    if request.dry_run {
        return Ok(Purge::DryRun(Box::new(told)));
    }
    tracing::info!("purged {purged} dead letters from {}", queue.topic.name);
    Ok(Purge::Done(Purged {
        dry_run: false,
        source: queue.source,
        queue: queue.topic.name.to_string(),
        records: purged,
    }))
}
