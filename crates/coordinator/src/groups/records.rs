//! What is stored of groups: one row for the group, one for each offset. A value is a version byte and postcard.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::PartitionId;
use super::group::{Group, State};
use super::member::{Awaiting, Member, Protocol};
use super::offsets::CommittedOffset;
use crate::{Now, StoreOp, Tree};

const VERSION: u8 = 1;

/// Why a stored row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RecordError {
    #[error(
        "a row of group {group_id} has version {version}, newer than the {VERSION} that this ottla knows"
    )]
    NewerVersion { group_id: String, version: u8 },
    #[error("a row of group {group_id} is damaged: {reason}")]
    Damaged { group_id: String, reason: String },
}

#[derive(Serialize, Deserialize)]
enum StoredState {
    Empty,
    CompletingRebalance,
    Stable,
}

#[derive(Serialize, Deserialize)]
struct StoredGroup {
    state: StoredState,
    state_since_ms: i64,
    generation: i32,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<String>,
    members: Vec<StoredMember>,
}

#[derive(Serialize, Deserialize)]
struct StoredMember {
    id: String,
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    rebalance_timeout_ms: i32,
    session_timeout_ms: i32,
    protocols: Vec<(String, Vec<u8>)>,
    assignment: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct StoredOffset {
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    commit_ms: i64,
    expire_ms: Option<i64>,
    topic_id: [u8; 16],
}

/// The key of a group's row.
pub fn group_key(group_id: &str) -> Vec<u8> {
    group_id.as_bytes().to_vec()
}

/// The group id of a group's row.
pub fn group_id_of_key(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()
}

/// What the keys of a group's offsets start with. The length in front keeps groups apart whatever their ids contain.
pub fn offsets_prefix(group_id: &str) -> Vec<u8> {
    let len = u32::try_from(group_id.len()).expect("a group id fits a request, which fits an i32");
    let mut key = len.to_be_bytes().to_vec();
    key.extend_from_slice(group_id.as_bytes());
    key
}

fn offset_key(group_id: &str, id: &PartitionId) -> Vec<u8> {
    let mut key = offsets_prefix(group_id);
    key.extend_from_slice(id.topic.as_bytes());
    key.push(0);
    key.extend_from_slice(&id.partition.to_be_bytes());
    key
}

/// Topic and partition of an offset's key, which must be one of `group_id`.
pub fn partition_of_key(group_id: &str, key: &[u8]) -> Option<PartitionId> {
    partition_of(key.strip_prefix(offsets_prefix(group_id).as_slice())?)
}

fn partition_of(rest: &[u8]) -> Option<PartitionId> {
    let (topic, partition) = rest.split_last_chunk::<4>()?;
    let topic = topic.strip_suffix(&[0])?;
    Some(PartitionId {
        topic: std::str::from_utf8(topic).ok()?.to_owned(),
        partition: i32::from_be_bytes(*partition),
    })
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("plain data in memory always serialises")
}

fn decode<'a, V: Deserialize<'a>>(group_id: &str, bytes: &'a [u8]) -> Result<V, RecordError> {
    let damaged = |reason: String| RecordError::Damaged {
        group_id: group_id.to_owned(),
        reason,
    };
    match bytes.split_first() {
        None => Err(damaged("it is empty".to_owned())),
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|e| damaged(e.to_string())),
        Some((&version, _)) => Err(RecordError::NewerVersion {
            group_id: group_id.to_owned(),
            version,
        }),
    }
}

pub(super) fn put_group<T>(group: &Group<T>) -> StoreOp {
    let state = match group.state {
        State::Empty => StoredState::Empty,
        // A rebalance that is not through is not stored: after a crash its members find the generation before it.
        State::PreparingRebalance { .. } | State::CompletingRebalance { .. } => {
            StoredState::CompletingRebalance
        }
        State::Stable { .. } => StoredState::Stable,
    };
    let members = group.members.values().map(|m| StoredMember {
        id: m.id.clone(),
        instance_id: m.instance_id.clone(),
        client_id: m.client_id.clone(),
        client_host: m.client_host.clone(),
        rebalance_timeout_ms: m.rebalance_timeout_ms,
        session_timeout_ms: m.session_timeout_ms,
        protocols: m
            .protocols
            .iter()
            .map(|p| (p.name.clone(), p.metadata.to_vec()))
            .collect(),
        assignment: m.assignment.to_vec(),
    });
    StoreOp::Put {
        tree: Tree::Groups,
        key: group_key(&group.id),
        value: encode(&StoredGroup {
            state,
            state_since_ms: group.state_since_ms,
            generation: group.generation,
            protocol_type: group.protocol_type.clone(),
            protocol_name: group.protocol_name.clone(),
            leader: group.leader.clone(),
            members: members.collect(),
        }),
    }
}

pub(super) fn delete_group(group_id: &str) -> StoreOp {
    StoreOp::Delete {
        tree: Tree::Groups,
        key: group_key(group_id),
    }
}

