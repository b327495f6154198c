//! OffsetCommit with dead letters: markers in the metadata, and commits that prove that a group works.

use ottla_codec::ResponseError;
use ottla_coordinator::groups::{
    Event as GroupEvent, GroupEffects, Observation, OffsetCommitPartition, OffsetCommitRequest,
    OffsetResults, Reply,
};
use ottla_dlq::TopicPartition;
use ottla_dlq::event::{CommitVerdict, Event, NackOutcome};
use ottla_dlq::marker::{self, Marker};
use ottla_dlq::settings::Mode;
use ottla_storage::TopicId;
use tokio::sync::oneshot;

use super::nack::earlier_failures;
use super::policy::{Moved, Outcome};
use crate::groups::{GroupService, Inner, Shared, UNAVAILABLE};
use crate::reply::Later;

/// What becomes of one partition of a commit.
enum Slot {
    /// The machine says.
    Machine,
    /// Refused before the machine was asked.
    Refused(ResponseError),
    /// Carried out by a move, in place of the machine.
    Moves {
        end: Option<oneshot::Receiver<Moved>>,
    },
}

/// A marker of a partition in the request.
struct Nack {
    index: usize,
    marker: Marker,
    earlier: u32,
}

impl GroupService {
    /// Commits offsets. `client` is who, for people: client id and host.
    pub fn commit_offsets(
        &self,
        request: OffsetCommitRequest,
        client: &str,
    ) -> Later<Result<OffsetResults, ResponseError>> {
        let shared = self.shared.clone();
        let (ticket, answer) = oneshot::channel();
        // Looks at logs, so before the mutex is taken.
        let markers = shared.markers(&request);
        let count = request.partitions.len();
        let slots = {
            let mut inner = shared.lock();
            shared.refresh_config(&mut inner);
            match shared.ensure_loaded(&mut inner, &request.group_id) {
                Ok(()) => shared.commit_offsets(&mut inner, request, markers, client, ticket),
                Err(error) => refused(error, count),
            }
        };
        Box::pin(async move {
            let mut results = Vec::new();
            if slots.iter().any(|slot| matches!(slot, Slot::Machine)) {
                let (reply, commit) = tokio::select! {
                    biased;
                    answered = answer => answered.unwrap_or((Err(UNAVAILABLE), None)),
                    () = shared.stopping.cancelled() => (Err(UNAVAILABLE), None),
                };
                shared.durable(commit).await?;
                match reply? {
                    Reply::OffsetCommit(machine) => results = machine,
                    _ => return Err(ResponseError::UnknownServerError),
                }
            }
            let mut machine = results.into_iter();
            let mut answers = Vec::with_capacity(slots.len());
            for slot in slots {
                answers.push(match slot {
                    Slot::Machine => machine.next().unwrap_or(Err(UNAVAILABLE)),
                    Slot::Refused(error) => Err(error),
                    Slot::Moves { end } => shared.end_of_move(end).await,
                });
            }
            Ok(answers)
        })
    }
}

impl Shared {
    /// The markers of a commit, or what refuses it, by partition.
    fn markers(&self, request: &OffsetCommitRequest) -> Vec<(usize, Result<Nack, ResponseError>)> {
        let mut markers = Vec::new();
        for (index, p) in request.partitions.iter().enumerate() {
            if !p.metadata.starts_with('!') {
                continue;
            }
            let group = &request.group_id;
            let topic = &p.id.topic;
            if !self.heeds_markers(group, topic) {
                continue;
            }
            let nack = match marker::parse(&p.metadata) {
                Ok(None) => continue,
                Err(_) => Err(ResponseError::InvalidRequest),
                Ok(Some(_)) if self.dead_letters.is_queue(topic) => {
                    Err(ResponseError::InvalidRequest)
                }
                Ok(Some(marker)) => Ok(Nack {
                    index,
                    marker,
                    earlier: earlier_failures(&self.dead_letters, group, p),
                }),
            };
            markers.push((index, nack));
        }
        markers
    }

