//! What people are shown of a group's failures.

use super::Engine;
use super::partition::Partition;
use super::rows::StoredDeath;
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
            let moving = self.moving_view(p);
            let condemned = || self.condemned_view(at);
            let searched = || self.searched_view(at, p);
            let suspect = || self.suspect_view(p);
            let seen = moving
                .or_else(|| nack_view(p))
                .or_else(condemned)
                .or_else(searched)
                .or_else(suspect)?;
            let blocked = open.is_some() && seen.state == SuspectState::Counting;
            Some(SuspectView {
                group: group.to_owned(),
                at: at.clone(),
                offset: seen.offset,
                attempts: seen.attempts,
                state: if blocked {
                    SuspectState::BreakerOpen
                } else {
                    seen.state
                },
                reason: seen.reason,
                deaths: deaths(p),
            })
        });
        GroupView {
            group: group.to_owned(),
            breaker: open.map(|o| (o.since_wall_ms, o.reason.clone())),
            suspects: suspects.collect(),
        }
    }

    fn moving_view(&self, p: &Partition) -> Option<Seen> {
        let pending = self.moves.get(&p.moving?)?;
        let record = pending.planned.records.first()?;
        Some(Seen {
            offset: record.offset,
            attempts: record.attempts,
            state: match pending.error {
                Some(_) => SuspectState::CannotMove,
                None => SuspectState::Moving,
            },
            reason: pending.error.as_ref().unwrap_or(&record.reason).clone(),
        })
    }

    fn condemned_view(&self, at: &TopicPartition) -> Option<Seen> {
        let condemned = self.case.as_ref()?.condemned.get(at)?;
        let record = condemned.records.first()?;
        Some(Seen {
            offset: record.offset,
            attempts: record.attempts,
            state: SuspectState::Condemned,
            reason: record.reason.clone(),
        })
    }

    fn searched_view(&self, at: &TopicPartition, p: &Partition) -> Option<Seen> {
        let case = self.case.as_ref()?;
        let window = case
            .window(at)
            .map(|w| format!(": a window up to offset {} is served", w.until));
        let reason = window.unwrap_or(": it waits for another partition".to_owned());
        Some(Seen {
            offset: case.first(at)?,
            attempts: p.suspect.as_ref().map_or(0, |s| s.count),
            state: SuspectState::Isolating,
            reason: format!("members died; the record that fails is being searched{reason}"),
        })
    }

    fn suspect_view(&self, p: &Partition) -> Option<Seen> {
        let suspect = p.suspect.as_ref()?;
        let (state, reason) = match () {
            () if suspect.told => (
                SuspectState::Reported,
                "members died reading from here; dlq.mode=enforce would search the record",
            ),
            () if suspect.ambiguous > 0 => (
                SuspectState::Ambiguous,
                "another group's consumer on the same host has the same client.id: set client.id apart",
            ),
            () => (SuspectState::Counting, "members died reading from here"),
        };
        Some(Seen {
            offset: suspect.head,
            attempts: suspect.count,
            state,
            reason: reason.to_owned(),
        })
    }
}

struct Seen {
    offset: i64,
    attempts: u32,
    state: SuspectState,
    reason: String,
}

fn nack_view(p: &Partition) -> Option<Seen> {
    let nack = p.nack.as_ref()?;
    Some(Seen {
        offset: nack.offset,
        attempts: nack.count,
        state: match nack.due_ms {
            Some(_) => SuspectState::WaitsForRetry,
            None => SuspectState::Counting,
        },
        reason: nack.reason.clone(),
    })
}

fn deaths(p: &Partition) -> Vec<DeathView> {
    let deaths = p.suspect.iter().flat_map(|s| &s.deaths);
    let view = |d: &StoredDeath| DeathView {
        member_id: d.member_id.clone(),
        client: d.client.clone(),
        how: d.how.clone(),
        at_ms: d.wall_ms,
        served_until: d.served_until,
    };
    deaths.map(view).collect()
}
