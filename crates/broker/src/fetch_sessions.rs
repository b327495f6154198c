//! Fetch sessions (KIP-227): what a client fetches is remembered, so that it sends changes only and is answered with changes only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_codec::ResponseError;
use ottla_codec::StrBytes;
use ottla_storage::TopicId;
use parking_lot::Mutex;

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
    /// All partitions; no session.
    Sessionless,
    /// All partitions; a session is to be opened.
    Full { uses_ids: bool },
    /// Changed partitions of this session.
    Incremental(Arc<Mutex<Session>>),
}

/// What was told of a partition last.
#[derive(Debug)]
struct Cached {
    /// Its place in the order of the session.
    turn: u64,
    target: Target,
    high_watermark: i64,
    log_start_offset: i64,
}

type Key = (TopicRef, i32);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    id: i32,
    /// What the next request must have.
    epoch: i32,
    uses_ids: bool,
    partitions: HashMap<Key, Cached>,
    /// Who got data goes to the end, so that all have their turn when answers are full.
    order: BTreeMap<u64, Key>,
    next_turn: u64,
}

impl Session {
    fn new(id: i32, uses_ids: bool, targets: &[Target]) -> Session {
        let mut session = Session {
            id,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_ids,
            partitions: HashMap::with_capacity(targets.len()),
            order: BTreeMap::new(),
            next_turn: 0,
        };
        for target in targets {
            session.put(target.clone());
        }
        session
    }

    /// The session's id.
    pub fn id(&self) -> i32 {
        self.id
    }

