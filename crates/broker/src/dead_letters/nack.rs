//! Nacks from outside of a group: HTTP and the command line.

use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_codec::records::iterate;
use ottla_coordinator::groups::{
    Event as GroupEvent, GroupEffects, OffsetCommitPartition, PartitionId,
};
use ottla_dlq::event::{Event, NackOutcome};
use ottla_dlq::marker::Marker;
use ottla_dlq::redrive::retry_topics;
use ottla_dlq::settings::Mode;
use ottla_storage::TopicId;

use super::policy::Outcome;
use super::{DeadLetters, gate, names};
use crate::groups::{GroupService, Inner, Shared};
use crate::produce_check::INFLATED_MAX;

/// A record that somebody says a group failed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) struct NackRequest {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub marker: Marker,
    /// Who, for people.
    pub client: String,
}

/// Why a nack is refused. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum NackError {
    #[error("there is no group {0}: see ottla group list")]
    NoGroup(String),
    #[error("there is no partition {1} of topic {0}: see ottla topic describe {0}")]
    NoPartition(String, i32),
    #[error("{0} is a dead letter queue, and has none of its own")]
    IsQueue(String),
    #[error("dlq.mode is off for this group and topic: see ottla dlq config")]
    Off,
    #[error(
        "offset {offset} is not in the log, or before the group's position {position:?}: nack the record at the position"
    )]
    OutOfRange { offset: i64, position: Option<i64> },
    #[error(
        "group {group} has members, and offset {offset} is not its position {position:?}: nack the record at the position, or stop the members first"
    )]
    HasMembers {
        group: String,
        offset: i64,
        position: Option<i64>,
    },
    #[error("the broker cannot keep it now ({0}): try again")]
    Unavailable(ResponseError),
}

/// What came of a nack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nacked {
    /// The record stays: it has failed this often.
    Stays(u32),
    /// It is in its queue (or retry topic).
    Moved,
}

impl GroupService {
    /// Counts a failure of the record at `offset`, or moves it. The offset must be the position of an existing group; it may be after it
    /// if the group has no members, whose position it becomes then.
    pub async fn nack(&self, request: NackRequest) -> Result<Nacked, NackError> {
        let shared = self.shared.clone();
        let existing = shared.store.topics().by_name(&request.topic).cloned();
        let no_partition = || NackError::NoPartition(request.topic.clone(), request.partition);
        let topic = existing.ok_or_else(no_partition)?;
        if shared
            .store
            .partition(&topic.id, request.partition)
            .is_none()
        {
            return Err(no_partition());
        }
        if shared.dead_letters.is_queue(&request.topic) {
            return Err(NackError::IsQueue(request.topic));
        }
        if shared
            .dead_letters
            .rules(&request.group, &request.topic)
            .mode
            == Mode::Off
        {
            return Err(NackError::Off);
        }
        let p = OffsetCommitPartition {
            id: PartitionId {
                topic: request.topic.clone(),
                partition: request.partition,
            },
            topic_id: *topic.id.as_bytes(),
            offset: request.offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let earlier = earlier_failures(&shared.dead_letters, &request.group, &p);
        let (outcome, end, commit) = {
            let mut inner = shared.lock();
            let outcome = shared.nack(&mut inner, &request, &p, earlier)?;
            let end = match outcome {
                NackOutcome::Moves(id) => inner.policy.end_of(id),
                NackOutcome::Stays { .. } => None,
            };
            (outcome, end, inner.last_commit)
        };
        shared
            .durable(commit)
            .await
            .map_err(NackError::Unavailable)?;
        match outcome {
            NackOutcome::Stays { attempts } => Ok(Nacked::Stays(attempts)),
            NackOutcome::Moves(_) => {
                let moved = shared.end_of_move(end).await;
                moved
                    .map_err(NackError::Unavailable)
                    .map(|()| Nacked::Moved)
            }
        }
    }
}

impl Shared {
    fn nack(
        &self,
        inner: &mut Inner,
        request: &NackRequest,
        p: &OffsetCommitPartition,
        earlier: u32,
    ) -> Result<NackOutcome, NackError> {
        let group = &request.group;
        self.ensure_loaded(inner, group)
            .map_err(NackError::Unavailable)?;
        if !inner.machine.is_loaded(group) {
            return Err(NackError::NoGroup(group.clone()));
        }
        let position = super::commits::position(inner, group, p);
        self.check_nack(inner, group, None, p)
            .map_err(|_| NackError::OutOfRange {
                offset: request.offset,
                position,
            })?;
        let moves_position = position != Some(request.offset);
        if moves_position && !inner.machine.is_empty(group) {
            return Err(NackError::HasMembers {
                group: group.clone(),
                offset: request.offset,
                position,
            });
        }
        let mut outcome = Outcome::default();
        let event = Event::Nack {
            group: group.clone(),
            at: super::feed::place(p.id.clone()),
            offset: request.offset,
            marker: request.marker.clone(),
            client: request.client.clone(),
            committed: position,
            earlier,
        };
        let nacked = self.event(inner, event, &mut outcome);
        let nacked = nacked.ok_or(NackError::Off)?;
        let mut effects = GroupEffects::none();
        if moves_position && matches!(nacked, NackOutcome::Stays { .. }) {
            let event = GroupEvent::Advance {
                group_id: group.clone(),
                id: p.id.clone(),
                topic_id: p.topic_id,
                offset: request.offset,
            };
            effects = inner.machine.handle(self.now(), event);
        }
        self.apply_with(inner, Some(group), effects, outcome)
            .map_err(NackError::Unavailable)?;
        Ok(nacked)
    }
}

/// How often the record failed before it came into the group's retry topic; 0 for other topics. Reads the log.
pub(super) fn earlier_failures(deps: &DeadLetters, group: &str, p: &OffsetCommitPartition) -> u32 {
    if !p.id.topic.ends_with(retry_topics::SUFFIX) {
        return 0;
    }
    let read = || {
        let id = TopicId::from_bytes(p.topic_id);
        let partition = deps.store.partition(&id, p.id.partition)?;
        let slice = partition
            .read(p.offset, partition.high_watermark(), 0, true)
            .ok()?;
        let batch = gate::batches(&slice.chunks).ok()?.into_iter().next()?;
        BatchHeader::parse(&batch)
            .ok()
            .filter(|h| !h.is_control())?;
        let mut records = iterate(batch, INFLATED_MAX).ok()?.flatten();
        let record = records.find(|r| r.offset == p.offset)?;
        names::retried_from(&p.id.topic, group, &record.headers)?.attempts
    };
    read().unwrap_or(0)
}
