//! Fetch sessions (KIP-227): what a client fetches is remembered, so that it sends changes only and is answered with changes only.

mod marks;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_codec::ResponseError;
use ottla_codec::StrBytes;
use ottla_storage::TopicId;
use parking_lot::Mutex;

pub(crate) use marks::Bell;
pub(crate) use session::{Due, Outlook, Seen, Session};

/// A session that was not used for this long gives way to a new one
/// (Kafka's `min.incremental.fetch.session.eviction.ms`).
const EVICTION_AGE: Duration = Duration::from_secs(120);
/// The epoch of a request that opens a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request without a session, which closes the one it names.
pub(crate) const FINAL_EPOCH: i32 = -1;
/// The id that is none.
pub(crate) const NO_SESSION: i32 = 0;

/// A topic as a fetch names it: by name up to version 12, by id from 13.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TopicRef {
    pub name: StrBytes,
    pub id: TopicId,
}

/// A partition to fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub topic: TopicRef,
    pub partition: i32,
    pub offset: i64,
    pub max_bytes: i32,
    pub leader_epoch: i32,
    /// The epoch of the last record that the reader has; negative for none (KIP-595).
    pub last_fetched_epoch: i32,
}

/// What a request asks of its session.
pub(crate) struct SessionRequest {
    pub id: i32,
    pub epoch: i32,
    /// Version 13 and later.
    pub uses_ids: bool,
    /// New and changed partitions.
    pub targets: Vec<Target>,
    /// Partitions to be dropped.
    pub forgotten: Vec<(TopicRef, i32)>,
}

/// How a fetch is to be answered.
pub(crate) enum Mode {
    /// All of these partitions; no session.
    Sessionless(Vec<Target>),
    /// All of these partitions; a session is to be opened.
    Full {
        uses_ids: bool,
        targets: Vec<Target>,
    },
    /// Changed partitions of this session.
    Incremental(Arc<Mutex<Session>>),
}

fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        e if e < 0 => FINAL_EPOCH,
        i32::MAX => 1,
        e => e + 1,
    }
}

struct Entry {
    session: Arc<Mutex<Session>>,
    size: usize,
    created: Instant,
    used: Instant,
}

/// All sessions, in a bounded number of slots.
#[derive(Default)]
pub(crate) struct FetchSessions {
    entries: Mutex<HashMap<i32, Entry>>,
}

impl FetchSessions {
    /// How a request is to be answered.
    pub fn begin(&self, request: SessionRequest, now: Instant) -> Result<Mode, ResponseError> {
        if matches!(request.epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            if request.id != NO_SESSION {
                self.entries.lock().remove(&request.id);
            }
            return Ok(match request.epoch {
                FINAL_EPOCH => Mode::Sessionless(request.targets),
                _ => Mode::Full {
                    uses_ids: request.uses_ids,
                    targets: request.targets,
                },
            });
        }
        let mut entries = self.entries.lock();
        let entry = entries
            .get_mut(&request.id)
            .ok_or(ResponseError::FetchSessionIdNotFound)?;
        let shared = entry.session.clone();
        let mut session = shared.lock();
        if session.epoch != request.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.uses_ids != request.uses_ids {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        let id = request.id;
        session.change(request);
        if session.len() == 0 {
            entries.remove(&id);
            return Ok(Mode::Sessionless(Vec::new()));
        }
        session.epoch = next_epoch(session.epoch);
        entry.size = session.len();
        entry.used = now;
        drop(session);
        Ok(Mode::Incremental(shared))
    }

    /// Opens a session for `targets`, if there is a slot or one can be taken from another. The session is to be told of
    /// this answer with [`Session::must_tell`].
    pub fn open(
        &self,
        uses_ids: bool,
        targets: &[Target],
        slots: usize,
        now: Instant,
    ) -> Option<Arc<Mutex<Session>>> {
        if targets.is_empty() {
            return None;
        }
        let mut entries = self.entries.lock();
        if entries.len() >= slots {
            let evicted = evictable(&entries, targets.len(), now)?;
            entries.remove(&evicted);
        }
        let id = loop {
            let id = rand::random_range(1..=i32::MAX);
            if !entries.contains_key(&id) {
                break id;
            }
        };
        let session = Arc::new(Mutex::new(Session::new(id, uses_ids, targets)));
        entries.insert(
            id,
            Entry {
                session: session.clone(),
                size: targets.len(),
                created: now,
                used: now,
            },
        );
        Some(session)
    }
}

/// The session that gives way: one long unused, else the smallest of those that lived long enough, if it is smaller
/// than the new one.
fn evictable(entries: &HashMap<i32, Entry>, new_size: usize, now: Instant) -> Option<i32> {
    let (id, oldest) = entries.iter().min_by_key(|(_, e)| e.used)?;
    if now.duration_since(oldest.used) > EVICTION_AGE {
        return Some(*id);
    }
    entries
        .iter()
        .filter(|(_, e)| now.duration_since(e.created) > EVICTION_AGE && e.size < new_size)
        .min_by_key(|(_, e)| e.size)
        .map(|(id, _)| *id)
}
