//! Starting a redrive: what is asked for is checked, and refused in words, before anything is written.

use std::sync::Arc;

use ottla_dlq::redrive::{Counts, Part, State, Task, retry_topics};
use ottla_storage::{Op, Topic};

use super::dry_run;
use super::op;
use super::service::Live;
use crate::clock::wall_ms;
use crate::dead_letters::problem::Problem;
use crate::dead_letters::queues::blocking;
use crate::dead_letters::reading::{self, Queue, find};
use crate::dead_letters::views::{Redrive, RedriveRequest, TaskView};
use crate::state::BrokerState;

/// What is asked for, checked.
pub(super) struct Plan {
    pub queue: Queue,
    pub target: Target,
    pub parts: Vec<Part>,
}

/// Where records go.
pub(super) enum Target {
    Topic(Arc<Topic>),
    /// A retry topic that is made when the redrive begins.
    ToBeMade {
        name: String,
        source: Arc<Topic>,
    },
}

impl Target {
    pub fn name(&self) -> &str {
        match self {
            Target::Topic(topic) => &topic.name,
            Target::ToBeMade { name, .. } => name,
        }
    }
}

/// Starts a redrive of the queue of `source`, or says what it would do.
pub(crate) async fn start(
    broker: &Arc<BrokerState>,
    source: &str,
    request: RedriveRequest,
) -> Result<Redrive, Problem> {
    let source = source.to_owned();
    if request.dry_run {
        return blocking(broker, move |broker| {
            let plan = plan(broker, &source, &request)?;
            let told = dry_run::redrive(broker, &plan, &request)?;
            Ok(Redrive::DryRun(Box::new(told)))
        })
        .await;
    }
    let view = blocking(broker, move |broker| begin(broker, &source, &request)).await?;
    Ok(Redrive::Started(Box::new(view)))
}

fn begin(
    broker: &Arc<BrokerState>,
    source: &str,
    request: &RedriveRequest,
) -> Result<TaskView, Problem> {
    let plan = plan(broker, source, request)?;
    let queue = &plan.queue.topic;
    let claim = broker.redrives.claim(&queue.id, &queue.name)?;
    let target = match &plan.target {
        Target::Topic(topic) => topic.clone(),
        Target::ToBeMade { name, source } => make_retry_topic(broker, name, source)?,
    };
    let (id, mut ops) = broker.redrives.next_id(&broker.store)?;
    let task = Task {
        id,
        source: plan.queue.source.clone(),
        queue: queue.name.to_string(),
        queue_id: *queue.id.as_bytes(),
        target: target.name.to_string(),
        target_id: *target.id.as_bytes(),
        for_group: request.for_group.clone(),
        selection: request.selection.clone(),
        edit: request.edit.clone(),
        rate: request.rate,
        started_ms: wall_ms(),
        ended_ms: None,
        state: State::Running,
        parts: plan.parts,
        counts: Counts::default(),
        kept: Vec::new(),
    };
    ops.push(op(task.row()));
    let commit = commit(broker, ops)?;
    let durable = broker.store.durable(commit);
    tokio::runtime::Handle::current().block_on(durable)?;
    tracing::info!(
        "redrive {id} moves dead letters of {} to {}",
        task.queue,
        task.target
    );
    let live = Arc::new(Live::new(task));
    let view = super::service::view(&live.shown.borrow());
    broker.redrives.add(live);
    drop(claim);
    Ok(view)
}

fn commit(broker: &BrokerState, ops: Vec<Op>) -> Result<ottla_storage::Commit, Problem> {
    let (_, commit) = broker.store.commit_all(ops)?;
    Ok(commit)
}

