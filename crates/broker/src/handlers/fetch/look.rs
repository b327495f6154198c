//! A fetch under way: it looks, waits if that is too little, and answers.

use std::sync::Arc;

use ottla_codec::fetch::{FetchResponse, FetchTopic};
use ottla_storage::{FileSlice, Partition};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::read::{Answer, Found, Reads};
use crate::fetch_sessions::{Due, Mode, NO_SESSION, Outlook, Seen, Session, Target, TopicRef};
use crate::fetch_wait::{self, Watch, Woken};

/// A fetch under way.
pub(super) struct Fetch {
    pub mode: Mode,
    pub min_bytes: usize,
    pub reads: Reads,
}

/// What a look found.
pub(super) struct Look {
    found: Found,
    /// Of a session, what was looked at: all that is not quiet.
    due: Vec<Due>,
    outlook: Outlook,
}

impl Look {
    /// What is needed to wait: the partitions, and when there is something to read that is there already. The rest is read again later:
    /// it would hold memory and files meanwhile.
    fn put_away(self) -> (Vec<Arc<Partition>>, Option<Instant>) {
        let due = self.found.due_ms.map(fetch_wait::at_wall_ms);
        (self.found.partitions, due)
    }
}

impl Fetch {
    /// Reads from all partitions, or from those of the session that are due.
    pub fn look(&self) -> Look {
        let session = match &self.mode {
            Mode::Sessionless(targets) | Mode::Full { targets, .. } => {
                let found = self.reads.read(targets.iter().map(|target| (target, None)));
                return Look {
                    outlook: Outlook {
                        deleted: false,
                        any: !found.partitions.is_empty(),
                    },
                    found,
                    due: Vec::new(),
                };
            }
            Mode::Incremental(session) => session,
        };
        let due = session.lock().due(self.reads.read_committed);
        let targets = due.iter().map(|due| (&due.target, Some(&due.bell)));
        let found = self.reads.read(targets);
        let seen = due.iter().zip(found.answers.iter().map(seen));
        let outlook = session.lock().looked(seen);
        Look {
            found,
            due,
            outlook,
        }
    }

    /// Whether to answer now: enough bytes, an error, or nothing that could be waited for. A partition that does not exist
    /// is no reason by itself, as in Kafka: a consumer keeps it in its session until its metadata is fresh, and would
    /// otherwise ask again and again without a pause.
    pub fn is_enough(&self, look: &Look) -> bool {
        look.found.urgent || !look.outlook.any || look.found.bytes >= self.min_bytes
    }

    /// Looks again whenever something happens, until that is enough or the time is over.
    pub async fn wait(self, look: Look, deadline: Instant) -> FetchResponse<FileSlice> {
        let (mut partitions, _) = look.put_away();
        loop {
            // Watched first and read then, so that nothing comes between.
            let watch = self.watch(&partitions);
            let look = self.look();
            let deleted = look.outlook.deleted || self.has_lost(&partitions, &look.found);
            if deleted || self.is_enough(&look) {
                return self.answer(look);
            }
            let due;
            (partitions, due) = look.put_away();
            let shutdown = &self.reads.broker.shutdown;
            if watch.wait(deadline, due, shutdown).await == Woken::Over {
                let look = self.look();
                return self.answer(look);
            }
        }
    }

    fn watch(&self, partitions: &[Arc<Partition>]) -> Watch {
        match &self.mode {
            Mode::Incremental(session) => {
                let marks = session.lock().marks();
                Watch::on(|watcher| marks.watch(watcher))
            }
            _ => Watch::on(|watcher| partitions.iter().for_each(|p| p.watch(watcher))),
        }
    }

    /// Whether a partition is gone that was there before. A session says so itself.
    fn has_lost(&self, before: &[Arc<Partition>], found: &Found) -> bool {
        !matches!(self.mode, Mode::Incremental(_)) && found.partitions.len() < before.len()
    }

    /// The answer with what was found.
    pub fn answer(self, mut look: Look) -> FetchResponse<FileSlice> {
        let broker = &self.reads.broker;
        let watches = &broker.dead_letters.watches;
        if look.found.gates != watches.changes() {
            // Something may be withheld now that was not when it was read.
            look = self.look();
        }
        for noted in &look.found.served {
            watches.note(&noted.key, &self.reads.reader, noted.first, noted.next);
        }
        let answers = look.found.answers;
        match self.mode {
            Mode::Sessionless(targets) => response(NO_SESSION, targets.iter().zip(answers)),
            Mode::Full { uses_ids, targets } => {
                let slots = broker
                    .settings
                    .current()
                    .max_incremental_fetch_session_cache_slots;
                let now = std::time::Instant::now();
                let sessions = &broker.fetch_sessions;
                let session = sessions.open(uses_ids, &targets, slots, now);
                let id = session.map_or(NO_SESSION, |session| {
                    let mut session = session.lock();
                    for (target, answer) in targets.iter().zip(&answers) {
                        if let Some(number) = session.number(target) {
                            must_tell(&mut session, number, answer);
                        }
                    }
                    session.id()
                });
                response(id, targets.iter().zip(answers))
            }
            Mode::Incremental(session) => news(&session, &look.due, answers),
        }
    }
}

/// The answer with what is news to the session.
fn news(session: &Mutex<Session>, due: &[Due], answers: Vec<Answer>) -> FetchResponse<FileSlice> {
    let mut session = session.lock();
    let told: Vec<_> = due
        .iter()
        .zip(answers)
        .filter(|(due, answer)| must_tell(&mut session, due.number, answer))
        .map(|(due, answer)| (&due.target, answer))
        .collect();
    response(session.id(), told.into_iter())
}

fn must_tell(session: &mut Session, number: u64, answer: &Answer) -> bool {
    session.must_tell(
        number,
        answer.is_urgent(),
        !answer.partition.records.is_empty(),
        answer.partition.high_watermark,
        answer.partition.log_start_offset,
    )
}

fn seen(answer: &Answer) -> Seen {
    Seen {
        exists: answer.exists,
        at_end: answer.at_end,
        high_watermark: answer.partition.high_watermark,
        log_start_offset: answer.partition.log_start_offset,
    }
}

fn response<'a>(
    session_id: i32,
    answers: impl Iterator<Item = (&'a Target, Answer)>,
) -> FetchResponse<FileSlice> {
    let mut topics: Vec<FetchTopic<FileSlice>> = Vec::new();
    let mut last: Option<&TopicRef> = None;
    for (target, answer) in answers {
        // Neighbours of one topic share an entry; the order of the partitions is kept.
        if last != Some(&target.topic) {
            last = Some(&target.topic);
            topics.push(FetchTopic {
                name: target.topic.name.clone(),
                topic_id: target.topic.id,
                partitions: Vec::new(),
            });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(answer.partition);
        }
    }
    FetchResponse {
        throttle_time_ms: 0,
        error_code: 0,
        session_id,
        topics,
    }
}
