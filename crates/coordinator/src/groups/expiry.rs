//! Offsets that nobody has needed for `offsets.retention.minutes`, and groups with nothing left.

use super::GroupEffects;
use super::coordinator::GroupConfig;
use super::event::PartitionId;
use super::group::{Group, State};
use super::offsets::CommittedOffset;
use crate::Now;

impl<T> Group<T> {
    /// Removes expired offsets. True if nothing is left of the group: the caller drops it.
    pub(crate) fn expire(
        &mut self,
        now: Now,
        config: &GroupConfig,
        out: &mut GroupEffects<T>,
    ) -> bool {
        let expired: Vec<PartitionId> = self
            .offsets
            .iter()
            .filter(|(topic, _)| self.is_empty() || !self.is_subscribed(topic))
            .flat_map(|(topic, partitions)| partitions.iter().map(move |(p, c)| (topic, p, c)))
            .filter(|(_, _, committed)| self.is_expired(now, config, committed))
            .filter(|(topic, partition, _)| !self.has_pending(topic, **partition))
            .map(|(topic, partition, _)| PartitionId {
                topic: topic.clone(),
                partition: *partition,
            })
            .collect();
        for id in &expired {
            self.remove_offset(id, out);
        }
        self.is_empty()
            && self.offsets.is_empty()
            && self.pending_offsets.is_empty()
            && self.pending_members.is_empty()
            && self.delete(out).is_ok()
    }

    /// The retention counts from when the group became empty; without membership, or for topics that a stable group
    /// does not read any more, from the commit (KIP-211).
    fn is_expired(&self, now: Now, config: &GroupConfig, committed: &CommittedOffset) -> bool {
        let since = match (&self.state, &self.protocol_type) {
            (_, None) => committed.commit_ms,
            (State::Empty, Some(_)) => self.state_since_ms,
            (State::Stable { .. }, Some(_))
                if self.uses_consumer_protocol() && self.subscribed_topics.is_some() =>
            {
                committed.commit_ms
            }
            _ => return false,
        };
        match committed.expire_ms {
            Some(at) => now.wall_ms >= at,
            None => now.wall_ms.saturating_sub(since) >= config.offsets_retention_ms,
        }
    }
}
