//! One session: its partitions, what was told of each, and which are to be looked at.
//!
//! A partition is *due* until a look finds it quiet: its reader is at the end, and there is nothing to tell. It is due again when
//! something happens to it, or when the client changes what it asks of it. So a request costs what is due, not what is in the session.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::marks::{Bell, Marks};
use super::{INITIAL_EPOCH, SessionRequest, Target, TopicRef, next_epoch};

/// A partition by its names.
type Key = (TopicRef, i32);

/// A partition that is to be looked at.
pub(crate) struct Due {
    /// Its number in the session, which is no other's, now or later.
    pub number: u64,
    /// What the client asks of it.
    pub target: Target,
    /// To be hung up before it is looked at.
    pub bell: Arc<Bell>,
}

/// What a look at a partition saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// There is such a partition.
    pub exists: bool,
    /// The reader is at the end, and nothing is wrong.
    pub at_end: bool,
    /// As in the answer.
    pub high_watermark: i64,
    /// As in the answer.
    pub log_start_offset: i64,
}

/// What a look at all that was due saw together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// A partition is gone that was there at the look before.
    pub deleted: bool,
    /// There is a partition that could get data.
    pub any: bool,
}

/// What was told of a partition last.
struct Cached {
    /// Its place in the order of the session.
    turn: u64,
    target: Target,
    high_watermark: i64,
    log_start_offset: i64,
    exists: bool,
    bell: Arc<Bell>,
}

/// One session.
pub(crate) struct Session {
    id: i32,
    /// What the next request must have.
    pub(super) epoch: i32,
    pub(super) uses_ids: bool,
    numbers: HashMap<Key, u64>,
    partitions: HashMap<u64, Cached>,
    /// By their turn. Who got data goes to the end, so that all have their turn when answers are full.
    due: BTreeMap<u64, u64>,
    next_turn: u64,
    /// How its last request read: the end is another for readers of committed records.
    read_committed: Option<bool>,
    marks: Arc<Marks>,
}

impl Session {
    pub(super) fn new(id: i32, uses_ids: bool, targets: &[Target]) -> Session {
        let mut session = Session {
            id,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_ids,
            numbers: HashMap::with_capacity(targets.len()),
            partitions: HashMap::with_capacity(targets.len()),
            due: BTreeMap::new(),
            next_turn: 0,
            read_committed: None,
            marks: Arc::default(),
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

    /// How many partitions it has.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Where it is noted that something happened to one of its partitions.
    pub fn marks(&self) -> Arc<Marks> {
        self.marks.clone()
    }

    /// Takes what a request changes.
    pub(super) fn change(&mut self, request: SessionRequest) {
        for target in request.targets {
            self.put(target);
        }
        for key in &request.forgotten {
            self.forget(key);
        }
    }

    pub(super) fn put(&mut self, target: Target) {
        let key = (target.topic.clone(), target.partition);
        let known = self.numbers.get(&key).copied();
        if let Some((number, cached)) =
            known.and_then(|number| Some((number, self.partitions.get_mut(&number)?)))
        {
            cached.target = target;
            self.due.insert(cached.turn, number);
            return;
        }
        let turn = self.take_turn();
        self.numbers.insert(key, turn);
        self.due.insert(turn, turn);
        self.partitions.insert(
            turn,
            Cached {
                turn,
                target,
                high_watermark: -1,
                log_start_offset: -1,
                exists: false,
                bell: Bell::new(turn, &self.marks),
            },
        );
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    pub(super) fn forget(&mut self, key: &Key) {
        let number = self.numbers.remove(key);
        if let Some(cached) = number.and_then(|number| self.partitions.remove(&number)) {
            self.due.remove(&cached.turn);
        }
    }

    /// The number of a target's partition.
    pub fn number(&self, target: &Target) -> Option<u64> {
        let key = (target.topic.clone(), target.partition);
        self.numbers.get(&key).copied()
    }

    /// What is to be looked at now, in the order of the session.
    pub fn due(&mut self, read_committed: bool) -> Vec<Due> {
        if self.read_committed != Some(read_committed) {
            self.read_committed = Some(read_committed);
            self.due = self.partitions.iter().map(|(n, c)| (c.turn, *n)).collect();
        }
        for number in self.marks.take() {
            // Or it was forgotten meanwhile.
            if let Some(cached) = self.partitions.get(&number) {
                self.due.insert(cached.turn, number);
            }
        }
        self.due
            .values()
            .filter_map(|number| Some((*number, self.partitions.get(number)?)))
            .map(|(number, cached)| Due {
                number,
                target: cached.target.clone(),
                bell: cached.bell.clone(),
            })
            .collect()
    }

    /// Takes note of a look at what was due: what is quiet is not due any more.
    pub fn looked<'a>(&mut self, looks: impl Iterator<Item = (&'a Due, Seen)>) -> Outlook {
        let mut deleted = false;
        let mut any = false;
        for (due, seen) in looks {
            any |= seen.exists;
            // Or it was forgotten meanwhile.
            let Some(cached) = self.partitions.get_mut(&due.number) else {
                continue;
            };
            deleted |= cached.exists && !seen.exists;
            cached.exists = seen.exists;
            let quiet = seen.at_end
                && cached.high_watermark == seen.high_watermark
                && cached.log_start_offset == seen.log_start_offset
                // Or the client asks something else meanwhile.
                && cached.target == due.target;
            if quiet {
                self.due.remove(&cached.turn);
            } else {
                self.due.insert(cached.turn, due.number);
            }
        }
        Outlook {
            deleted,
            any: any || self.due.len() < self.partitions.len(),
        }
    }

    /// Whether the answer must hold this partition, given what was told of it last; notes what is told now. What is
    /// `urgent` (an error, a diverging epoch) is told each time.
    pub fn must_tell(
        &mut self,
        number: u64,
        urgent: bool,
        has_records: bool,
        high_watermark: i64,
        log_start_offset: i64,
    ) -> bool {
        let turn = self.next_turn + 1;
        let Some(cached) = self.partitions.get_mut(&number) else {
            // Forgotten meanwhile by a later request.
            return false;
        };
        let changed =
            cached.high_watermark != high_watermark || cached.log_start_offset != log_start_offset;
        cached.log_start_offset = log_start_offset;
        // After an error the next good answer is news, whatever it says.
        cached.high_watermark = if urgent { -1 } else { high_watermark };
        if has_records {
            let before = std::mem::replace(&mut cached.turn, turn);
            self.next_turn = turn;
            self.due.remove(&before);
            // Its reader moves on; there may be more.
            self.due.insert(turn, number);
        }
        urgent || has_records || changed
    }
}
