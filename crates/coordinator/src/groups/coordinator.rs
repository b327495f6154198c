//! The machine: all groups of this broker, driven by events.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::describe::{DescribedGroup, GroupState, ListedGroup};
use super::event::{
    Event, JoinReply, JoinRequest, OffsetCommitRequest, Reply, SyncRequest, TimerKey, TimerKind,
};
use super::group::{Group, State};
use super::offsets::CommittedOffset;
use super::on_the_way::OnTheWay;
use super::records::{self, RecordError};
use super::{GroupEffects, OffsetDeleteRequest, PartitionId};
use crate::{Now, StoreOp};

/// Settings, in Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: usize::MAX,
            offset_metadata_max_bytes: 4096,
            offsets_retention_ms: 7 * 24 * 3600 * 1000,
        }
    }
}

/// All loaded groups. `T` is what an answer is sent with.
///
/// Before an event of a group that is not loaded ([`GroupCoordinator::is_loaded`]), whoever drives the machine looks for
/// its row in the tree of groups, and if there is one calls [`GroupCoordinator::load`].
#[derive(Debug)]
pub struct GroupCoordinator<T> {
    pub(super) config: GroupConfig,
    pub(super) groups: BTreeMap<String, Group<T>>,
    on_the_way: OnTheWay,
}

impl<T> GroupCoordinator<T> {
    /// Without groups.
    pub fn new(config: GroupConfig) -> Self {
        GroupCoordinator {
            config,
            groups: BTreeMap::new(),
            on_the_way: OnTheWay::default(),
        }
    }