/// Checks a request. Writes nothing.
fn plan(broker: &BrokerState, source: &str, request: &RedriveRequest) -> Result<Plan, Problem> {
    let selection = &request.selection;
    selection
        .check()
        .map_err(|e| Problem::invalid("bad_selection", e.to_string()))?;
    if request.rate == Some(0) {
        return Err(Problem::invalid(
            "bad_rate",
            "a rate of 0 records a second moves nothing: leave it out, or pause the redrive",
        ));
    }
    if let Some(edit) = &request.edit {
        if !selection.is_one() {
            return Err(Problem::invalid(
                "edit_of_many",
                "an edit is of one record: select it by partition and offset",
            ));
        }
        if let Some(value) = &edit.value {
            value
                .bytes()
                .map_err(|e| Problem::invalid("bad_edit", e.to_string()))?;
        }
    }
    let queue = find(broker, source)?;
    let target = target(broker, &queue, request)?;
    let mut parts = Vec::new();
    for index in 0..queue.topic.partitions {
        if !selection.takes_partition(index) {
            continue;
        }
        let partition = queue.partition(&broker.store, index)?;
        let wanted = selection.offsets();
        let start = wanted.start.max(partition.log_start_offset());
        let end = wanted.end.min(partition.high_watermark());
        if start < end {
            parts.push(Part {
                partition: index,
                start,
                cursor: start,
                end,
            });
        }
    }
    if let (Some(partition), Some(offset)) = (selection.partition, selection.offset) {
        let there = crate::dead_letters::browse::records(broker, source, selection, 1, None)?;
        if there.records.is_empty() {
            return Err(Problem::not_found(
                "no_such_record",
                format!(
                    "there is no record at offset {offset} of partition {partition} of {} (any more)",
                    queue.topic.name
                ),
            ));
        }
    }
    Ok(Plan {
        queue,
        target,
        parts,
    })
}

fn target(
    broker: &BrokerState,
    queue: &Queue,
    request: &RedriveRequest,
) -> Result<Target, Problem> {
    let topics = broker.store.topics();
    let existing_source = || {
        queue.source_topic.clone().ok_or_else(|| {
            Problem::not_found(
                "source_deleted",
                format!(
                    "topic {0} does not exist any more: create it again, or name another target",
                    queue.source
                ),
            )
        })
    };
    let target = match (&request.target, &request.for_group) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "two_targets",
                "give either a target or the group that alone is to see the records",
            ));
        }
        (Some(name), None) => topics.by_name(name).cloned().ok_or_else(|| {
            Problem::not_found("unknown_target", format!("there is no topic {name}"))
        })?,
        (None, None) => existing_source()?,
        (None, Some(group)) => {
            if group.is_empty() {
                return Err(Problem::invalid("bad_group", "the group's id is empty"));
            }
            let source = existing_source()?;
            let name = retry_topics::name(&source.name, group);
            match topics.by_name(&name) {
                Some(topic) => topic.clone(),
                None => return Ok(Target::ToBeMade { name, source }),
            }
        }
    };
    if target.id == queue.topic.id {
        return Err(Problem::invalid(
            "into_itself",
            format!("{} is the queue itself: name another target", target.name),
        ));
    }
    if reading::is_queue(broker, &target.name) {
        return Err(Problem::invalid(
            "target_is_a_queue",
            format!(
                "{} is a dead letter queue: name a topic that is consumed",
                target.name
            ),
        ));
    }
    Ok(Target::Topic(target))
}

fn make_retry_topic(
    broker: &BrokerState,
    name: &str,
    source: &Arc<Topic>,
) -> Result<Arc<Topic>, Problem> {
    let topic = broker
        .dead_letters
        .ensure_topic(source, name)
        .map_err(|e| Problem::unavailable("retry_topic", e))?;
    broker
        .dead_letters
        .delays
        .register(&broker.store, topic.id)?;
    Ok(topic)
}

/// What whoever starts a redrive should know.
pub(super) fn notes(source: &str, target: &str, for_group: Option<&str>) -> Vec<String> {
    match for_group {
        Some(group) => vec![format!(
            "consumers of {group} get the records if they subscribe to {target} beside {source}"
        )],
        None => vec![format!(
            "every group that consumes {target} gets the records, also those that have processed them; a redrive for one group reaches that group alone"
        )],
    }
}
