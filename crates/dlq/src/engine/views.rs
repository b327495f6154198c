//! What people are shown of a group's failures.

use super::Engine;
use crate::TopicPartition;

/// A record, or the front of a batch, that a group fails on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspectView {
    /// The group.
    pub group: String,
    /// Where.
    pub at: TopicPartition,
    /// The record, or the committed position before which nothing is wrong.
    pub offset: i64,
    /// How often it failed.
    pub attempts: u32,
    /// What is being done about it.
    pub state: SuspectState,
    /// What the client said, or an explanation.
    pub reason: String,
    /// The last deaths, oldest first; none for nacks.
    pub deaths: Vec<DeathView>,
}

/// What is being done about a suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspectState {
    /// Failures are counted.
    Counting,
    /// Nacked; waits until it is due.
    WaitsForRetry,
    /// It failed `dlq.max.attempts` times, and the mode is `detect`.
    Reported,
    /// The record that fails is being searched from this offset on.
    Isolating,
    /// It failed alone; a proof that the group works is awaited.
    Condemned,
    /// It is being moved.
    Moving,
    /// It should have moved, and could not: see the reason. The group waits there.
    CannotMove,
    /// Another group's reading cannot be told from this one's: set `client.id`.
    Ambiguous,
    /// The breaker is open: nothing is moved.
    BreakerOpen,
}

/// A member's death on a suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeathView {
    /// The member.
    pub member_id: String,
    /// Client id and host.
    pub client: String,
    /// How it left.
    pub how: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// One past the last record that it was served.
    pub served_until: i64,
}

/// A group as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group: String,
    /// Since when its breaker is open (milliseconds since the Unix epoch) and why.
    pub breaker: Option<(i64, String)>,
    /// What it fails on.
    pub suspects: Vec<SuspectView>,
}

impl Engine {
    /// What groups fail on, of all groups or of one. Groups without failures are left out.
    pub fn views(&self, group: Option<&str>) -> Vec<GroupView> {
        self.groups
            .iter()
            .filter(|(name, _)| group.is_none_or(|g| g == name.as_str()))
            .map(|(name, state)| state.view(name))
            .filter(|view| view.breaker.is_some() || !view.suspects.is_empty())
            .collect()
    }
}

impl super::group::Group {
    fn view(&self, group: &str) -> GroupView {
        let open = self.breaker.counts.open.as_ref();
        let suspects = self.partitions.iter().filter_map(|(at, p)| {
            let pending = p.moving.and_then(|id| self.moves.get(&id));
            let (offset, attempts, reason) = match (pending, &p.nack) {
                (Some(pending), _) => {
                    let record = pending.planned.records.first()?;
                    let reason = pending.error.as_ref().unwrap_or(&record.reason);
                    (record.offset, record.attempts, reason.clone())
                }
                (None, Some(nack)) => (nack.offset, nack.count, nack.reason.clone()),
                (None, None) => return None,
            };
            let state = match pending {
                Some(pending) if pending.error.is_some() => SuspectState::CannotMove,
                Some(_) => SuspectState::Moving,
                None if open.is_some() => SuspectState::BreakerOpen,
                None if p.nack.as_ref().is_some_and(|n| n.due_ms.is_some()) => {
                    SuspectState::WaitsForRetry
                }
                None => SuspectState::Counting,
            };
            Some(SuspectView {
                group: group.to_owned(),
                at: at.clone(),
                offset,
                attempts,
                state,
                reason,
                deaths: Vec::new(),
            })
        });
        GroupView {
            group: group.to_owned(),
            breaker: open.map(|o| (o.since_wall_ms, o.reason.clone())),
            suspects: suspects.collect(),
        }
    }
}