/// The key of a pending offset: as that of a committed one, with the producer's id before the topic.
fn pending_key(group_id: &str, producer_id: i64, id: &PartitionId) -> Vec<u8> {
    let mut key = offsets_prefix(group_id);
    key.extend_from_slice(&producer_id.to_be_bytes());
    key.extend_from_slice(id.topic.as_bytes());
    key.push(0);
    key.extend_from_slice(&id.partition.to_be_bytes());
    key
}

fn offset_value(committed: &CommittedOffset) -> Vec<u8> {
    encode(&StoredOffset {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.clone(),
        commit_ms: committed.commit_ms,
        expire_ms: committed.expire_ms,
        topic_id: committed.topic_id,
    })
}

pub(super) fn put_pending(
    group_id: &str,
    producer_id: i64,
    id: &PartitionId,
    offset: &CommittedOffset,
) -> StoreOp {
    StoreOp::Put {
        tree: Tree::PendingOffsets,
        key: pending_key(group_id, producer_id, id),
        value: offset_value(offset),
    }
}

pub(super) fn delete_pending(group_id: &str, producer_id: i64, id: &PartitionId) -> StoreOp {
    StoreOp::Delete {
        tree: Tree::PendingOffsets,
        key: pending_key(group_id, producer_id, id),
    }
}

/// Reads one row of the tree of pending offsets: producer id, partition, offset.
pub(super) fn decode_pending(
    group_id: &str,
    key: &[u8],
    value: &[u8],
) -> Result<(i64, PartitionId, CommittedOffset), RecordError> {
    let parts = || {
        let rest = key.strip_prefix(offsets_prefix(group_id).as_slice())?;
        let (producer_id, rest) = rest.split_first_chunk::<8>()?;
        Some((i64::from_be_bytes(*producer_id), partition_of(rest)?))
    };
    let (producer_id, id) = parts().ok_or_else(|| RecordError::Damaged {
        group_id: group_id.to_owned(),
        reason: "a pending offset's key cannot be read".to_owned(),
    })?;
    Ok((producer_id, id, decode_value(group_id, value)?))
}

pub(super) fn put_offset(group_id: &str, id: &PartitionId, committed: &CommittedOffset) -> StoreOp {
    StoreOp::Put {
        tree: Tree::Offsets,
        key: offset_key(group_id, id),
        value: offset_value(committed),
    }
}

pub(super) fn delete_offset(group_id: &str, id: &PartitionId) -> StoreOp {
    StoreOp::Delete {
        tree: Tree::Offsets,
        key: offset_key(group_id, id),
    }
}

/// Reads one row of the tree of offsets.
pub fn decode_offset(
    group_id: &str,
    key: &[u8],
    value: &[u8],
) -> Result<(PartitionId, CommittedOffset), RecordError> {
    let id = partition_of_key(group_id, key).ok_or_else(|| RecordError::Damaged {
        group_id: group_id.to_owned(),
        reason: "an offset's key cannot be read".to_owned(),
    })?;
    Ok((id, decode_value(group_id, value)?))
}

fn decode_value(group_id: &str, value: &[u8]) -> Result<CommittedOffset, RecordError> {
    let stored: StoredOffset = decode(group_id, value)?;
    Ok(CommittedOffset {
        offset: stored.offset,
        leader_epoch: stored.leader_epoch,
        metadata: stored.metadata,
        commit_ms: stored.commit_ms,
        expire_ms: stored.expire_ms,
        topic_id: stored.topic_id,
    })
}

/// Makes a group from its rows, as it was when they were written.
pub(super) fn decode_group<T>(
    now: Now,
    group_id: &str,
    row: &[u8],
    offsets: &[(Bytes, Bytes)],
) -> Result<Group<T>, RecordError> {
    let stored: StoredGroup = decode(group_id, row)?;
    let mut group = Group::new(group_id, now);
    group.generation = stored.generation;
    group.protocol_type = stored.protocol_type;
    group.protocol_name = stored.protocol_name;
    group.leader = stored.leader;
    group.state_since_ms = stored.state_since_ms;
    for m in stored.members {
        if let Some(instance) = &m.instance_id {
            group.static_members.insert(instance.clone(), m.id.clone());
        }
        let protocols = m.protocols.into_iter().map(|(name, metadata)| Protocol {
            name,
            metadata: metadata.into(),
        });
        let member = Member {
            id: m.id.clone(),
            instance_id: m.instance_id,
            client_id: m.client_id,
            client_host: m.client_host,
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            session_timeout_ms: m.session_timeout_ms,
            protocols: protocols.collect(),
            assignment: m.assignment.into(),
            awaiting: Awaiting::Nothing,
            is_new: false,
        };
        group.members.insert(m.id, member);
    }
    group.state = match stored.state {
        StoredState::Empty => State::Empty,
        StoredState::CompletingRebalance => State::CompletingRebalance {
            pending_sync: group.members.keys().cloned().collect(),
        },
        StoredState::Stable => State::Stable {
            pending_sync: Default::default(),
        },
    };
    group.refresh_subscriptions();
    for (key, value) in offsets {
        let (id, committed) = decode_offset(group_id, key, value)?;
        group.set_offset(id, committed);
    }
    Ok(group)
}
