//! Offsets that are part of an open transaction (KIP-98): beside the committed ones until it ends.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;

use super::GroupEffects;
use super::coordinator::{GroupConfig, GroupCoordinator};
use super::event::{OffsetCommitRequest, OffsetResults, PartitionId};
use super::group::Group;
use super::offsets::CommittedOffset;
use super::records::{self, RecordError};
use crate::Now;

/// By producer id.
pub(crate) type PendingOffsets = BTreeMap<i64, BTreeMap<PartitionId, CommittedOffset>>;

impl<T> Group<T> {
    /// Keeps what is within the limits. The transaction that the producer has open decides about it.
    fn keep_pending(
        &mut self,
        now: Now,
        config: &GroupConfig,
        producer_id: i64,
        request: OffsetCommitRequest,
        out: &mut GroupEffects<T>,
    ) -> OffsetResults {
        let pending = self.pending_offsets.entry(producer_id).or_default();
        let partitions = request.partitions.into_iter();
        let results = partitions
            .map(|p| {
                if p.metadata.len() > config.offset_metadata_max_bytes {
                    return Err(ResponseError::OffsetMetadataTooLarge);
                }
                let offset = CommittedOffset {
                    offset: p.offset,
                    leader_epoch: p.leader_epoch,
                    metadata: p.metadata,
                    commit_ms: now.wall_ms,
                    expire_ms: None,
                    topic_id: p.topic_id,
                };
                let op = records::put_pending(&self.id, producer_id, &p.id, &offset);
                out.ops.push(op);
                pending.insert(p.id, offset);
                Ok(())
            })
            .collect();
        self.pending_offsets
            .retain(|_, pending| !pending.is_empty());
        results
    }

    /// The producer's transaction has ended.
    fn end_transaction(&mut self, producer_id: i64, outcome: Outcome, out: &mut GroupEffects<T>) {
        for (id, offset) in self
            .pending_offsets
            .remove(&producer_id)
            .unwrap_or_default()
        {
            out.ops
                .push(records::delete_pending(&self.id, producer_id, &id));
            if outcome == Outcome::Commit {
                out.ops.push(records::put_offset(&self.id, &id, &offset));
                self.observe_committed(&id, offset.offset, false, out);
                self.set_offset(id, offset);
            }
        }
    }

    /// Drops pending offsets that `gone` picks: whatever their transactions come to, they are not committed.
    pub(crate) fn drop_pending(
        &mut self,
        gone: impl Fn(&PartitionId) -> bool,
        out: &mut GroupEffects<T>,
    ) {
        for (producer_id, pending) in &mut self.pending_offsets {
            pending.retain(|id, _| {
                let goes = gone(id);
                if goes {
                    out.ops
                        .push(records::delete_pending(&self.id, *producer_id, id));
                }
                !goes
            });
        }
        self.pending_offsets
            .retain(|_, pending| !pending.is_empty());
    }

    pub(crate) fn has_pending(&self, topic: &str, partition: i32) -> bool {
        let mut offsets = self.pending_offsets.values().flat_map(BTreeMap::keys);
        offsets.any(|id| id.partition == partition && id.topic == topic)
    }
}

impl<T> GroupCoordinator<T> {
    /// Takes in the pending offsets of a group that was just loaded.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn load_pending(
        &mut self,
        group_id: &str,
        rows: &[(Bytes, Bytes)],
    ) -> Result<(), RecordError> {
        let mut pending = PendingOffsets::new();
        for (key, value) in rows {
            let (producer_id, id, offset) = records::decode_pending(group_id, key, value)?;
            pending.entry(producer_id).or_default().insert(id, offset);
        }
        if let Some(group) = self.groups.get_mut(group_id) {
            group.pending_offsets = pending;
        }
        Ok(())
    }

    /// Keeps offsets for the end of the producer's transaction (TxnOffsetCommit), in the request's order. A group that is not
    /// there is made, as for an OffsetCommit from outside of group management.
    ///
    /// # Errors
    /// As an OffsetCommit of the whole request; a producer that says nothing of group management may commit for any group
    /// (before KIP-447 none said).
    pub fn commit_in_transaction(
        &mut self,
        now: Now,
        producer_id: i64,
        request: OffsetCommitRequest,
        out: &mut GroupEffects<T>,
    ) -> Result<OffsetResults, ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let config = self.config;
        if !self.is_loaded(&request.group_id) {
            if request.generation >= 0 {
                return Err(ResponseError::IllegalGeneration);
            }
            let group = Group::new(&request.group_id, now);
            group.persist(out);
            self.groups.insert(request.group_id.clone(), group);
        }
        let group = self
            .groups
            .get_mut(&request.group_id)
            .expect("made above if it was missing");
        group.validate_commit_in_transaction(&request)?;
        Ok(group.keep_pending(now, &config, producer_id, request, out))
    }

    /// Makes the offsets of a producer's transaction the group's, or drops them. The group is loaded, if there is one.
    pub fn end_transaction(
        &mut self,
        group_id: &str,
        producer_id: i64,
        outcome: Outcome,
        out: &mut GroupEffects<T>,
    ) {
        if let Some(group) = self.groups.get_mut(group_id) {
            group.end_transaction(producer_id, outcome, out);
        }
    }

    /// Whether an open transaction may change this position of a loaded group (KIP-447): whoever asks for a stable one waits.
    pub fn is_unstable(&self, group_id: &str, topic: &str, partition: i32) -> bool {
        self.groups
            .get(group_id)
            .is_some_and(|group| group.has_pending(topic, partition))
    }
}