    fn put(&mut self, target: Target) {
        let key = (target.topic.clone(), target.partition);
        if let Some(cached) = self.partitions.get_mut(&key) {
            cached.target = target;
            return;
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.order.insert(turn, key.clone());
        self.partitions.insert(
            key,
            Cached {
                turn,
                target,
                high_watermark: -1,
                log_start_offset: -1,
            },
        );
    }

    fn forget(&mut self, key: &Key) {
        if let Some(cached) = self.partitions.remove(key) {
            self.order.remove(&cached.turn);
        }
    }

    fn targets(&self) -> Vec<Target> {
        self.order
            .values()
            .filter_map(|key| self.partitions.get(key))
            .map(|c| c.target.clone())
            .collect()
    }

    /// Whether the answer must hold this partition, given what was told of it last; notes what is told now. What is
    /// `urgent` (an error, a diverging epoch) is told each time.
    pub fn must_tell(
        &mut self,
        target: &Target,
        urgent: bool,
        has_records: bool,
        high_watermark: i64,
        log_start_offset: i64,
    ) -> bool {
        let key = (target.topic.clone(), target.partition);
        let Some(cached) = self.partitions.get_mut(&key) else {
            // Forgotten meanwhile by a later request.
            return false;
        };
        let changed =
            cached.high_watermark != high_watermark || cached.log_start_offset != log_start_offset;
        cached.log_start_offset = log_start_offset;
        // After an error the next good answer is news, whatever it says.
        cached.high_watermark = if urgent { -1 } else { high_watermark };
        if has_records {
            self.order.remove(&cached.turn);
            cached.turn = self.next_turn;
            self.next_turn += 1;
            self.order.insert(cached.turn, key);
        }
        urgent || has_records || changed
    }
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
    /// What a request fetches, and how it is to be answered.
    pub fn begin(
        &self,
        request: SessionRequest,
        now: Instant,
    ) -> Result<(Mode, Vec<Target>), ResponseError> {
        if matches!(request.epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            if request.id != NO_SESSION {
                self.entries.lock().remove(&request.id);
            }
            let mode = if request.epoch == FINAL_EPOCH {
                Mode::Sessionless
            } else {
                Mode::Full {
                    uses_ids: request.uses_ids,
                }
            };
            return Ok((mode, request.targets));
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
        for target in request.targets {
            session.put(target);
        }
        for key in &request.forgotten {
            session.forget(key);
        }
        if session.partitions.is_empty() {
            entries.remove(&request.id);
            return Ok((Mode::Sessionless, Vec::new()));
        }
        session.epoch = next_epoch(session.epoch);
        entry.size = session.partitions.len();
        entry.used = now;
        let targets = session.targets();
        drop(session);
        Ok((Mode::Incremental(shared), targets))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(partition: i32, offset: i64) -> Target {
        Target {
            topic: TopicRef {
                name: StrBytes::from_static_str("t"),
                id: TopicId::nil(),
            },
            partition,
            offset,
            max_bytes: 1 << 20,
            leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn request(id: i32, epoch: i32, targets: Vec<Target>) -> SessionRequest {
        SessionRequest {
            id,
            epoch,
            uses_ids: false,
            targets,
            forgotten: Vec::new(),
        }
    }

    fn open(sessions: &FetchSessions, targets: &[Target]) -> i32 {
        let session = sessions.open(false, targets, 10, Instant::now()).unwrap();
        session.lock().id()
    }

    #[test]
    fn each_request_of_a_session_must_have_the_next_epoch() {
        let sessions = FetchSessions::default();
        let now = Instant::now();
        let id = open(&sessions, &[target(0, 0)]);
        assert!(sessions.begin(request(id, 1, vec![]), now).is_ok());
        assert_eq!(
            sessions.begin(request(id, 1, vec![]), now).err(),
            Some(ResponseError::InvalidFetchSessionEpoch)
        );
        assert!(sessions.begin(request(id, 2, vec![]), now).is_ok());
        assert_eq!(
            sessions.begin(request(id ^ 1, 1, vec![]), now).err(),
            Some(ResponseError::FetchSessionIdNotFound)
        );
    }

    #[test]
    fn partitions_are_changed_added_and_forgotten() {
        let sessions = FetchSessions::default();
        let id = open(&sessions, &[target(0, 0), target(1, 0)]);
        let mut change = request(id, 1, vec![target(1, 7), target(2, 3)]);
        change.forgotten = vec![(target(0, 0).topic, 0)];
        let (_, targets) = sessions.begin(change, Instant::now()).unwrap();
        assert_eq!(targets, vec![target(1, 7), target(2, 3)]);
    }

    #[test]
    fn a_session_without_partitions_is_closed() {
        let sessions = FetchSessions::default();
        let id = open(&sessions, &[target(0, 0)]);
        let mut change = request(id, 1, vec![]);
        change.forgotten = vec![(target(0, 0).topic, 0)];
        let (mode, targets) = sessions.begin(change, Instant::now()).unwrap();
        assert!(matches!(mode, Mode::Sessionless) && targets.is_empty());
        assert!(
            sessions
                .begin(request(id, 2, vec![]), Instant::now())
                .is_err()
        );
    }

    #[test]
    fn a_full_fetch_closes_the_session_that_it_names() {
        let sessions = FetchSessions::default();
        let id = open(&sessions, &[target(0, 0)]);
        let again = sessions.begin(
            request(id, INITIAL_EPOCH, vec![target(0, 0)]),
            Instant::now(),
        );
        assert!(matches!(again, Ok((Mode::Full { .. }, _))));
        assert!(
            sessions
                .begin(request(id, 1, vec![]), Instant::now())
                .is_err()
        );
    }

    #[test]
    fn names_and_ids_are_not_mixed_in_a_session() {
        let sessions = FetchSessions::default();
        let id = open(&sessions, &[target(0, 0)]);
        let mut with_ids = request(id, 1, vec![]);
        with_ids.uses_ids = true;
        assert_eq!(
            sessions.begin(with_ids, Instant::now()).err(),
            Some(ResponseError::FetchSessionTopicIdError)
        );
    }

    #[test]
    fn only_news_is_told_and_who_got_data_goes_last() {
        let mut session = Session::new(1, false, &[target(0, 0), target(1, 0)]);
        assert!(
            session.must_tell(&target(0, 0), false, false, 5, 0),
            "first"
        );
        assert!(
            !session.must_tell(&target(0, 0), false, false, 5, 0),
            "same"
        );
        assert!(
            session.must_tell(&target(0, 0), false, true, 5, 0),
            "records"
        );
        assert!(
            session.must_tell(&target(0, 0), true, false, -1, -1),
            "error"
        );
        assert!(
            session.must_tell(&target(0, 0), false, false, 5, 0),
            "after"
        );
        let order: Vec<i32> = session.targets().iter().map(|t| t.partition).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn a_full_cache_gives_way_only_to_who_deserves_it() {
        let sessions = FetchSessions::default();
        let start = Instant::now();
        let small = [target(0, 0)];
        let large = [target(0, 0), target(1, 0)];
        assert!(sessions.open(false, &small, 1, start).is_some());
        assert!(sessions.open(false, &large, 1, start).is_none());
        let later = start + EVICTION_AGE + Duration::from_secs(1);
        assert!(sessions.open(false, &small, 1, later).is_some());
    }
}