    /// Asked of the settings alone: a marker on a queue is refused, not kept as metadata.
    fn heeds_markers(&self, group: &str, topic: &str) -> bool {
        let settings = &self.dead_letters.settings;
        settings.dead_letters(&self.store, group, topic).mode != Mode::Off
    }

    /// Whether a partition's metadata is, or was meant to be, a marker.
    pub(crate) fn has_marker(&self, group: &str, p: &OffsetCommitPartition) -> bool {
        p.metadata.starts_with('!')
            && self.heeds_markers(group, &p.id.topic)
            && !matches!(marker::parse(&p.metadata), Ok(None))
    }

    /// Under the mutex: decides each partition, and hands the rest to the machine.
    fn commit_offsets(
        &self,
        inner: &mut Inner,
        mut request: OffsetCommitRequest,
        markers: Vec<(usize, Result<Nack, ResponseError>)>,
        client: &str,
        ticket: crate::groups::Ticket,
    ) -> Vec<Slot> {
        let count = request.partitions.len();
        if let Err(error) = inner.machine.check_commit(&request) {
            return refused(error, count);
        }
        let mut slots: Vec<Slot> = (0..count).map(|_| Slot::Machine).collect();
        let mut nacks: Vec<Nack> = Vec::new();
        let longest = self.metadata_limit();
        for (index, marker) in markers {
            let p = &mut request.partitions[index];
            let checked = marker.and_then(|nack| {
                if p.metadata.len() > longest {
                    return Err(ResponseError::OffsetMetadataTooLarge);
                }
                let owner = (request.generation >= 0).then_some(request.member_id.as_str());
                self.check_nack(inner, &request.group_id, owner, p)?;
                Ok(nack)
            });
            match checked {
                Ok(nack) => {
                    p.metadata = note_of(inner, &request.group_id, p);
                    nacks.push(nack);
                }
                Err(error) => slots[index] = Slot::Refused(error),
            }
        }
        for (index, p) in request.partitions.iter_mut().enumerate() {
            let is_plain = matches!(slots[index], Slot::Machine)
                && p.metadata.len() <= longest
                && !nacks.iter().any(|n| n.index == index);
            if is_plain {
                self.ask_engine(inner, &request.group_id, p, &mut slots[index]);
            }
        }
        self.hand_over(inner, request, nacks, client, ticket, &mut slots);
        slots
    }

    /// What the engine says of an ordinary commit.
    fn ask_engine(
        &self,
        inner: &mut Inner,
        group: &str,
        p: &mut OffsetCommitPartition,
        slot: &mut Slot,
    ) {
        let at = TopicPartition {
            topic: p.id.topic.clone(),
            partition: p.id.partition,
        };
        match inner.policy.engine.before_commit(group, &at, p.offset) {
            CommitVerdict::Plain => {}
            CommitVerdict::Lifted(offset) => p.offset = offset,
            CommitVerdict::Moves(planned) => {
                let id = planned.id;
                self.begin_move(inner, planned);
                *slot = Slot::Moves {
                    end: inner.policy.end_of(id),
                };
            }
        }
    }