    /// Changes the settings. Timers that run keep their deadlines.
    pub fn set_config(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// Whether the group is in memory.
    pub fn is_loaded(&self, group_id: &str) -> bool {
        self.groups.contains_key(group_id)
    }

    /// Takes a group in from its rows. Its members go on where they were; their sessions start anew.
    pub fn load(
        &mut self,
        now: Now,
        group_id: &str,
        row: &[u8],
        offsets: &[(Bytes, Bytes)],
    ) -> Result<GroupEffects<T>, RecordError> {
        let mut out = GroupEffects::none();
        if !self.is_loaded(group_id) {
            let group: Group<T> = records::decode_group(now, group_id, row, offsets)?;
            group.touch_all_sessions(now, &mut out);
            if matches!(group.state, State::CompletingRebalance { .. }) {
                group.start_sync_timer(now, &mut out);
            }
            if matches!(group.state, State::Stable { .. }) {
                group.observe_assigned(&mut out);
            }
            self.groups.insert(group_id.to_owned(), group);
        }
        Ok(out)
    }

    /// Does what `event` asks for.
    pub fn handle(&mut self, now: Now, event: Event<T>) -> GroupEffects<T> {
        let mut out = GroupEffects::none();
        match event {
            Event::Unload { group_id } => self.unload(&group_id, &mut out),
            Event::Asked { group_id } => self.asked(now, &group_id, &mut out),
            Event::Join(ticket, request) => self.join(now, ticket, request, &mut out),
            Event::Sync(ticket, request) => self.sync(now, ticket, request, &mut out),
            Event::Heartbeat {
                ticket,
                group_id,
                generation,
                member_id,
                instance_id,
            } => {
                let result = self.existing(&group_id).and_then(|group| {
                    group.heartbeat(
                        now,
                        generation,
                        &member_id,
                        instance_id.as_deref(),
                        &mut out,
                    )
                });
                out.replies.push((ticket, Reply::Heartbeat(result)));
            }
            Event::Leave {
                ticket,
                group_id,
                members,
            } => {
                let config = self.config;
                let result = match self.existing(&group_id) {
                    Ok(group) => Ok(group.leave(now, &config, members, &mut out)),
                    // No group: none of them is a member.
                    Err(error @ ResponseError::UnknownMemberId) => {
                        Ok(members.into_iter().map(|m| (m, Some(error))).collect())
                    }
                    Err(error) => Err(error),
                };
                out.replies.push((ticket, Reply::Leave(result)));
                self.drop_if_void(&group_id);
            }
            Event::OffsetCommit(ticket, request) => {
                let count = request.partitions.len();
                let result = self.commit_offsets(now, request, &mut out);
                let results = result.unwrap_or_else(|error| vec![Err(error); count]);
                out.replies.push((ticket, Reply::OffsetCommit(results)));
            }
            Event::OffsetDelete(ticket, request) => {
                let result = self.delete_offsets(request, &mut out);
                out.replies.push((ticket, Reply::OffsetDelete(result)));
            }
            Event::DeleteGroup { ticket, group_id } => {
                let result = self.delete_group(&group_id, &mut out);
                out.replies.push((ticket, Reply::DeleteGroup(result)));
            }
            Event::Advance {
                group_id,
                id,
                topic_id,
                offset,
            } => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    group.advance(now, id, topic_id, offset, &mut out);
                }
            }
            Event::TopicDeleted { topic } => {
                for group in self.groups.values_mut() {
                    group.topic_deleted(&topic, &mut out);
                }
            }
            Event::ExpireOffsets => {
                let config = self.config;
                self.groups
                    .retain(|_, group| !group.expire(now, &config, &mut out));
            }
            Event::Timer(key) => self.timer(now, key, &mut out),
        }
        out
    }

    fn existing(&mut self, group_id: &str) -> Result<&mut Group<T>, ResponseError> {
        if group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.groups
            .get_mut(group_id)
            .ok_or(ResponseError::UnknownMemberId)
    }

    fn asked(&mut self, now: Now, group_id: &str, out: &mut GroupEffects<T>) {
        let is_new = self.on_the_way.asked(group_id, now.monotonic_ms);
        if is_new && let Some(group) = self.groups.get_mut(group_id) {
            group.wait_for_those_on_the_way(now, &self.config, out);
        }
    }

    fn join(&mut self, now: Now, ticket: T, request: JoinRequest, out: &mut GroupEffects<T>) {
        let session = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        let error = if request.group_id.is_empty() {
            Some(ResponseError::InvalidGroupId)
        } else if !session.contains(&request.session_timeout_ms) {
            Some(ResponseError::InvalidSessionTimeout)
        } else if !request.member_id.is_empty() && !self.is_loaded(&request.group_id) {
            Some(ResponseError::UnknownMemberId)
        } else {
            None
        };
        if let Some(error) = error {
            let reply = JoinReply::error(&request.member_id, error);
            out.replies.push((ticket, Reply::Join(reply)));
            return;
        }
        let group_id = request.group_id.clone();
        let config = self.config;
        let group = self
            .groups
            .entry(group_id.clone())
            .or_insert_with(|| Group::new(&group_id, now));
        let members = group.members.len();
        group.join(now, &config, ticket, request, out);
        if group.members.len() > members {
            let asked_ms = self.on_the_way.joined(&group_id, now.monotonic_ms);
            let others = self.on_the_way.is_anybody(&group_id, now.monotonic_ms);
            group.shorten_initial_delay(now, &config, asked_ms, others, out);
        }
        self.drop_if_void(&group_id);
    }

    fn sync(&mut self, now: Now, ticket: T, request: SyncRequest, out: &mut GroupEffects<T>) {
        match self.existing(&request.group_id) {
            Ok(group) => group.sync(now, ticket, request, out),
            Err(error) => out.replies.push((ticket, Reply::Sync(Err(error)))),
        }
    }

    fn commit_offsets(
        &mut self,
        now: Now,
        request: OffsetCommitRequest,
        out: &mut GroupEffects<T>,
    ) -> Result<super::OffsetResults, ResponseError> {
        let config = self.config;
        if !self.is_loaded(&request.group_id) {
            self.check_commit(&request)?;
            // A group that only stores offsets.
            let group = Group::new(&request.group_id, now);
            group.persist(out);
            self.groups.insert(request.group_id.clone(), group);
        }
        let group = self
            .groups
            .get_mut(&request.group_id)
            .expect("made above if it was missing");
        group.validate_commit(&request)?;
        Ok(group.commit_offsets(now, &config, request, out))
    }

    fn delete_offsets(
        &mut self,
        request: OffsetDeleteRequest,
        out: &mut GroupEffects<T>,
    ) -> Result<super::OffsetResults, ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.groups
            .get_mut(&request.group_id)
            .ok_or(ResponseError::GroupIdNotFound)?
            .delete_offsets(request.partitions, out)
    }

    fn delete_group(
        &mut self,
        group_id: &str,
        out: &mut GroupEffects<T>,
    ) -> Result<(), ResponseError> {
        self.groups
            .get_mut(group_id)
            .ok_or(ResponseError::GroupIdNotFound)?
            .delete(out)?;
        self.groups.remove(group_id);
        Ok(())
    }

    fn timer(&mut self, now: Now, key: TimerKey, out: &mut GroupEffects<T>) {
        let config = self.config;
        let Some(group) = self.groups.get_mut(&key.group_id) else {
            return;
        };
        match key.kind {
            TimerKind::Join => group.join_timer_due(now, out),
            TimerKind::Sync => group.sync_timer_due(now, &config, out),
            TimerKind::Session(member_id) => group.session_due(now, &config, &member_id, out),
        }
        self.drop_if_void(&key.group_id);
    }

    fn unload(&mut self, group_id: &str, out: &mut GroupEffects<T>) {
        let Some(mut group) = self.groups.remove(group_id) else {
            return;
        };
        group.answer_all(ResponseError::CoordinatorNotAvailable, out);
        for member_id in group.members.keys().chain(&group.pending_members) {
            out.timers.push((group.session_key(member_id), None));
        }
        out.timers.push((group.key(TimerKind::Join), None));
        out.timers.push((group.key(TimerKind::Sync), None));
    }

    /// A group that never became one (a refused join, a member that never came back) takes no memory.
    fn drop_if_void(&mut self, group_id: &str) {
        let void = |g: &Group<T>| {
            g.is_empty()
                && g.generation == 0
                && g.pending_members.is_empty()
                && g.offsets.is_empty()
        };
        if self.groups.get(group_id).is_some_and(void) {
            self.groups.remove(group_id);
        }
    }

    /// Ids of the loaded groups.
    pub fn group_ids(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// The loaded groups whose state is in `states`; all of them if that is empty.
    pub fn list(&self, states: &[GroupState]) -> Vec<ListedGroup> {
        self.groups
            .values()
            .map(Group::listed)
            .filter(|g| states.is_empty() || states.contains(&g.state))
            .collect()
    }

    /// A loaded group; `None` if there is no such group.
    pub fn describe(&self, group_id: &str) -> Option<DescribedGroup> {
        self.groups.get(group_id).map(Group::described)
    }

    /// A committed offset of a loaded group.
    pub fn committed(
        &self,
        group_id: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&CommittedOffset> {
        self.groups
            .get(group_id)?
            .offsets
            .get(topic)?
            .get(&partition)
    }

    /// All committed offsets of a loaded group, by topic and partition; `None` if there is no such group.
    pub fn all_committed(
        &self,
        group_id: &str,
    ) -> Option<&BTreeMap<String, BTreeMap<i32, CommittedOffset>>> {
        self.groups.get(group_id).map(|g| &g.offsets)
    }

    /// The op of [`Event::Advance`], with nothing changed yet: for whoever commits it together with more, and lets the event follow.
    pub fn plan_advance(
        &self,
        now: Now,
        group_id: &str,
        id: &PartitionId,
        topic_id: [u8; 16],
        offset: i64,
    ) -> Option<StoreOp> {
        let group = self.groups.get(group_id)?;
        let committed = group.advanced(now, id, topic_id, offset)?;
        Some(records::put_offset(group_id, id, &committed))
    }

    /// Whether a loaded group's members are consumers, whose assignments can be read.
    pub fn uses_consumer_protocol(&self, group_id: &str) -> bool {
        self.groups
            .get(group_id)
            .is_some_and(Group::uses_consumer_protocol)
    }

    /// Whether a group has no members; also if there is no such group.
    pub fn is_empty(&self, group_id: &str) -> bool {
        self.groups.get(group_id).is_none_or(Group::is_empty)
    }

    /// What an OffsetCommit of this member would be refused with as a whole, the way [`Event::OffsetCommit`] does it.
    pub fn check_commit(&self, request: &OffsetCommitRequest) -> Result<(), ResponseError> {
        match self.groups.get(&request.group_id) {
            Some(group) => group.validate_commit(request),
            None if request.generation < 0 => Ok(()),
            None if request.group_not_found_error => Err(ResponseError::GroupIdNotFound),
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    #[cfg(test)]
    pub(super) fn group(&self, group_id: &str) -> Option<&Group<T>> {
        self.groups.get(group_id)
    }
}
