//! Retry topics serve no record before its time, which its header `__dlq.retry.at` tells.
//!
//! Records wait in their order: what lies behind one that is not due waits, too. A fetch that waits wakes when the first one is due.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_codec::batch::BatchHeader;
use ottla_codec::records::{Record, iterate};
use ottla_dlq::headers;
use ottla_storage::{MetaOp, Partition, ReadError, Store, StoreError, TopicId, Tree};
use parking_lot::RwLock;

use super::gate::{Room, batches, corrupt};
use crate::produce_check::INFLATED_MAX;

/// The first byte of the rows' keys; the topic's id follows. The value is the version of the row.
const KEY: u8 = b'r';
const VERSION: u8 = 1;

/// The retry topics. Known by their ids and not by their names, which anybody may give to a topic of his own.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    any: AtomicBool,
    topics: RwLock<HashSet<TopicId>>,
}

/// How far a retry topic may be served now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Records from this offset on are not due.
    pub end: i64,
    /// When the first of them is, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

impl Delays {
    /// Makes known what is stored, and forgets topics that are gone.
    pub fn load(&self, store: &Store) -> Result<(), StoreError> {
        let catalogue = store.topics();
        let mut gone = Vec::new();
        for (key, _) in store.scan(Tree::DeadLetters, &[KEY])? {
            match TopicId::from_slice(&key[1..]) {
                Ok(id) if catalogue.by_id(&id).is_some() => self.add(id),
                _ => gone.push(MetaOp::Delete {
                    tree: Tree::DeadLetters,
                    key,
                }),
            }
        }
        if !gone.is_empty() {
            store.commit(gone)?;
        }
        Ok(())
    }

    /// From now on this is a retry topic. It is so after a crash, too, as soon as anything is that was committed after this.
    pub fn register(&self, store: &Store, topic: TopicId) -> Result<(), StoreError> {
        if self.has(&topic) {
            return Ok(());
        }
        let mut key = vec![KEY];
        key.extend_from_slice(topic.as_bytes());
        store.commit(vec![MetaOp::Put {
            tree: Tree::DeadLetters,
            key: key.into(),
            value: vec![VERSION].into(),
        }])?;
        self.add(topic);
        Ok(())
    }

    fn add(&self, topic: TopicId) {
        self.topics.write().insert(topic);
        self.any.store(true, Ordering::Release);
    }

    /// Forgets topics that are gone.
    pub fn forget_deleted(&self, store: &Store) {
        let catalogue = store.topics();
        let is_there = |id: &TopicId| catalogue.by_id(id).is_some();
        self.topics.write().retain(is_there);
    }

    fn has(&self, topic: &TopicId) -> bool {
        self.any.load(Ordering::Acquire) && self.topics.read().contains(topic)
    }

    /// Whether something of what a fetch from `offset` up to `end` would read has to wait.
    pub fn due(
        &self,
        partition: &Partition,
        offset: i64,
        end: i64,
        room: Room,
        now_ms: impl FnOnce() -> i64,
    ) -> Result<Option<Due>, ReadError> {
        if !self.has(partition.topic()) {
            return Ok(None);
        }
        let now_ms = now_ms();
        let slice = partition.read(offset, end, room.limit, room.first_whole)?;
        for batch in batches(&slice.chunks)? {
            let header = BatchHeader::parse(&batch).map_err(|e| corrupt(offset, &e))?;
            let records: Vec<Record> = iterate(batch, INFLATED_MAX)
                .map_err(|e| corrupt(header.base_offset, &e))?
                .collect::<Result<_, _>>()
                .map_err(|e| corrupt(header.base_offset, &e))?;
            if let Some(at_ms) = headers::retry_at(&records).filter(|at| *at > now_ms) {
                return Ok(Some(Due {
                    end: header.base_offset,
                    at_ms,
                }));
            }
        }
        Ok(None)
    }
}