    /// Tells the engine of the nacks, and commits what is left for the machine together with what that caused.
    fn hand_over(
        &self,
        inner: &mut Inner,
        mut request: OffsetCommitRequest,
        nacks: Vec<Nack>,
        client: &str,
        ticket: crate::groups::Ticket,
        slots: &mut [Slot],
    ) {
        let group = request.group_id.clone();
        let mut outcome = Outcome::default();
        let mut nacked = Vec::new();
        let mut moving = Vec::new();
        for nack in nacks {
            let p = &request.partitions[nack.index];
            let event = Event::Nack {
                group: group.clone(),
                at: super::feed::place(p.id.clone()),
                offset: p.offset,
                marker: nack.marker,
                client: client.to_owned(),
                committed: position(inner, &group, p),
                earlier: nack.earlier,
            };
            nacked.push((p.id.clone(), p.offset));
            if let Some(NackOutcome::Moves(id)) = self.event(inner, event, &mut outcome) {
                // The move advances the position past the record, from where it is.
                slots[nack.index] = Slot::Moves { end: None };
                moving.push((nack.index, id));
            }
        }
        let mut index = 0;
        request.partitions.retain(|_| {
            index += 1;
            matches!(slots[index - 1], Slot::Machine)
        });
        // A group whose first commit is a move does not exist yet: a commit of nothing makes it.
        let nothing = request.partitions.is_empty() && inner.machine.is_loaded(&group);
        let mut effects = if nothing {
            GroupEffects::none()
        } else {
            let event = GroupEvent::OffsetCommit(ticket, request);
            inner.machine.handle(self.now(), event)
        };
        for one in std::mem::take(&mut effects.observed) {
            // A nack was told as such.
            let is_nack = match &one {
                Observation::Committed { id, offset, .. } => {
                    nacked.iter().any(|(i, o)| i == id && o == offset)
                }
                _ => false,
            };
            if !is_nack {
                self.observe_one(inner, one, &mut outcome);
            }
        }
        let kept = self.apply_with(inner, Some(&group), effects, outcome);
        for (index, id) in moving {
            slots[index] = match kept {
                Ok(()) => Slot::Moves {
                    end: inner.policy.end_of(id),
                },
                Err(error) => Slot::Refused(error),
            };
        }
    }

    /// Whether a record may be nacked there: it is in the log, not before the position, and the member owns the partition.
    pub(super) fn check_nack(
        &self,
        inner: &Inner,
        group: &str,
        member: Option<&str>,
        p: &OffsetCommitPartition,
    ) -> Result<(), ResponseError> {
        let at = TopicPartition {
            topic: p.id.topic.clone(),
            partition: p.id.partition,
        };
        if let Some(member) = member
            && inner.machine.uses_consumer_protocol(group)
            && !self.dead_letters.watches.owns(group, member, &at)
        {
            return Err(ResponseError::InvalidRequest);
        }
        let log = self
            .store
            .partition(&TopicId::from_bytes(p.topic_id), p.id.partition)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let in_log = (log.log_start_offset()..log.high_watermark()).contains(&p.offset);
        let before = position(inner, group, p).is_some_and(|position| p.offset < position);
        if !in_log || before {
            return Err(ResponseError::OffsetOutOfRange);
        }
        Ok(())
    }

    /// The end of a move that a commit waits for.
    pub(super) async fn end_of_move(
        &self,
        end: Option<oneshot::Receiver<Moved>>,
    ) -> Result<(), ResponseError> {
        let moved = match end {
            Some(end) => tokio::select! {
                moved = end => moved.unwrap_or(Err(UNAVAILABLE)),
                () = self.stopping.cancelled() => Err(UNAVAILABLE),
            },
            None => Err(UNAVAILABLE),
        };
        self.durable(Some(moved?)).await
    }
}

fn refused(error: ResponseError, count: usize) -> Vec<Slot> {
    (0..count).map(|_| Slot::Refused(error)).collect()
}

/// The committed position, of the topic that has this name now.
pub(super) fn position(inner: &Inner, group: &str, p: &OffsetCommitPartition) -> Option<i64> {
    inner
        .machine
        .committed(group, &p.id.topic, p.id.partition)
        .filter(|c| c.topic_id == p.topic_id)
        .map(|c| c.offset)
}

/// A marker is no note to be kept: the one from before stays.
fn note_of(inner: &Inner, group: &str, p: &OffsetCommitPartition) -> String {
    inner
        .machine
        .committed(group, &p.id.topic, p.id.partition)
        .filter(|c| c.topic_id == p.topic_id)
        .map_or_else(String::new, |c| c.metadata.clone())
}
