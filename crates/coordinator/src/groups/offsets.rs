//! Committed offsets: OffsetCommit and what OffsetFetch reads.

use ottla_codec::ResponseError;

use super::coordinator::GroupConfig;
use super::event::{OffsetCommitRequest, OffsetResults, PartitionId};
use super::group::{Group, State};
use super::{GroupEffects, records};
use crate::Now;

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: i64,
    /// The epoch of the record before it; -1 if the client did not say (KIP-320).
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: String,
    /// When it was committed, in wall-clock milliseconds.
    pub commit_ms: i64,
    /// When it expires, if the client chose that (OffsetCommit v2 to v4).
    pub expire_ms: Option<i64>,
    /// The topic it was committed for.
    pub topic_id: [u8; 16],
}

impl<T> Group<T> {
    pub(crate) fn validate_commit(
        &self,
        request: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let in_group = request.generation >= 0
            || !request.member_id.is_empty()
            || request.instance_id.is_some();
        if self.is_empty() && request.generation < 0 {
            return Ok(());
        }
        if !in_group {
            // A tool, while the group has members: their positions are theirs.
            return Err(ResponseError::UnknownMemberId);
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if matches!(self.state, State::CompletingRebalance { .. }) {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// As [`Group::validate_commit`], for a transaction (KIP-447): who says nothing of membership is not asked for it, and a
    /// rebalance under way does not matter, since it waits for positions that are stable.
    pub(crate) fn validate_commit_in_transaction(
        &self,
        request: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let in_group = request.generation >= 0
            || !request.member_id.is_empty()
            || request.instance_id.is_some();
        if !in_group || self.is_empty() && request.generation < 0 {
            return Ok(());
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    /// Commits what [`Group::validate_commit`] allows. It keeps the member's session, too.
    pub(crate) fn commit_offsets(
        &mut self,
        now: Now,
        config: &GroupConfig,
        request: OffsetCommitRequest,
        out: &mut GroupEffects<T>,
    ) -> OffsetResults {
        self.touch_session(&request.member_id, now, out);
        let from_outside = request.generation < 0;
        // What is committed later than an offset of an open transaction is not undone by its end.
        let committed: Vec<_> = request.partitions.iter().map(|p| p.id.clone()).collect();
        self.drop_pending(|id| committed.contains(id), out);
        let expire_ms = request
            .retention_ms
            .map(|retention| now.wall_ms.saturating_add(retention));
        request
            .partitions
            .into_iter()
            .map(|p| {
                if p.metadata.len() > config.offset_metadata_max_bytes {
                    return Err(ResponseError::OffsetMetadataTooLarge);
                }
                let committed = CommittedOffset {
                    offset: p.offset,
                    leader_epoch: p.leader_epoch,
                    metadata: p.metadata,
                    commit_ms: now.wall_ms,
                    expire_ms,
                    topic_id: p.topic_id,
                };
                out.ops
                    .push(records::put_offset(&self.id, &p.id, &committed));
                self.observe_committed(&p.id, committed.offset, from_outside, out);
                self.set_offset(p.id, committed);
                Ok(())
            })
            .collect()
    }

    pub(crate) fn set_offset(&mut self, id: PartitionId, committed: CommittedOffset) {
        match self.offsets.get_mut(&id.topic) {
            Some(partitions) => {
                partitions.insert(id.partition, committed);
            }
            None => {
                let partitions = [(id.partition, committed)].into();
                self.offsets.insert(id.topic, partitions);
            }
        }
    }

    /// A position that the broker itself moves: past a record that was dead-lettered. The member's note stays. `None` in a group
    /// that may not be stored yet: its first members are still joining.
    pub(crate) fn advanced(
        &self,
        now: Now,
        id: &PartitionId,
        topic_id: [u8; 16],
        offset: i64,
    ) -> Option<CommittedOffset> {
        if self.generation == 0 && self.protocol_type.is_some() && self.offsets.is_empty() {
            return None;
        }
        let before = self
            .offsets
            .get(&id.topic)
            .and_then(|p| p.get(&id.partition))
            .filter(|c| c.topic_id == topic_id);
        Some(CommittedOffset {
            offset,
            leader_epoch: -1,
            metadata: before.map_or_else(String::new, |c| c.metadata.clone()),
            commit_ms: now.wall_ms,
            expire_ms: before.and_then(|c| c.expire_ms),
            topic_id,
        })
    }

    pub(crate) fn advance(
        &mut self,
        now: Now,
        id: PartitionId,
        topic_id: [u8; 16],
        offset: i64,
        out: &mut GroupEffects<T>,
    ) {
        if let Some(committed) = self.advanced(now, &id, topic_id, offset) {
            out.ops.push(records::put_offset(&self.id, &id, &committed));
            self.set_offset(id, committed);
        }
    }

    /// Removes an offset. False if there is none.
    pub(crate) fn remove_offset(&mut self, id: &PartitionId, out: &mut GroupEffects<T>) -> bool {
        let Some(partitions) = self.offsets.get_mut(&id.topic) else {
            return false;
        };
        if partitions.remove(&id.partition).is_none() {
            return false;
        }
        if partitions.is_empty() {
            self.offsets.remove(&id.topic);
        }
        out.ops.push(records::delete_offset(&self.id, id));
        self.observe_reset(id, out);
        true
    }

    /// Removes the offsets of a topic that is gone.
    pub(crate) fn topic_deleted(&mut self, topic: &str, out: &mut GroupEffects<T>) {
        for partition in self.offsets.remove(topic).unwrap_or_default().into_keys() {
            let id = PartitionId {
                topic: topic.to_owned(),
                partition,
            };
            out.ops.push(records::delete_offset(&self.id, &id));
        }
        self.drop_pending(|id| id.topic == topic, out);
    }
}
