//! What is stored of transactions: a row for each transactional id. The value is a version byte and postcard.

use serde::{Deserialize, Serialize};

use super::transaction::{ProducerEpoch, State, Transaction};
use crate::groups::PartitionId;
use crate::{StoreOp, Tree};

const VERSION: u8 = 1;

/// Why a stored row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RecordError {
    #[error(
        "the row of transactional id {transactional_id} has version {version}, newer than the {VERSION} that this ottla knows"
    )]
    NewerVersion {
        transactional_id: String,
        version: u8,
    },
    #[error("the row of transactional id {transactional_id} is damaged: {reason}")]
    Damaged {
        transactional_id: String,
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
enum StoredState {
    Empty,
    Ongoing,
    CompleteCommit,
    CompleteAbort,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    producer_id: i64,
    epoch: i16,
    previous_id: i64,
    last_epoch: i16,
    timeout_ms: i32,
    state: StoredState,
    partitions: Vec<(String, i32)>,
    groups: Vec<String>,
    started_ms: i64,
    updated_ms: i64,
    end_bumped: bool,
}

/// The transactional id of a row's key.
pub fn transactional_id_of_key(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()
}

pub(super) fn put(transactional_id: &str, transaction: &Transaction) -> StoreOp {
    let t = transaction;
    let stored = Stored {
        producer_id: t.producer.producer_id,
        epoch: t.producer.epoch,
        previous_id: t.previous_id,
        last_epoch: t.last_epoch,
        timeout_ms: t.timeout_ms,
        state: match t.state {
            State::Empty => StoredState::Empty,
            State::Ongoing => StoredState::Ongoing,
            State::CompleteCommit => StoredState::CompleteCommit,
            State::CompleteAbort => StoredState::CompleteAbort,
        },
        partitions: t
            .partitions
            .iter()
            .map(|p| (p.topic.clone(), p.partition))
            .collect(),
        groups: t.groups.iter().cloned().collect(),
        started_ms: t.started_ms,
        updated_ms: t.updated_ms,
        end_bumped: t.end_bumped,
    };
    StoreOp::Put {
        tree: Tree::Transactions,
        key: transactional_id.as_bytes().to_vec(),
        value: postcard::to_extend(&stored, vec![VERSION])
            .expect("plain data in memory always serialises"),
    }
}

pub(super) fn delete(transactional_id: &str) -> StoreOp {
    StoreOp::Delete {
        tree: Tree::Transactions,
        key: transactional_id.as_bytes().to_vec(),
    }
}

pub(super) fn decode(transactional_id: &str, value: &[u8]) -> Result<Transaction, RecordError> {
    let damaged = |reason: String| RecordError::Damaged {
        transactional_id: transactional_id.to_owned(),
        reason,
    };
    let stored: Stored = match value.split_first() {
        None => return Err(damaged("it is empty".to_owned())),
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|e| damaged(e.to_string()))?,
        Some((&version, _)) => {
            return Err(RecordError::NewerVersion {
                transactional_id: transactional_id.to_owned(),
                version,
            });
        }
    };
    Ok(Transaction {
        producer: ProducerEpoch {
            producer_id: stored.producer_id,
            epoch: stored.epoch,
        },
        previous_id: stored.previous_id,
        last_epoch: stored.last_epoch,
        timeout_ms: stored.timeout_ms,
        state: match stored.state {
            StoredState::Empty => State::Empty,
            StoredState::Ongoing => State::Ongoing,
            StoredState::CompleteCommit => State::CompleteCommit,
            StoredState::CompleteAbort => State::CompleteAbort,
        },
        partitions: stored
            .partitions
            .into_iter()
            .map(|(topic, partition)| PartitionId { topic, partition })
            .collect(),
        groups: stored.groups.into_iter().collect(),
        started_ms: stored.started_ms,
        updated_ms: stored.updated_ms,
        end_bumped: stored.end_bumped,
    })
}
