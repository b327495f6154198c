//! OffsetDelete and DeleteGroups.

use ottla_codec::ResponseError;

use super::event::{OffsetResults, PartitionId};
use super::group::Group;
use super::{GroupEffects, Observation, records};

impl<T> Group<T> {
    /// Deletes offsets. Those of a topic that a live member reads stay (KIP-496); one that is not there counts as deleted.
    pub(crate) fn delete_offsets(
        &mut self,
        partitions: Vec<PartitionId>,
        out: &mut GroupEffects<T>,
    ) -> Result<OffsetResults, ResponseError> {
        if !self.is_empty() && !self.uses_consumer_protocol() {
            return Err(ResponseError::NonEmptyGroup);
        }
        let results = partitions
            .iter()
            .map(|id| {
                if !self.is_empty() && self.is_subscribed(&id.topic) {
                    return Err(ResponseError::GroupSubscribedToTopic);
                }
                self.remove_offset(id, out);
                Ok(())
            })
            .collect();
        Ok(results)
    }

    /// Removes everything that is stored of an empty group; the caller drops it.
    pub(crate) fn delete(&mut self, out: &mut GroupEffects<T>) -> Result<(), ResponseError> {
        if !self.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        let topics: Vec<String> = self.offsets.keys().cloned().collect();
        for topic in topics {
            self.topic_deleted(&topic, out);
        }
        self.drop_pending(|_| true, out);
        for member_id in std::mem::take(&mut self.pending_members) {
            out.timers.push((self.session_key(&member_id), None));
        }
        out.ops.push(records::delete_group(&self.id));
        out.observed.push(Observation::GroupDeleted {
            group_id: self.id.clone(),
        });
        Ok(())
    }
}
