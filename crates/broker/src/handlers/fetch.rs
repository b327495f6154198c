//! Fetch: reads from the partitions of the request or its session, waits for data if asked to.

use std::sync::Arc;
use std::time::Duration;

use ottla_codec::ResponseError;
use ottla_codec::fetch::{FetchPartition, FetchResponse, FetchTopic};
use ottla_codec::messages::FetchRequest;
use ottla_storage::{FileSlice, Partition, Topics};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::context::RequestContext;
use crate::dead_letters::fetch::{self as gated_fetch, Noted};
use crate::dead_letters::gate::Room;
use crate::dead_letters::watch::Reader;
use crate::errors;
use crate::fetch_sessions::{FINAL_EPOCH, Mode, NO_SESSION, SessionRequest, Target, TopicRef};
use crate::fetch_wait::{self, Watch, Woken};
use crate::reply::Reply;
use crate::state::BrokerState;

/// From this version on topics are named by id.
const FIRST_WITH_IDS: i16 = 13;
/// From this version on there are sessions, and an error code for the whole answer.
const FIRST_WITH_SESSIONS: i16 = 7;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: FetchRequest,
) -> Reply<FetchResponse<FileSlice>> {
    let replica = request.replica_id.0.max(request.replica_state.replica_id.0);
    if replica >= 0 {
        // There are no followers: data goes to consumers alone, up to the high watermark.
        return Reply::Now(refusal(ResponseError::InvalidRequest));
    }
    let settings = ctx.broker.settings.current();
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + max_wait;
    let max_bytes = request.max_bytes.min(settings.fetch_max_bytes).max(0) as usize;
    let min_bytes = (request.min_bytes.max(0) as usize).min(max_bytes);
    let read_committed = request.isolation_level == 1;
    let session = session_request(ctx.version, request);
    let begun = ctx
        .broker
        .fetch_sessions
        .begin(session, std::time::Instant::now());
    let (mode, targets) = match begun {
        Ok(begun) => begun,
        Err(error) => return Reply::Now(refusal(error)),
    };
    let fetch = Fetch {
        broker: ctx.broker.clone(),
        mode,
        targets,
        uses_ids: ctx.version >= FIRST_WITH_IDS,
        max_bytes,
        min_bytes,
        read_committed,
        reader: Reader {
            connection: ctx.connection.clone(),
            client_id: ctx.client_id.clone(),
        },
    };
    let found = fetch.read();
    if max_wait.is_zero() || fetch.is_enough(&found) {
        return Reply::Now(fetch.answer(found));
    }
    Reply::later(fetch.wait(found.partitions, deadline))
}

fn refusal(error: ResponseError) -> FetchResponse<FileSlice> {
    FetchResponse {
        throttle_time_ms: 0,
        error_code: error.code(),
        session_id: NO_SESSION,
        topics: Vec::new(),
    }
}

fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let uses_ids = version >= FIRST_WITH_IDS;
    let named = |name, id| {
        if uses_ids {
            TopicRef {
                name: Default::default(),
                id,
            }
        } else {
            TopicRef {
                name,
                id: Default::default(),
            }
        }
    };
    let mut targets = Vec::new();
    for topic in request.topics {
        let topic_ref = named(topic.topic.0, topic.topic_id);
        targets.extend(topic.partitions.into_iter().map(|p| Target {
            topic: topic_ref.clone(),
            partition: p.partition,
            offset: p.fetch_offset,
            max_bytes: p.partition_max_bytes,
            leader_epoch: p.current_leader_epoch,
            last_fetched_epoch: p.last_fetched_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data {
        let topic_ref = named(topic.topic.0, topic.topic_id);
        forgotten.extend(topic.partitions.into_iter().map(|p| (topic_ref.clone(), p)));
    }
    let with_sessions = version >= FIRST_WITH_SESSIONS;
    SessionRequest {
        id: if with_sessions {
            request.session_id
        } else {
            NO_SESSION
        },
        epoch: if with_sessions {
            request.session_epoch
        } else {
            FINAL_EPOCH
        },
        uses_ids,
        targets,
        forgotten,
    }
}

/// A fetch under way.
struct Fetch {
    broker: Arc<BrokerState>,
    mode: Mode,
    targets: Vec<Target>,
    uses_ids: bool,
    max_bytes: usize,
    min_bytes: usize,
    read_committed: bool,
    /// Who asks: some readers are watched, and some things withheld from some.
    reader: Reader,
}

/// What a look at all partitions found.
struct Found {
    /// One for each target, in their order.
    answers: Vec<FetchPartition<FileSlice>>,
    /// Those that exist.
    partitions: Vec<Arc<Partition>>,
    bytes: usize,
    /// Something that the reader must hear of at once.
    urgent: bool,
    /// What owners of partitions are served, told when it is answered.
    served: SmallVec<[Noted; 4]>,
    /// As gates were before it was read.
    gates: u64,
    /// When records of retry topics are due that are not yet, milliseconds since the Unix epoch.
    due_ms: Option<i64>,
}

impl Fetch {
    fn read(&self) -> Found {
        let topics = self.broker.store.topics();
        let mut found = Found {
            answers: Vec::with_capacity(self.targets.len()),
            partitions: Vec::with_capacity(self.targets.len()),
            bytes: 0,
            urgent: false,
            served: SmallVec::new(),
            gates: self.broker.dead_letters.watches.changes(),
            due_ms: None,
        };
        for target in &self.targets {
            let answer = match self.partition(&topics, target) {
                Ok(partition) => {
                    let answer = self
                        .read_one(target, &partition, &mut found)
                        .unwrap_or_else(|error| unread(target.partition, error, None));
                    found.urgent |= is_urgent(&answer);
                    found.partitions.push(partition);
                    answer
                }
                Err(error) => unread(target.partition, error, Some(Vec::new())),
            };
            found.bytes += answer.records.iter().map(|c| c.len()).sum::<usize>();
            found.answers.push(answer);
        }
        found
    }

    fn partition(&self, topics: &Topics, target: &Target) -> Result<Arc<Partition>, ResponseError> {
        let topic = if self.uses_ids {
            topics
                .by_id(&target.topic.id)
                .ok_or(ResponseError::UnknownTopicId)?
        } else {
            topics
                .by_name(&target.topic.name)
                .ok_or(ResponseError::UnknownTopicOrPartition)?
        };
        self.broker
            .store
            .partition(&topic.id, target.partition)
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Reads from one partition.
    fn read_one(
        &self,
        target: &Target,
        partition: &Partition,
        found: &mut Found,
    ) -> Result<FetchPartition<FileSlice>, ResponseError> {
        errors::leader_epoch(target.leader_epoch, partition.leader_epoch())?;
        let high_watermark = partition.high_watermark();
        let last_stable_offset = partition.last_stable_offset().min(high_watermark);
        let end = if self.read_committed {
            last_stable_offset
        } else {
            high_watermark
        };
        let log_start_offset = partition.log_start_offset();
        let diverging_epoch = diverging_epoch(target, partition)?;
        if target.offset < log_start_offset
            || diverging_epoch.is_none() && target.offset > partition.log_end_offset()
        {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let room = self.max_bytes.saturating_sub(found.bytes);
        let limit = room.min(target.max_bytes.max(0) as usize);
        // The first batch of an answer comes whole, however large, or its reader would never get on (KIP-74).
        let first_whole = found.bytes == 0;
        let wanted = diverging_epoch.is_none() && target.offset < end;
        let mut aborted = Vec::new();
        let records = if wanted && (limit > 0 || first_whole) {
            let room = Room { limit, first_whole };
            let read = gated_fetch::read(
                &self.broker,
                &self.reader,
                partition,
                target.offset,
                end,
                room,
            );
            let read = read.map_err(|e| errors::read(&e))?;
            found.urgent |= read.cut;
            found.served.extend(read.noted);
            found.due_ms = found.due_ms.into_iter().chain(read.due_ms).min();
            if self.read_committed && !read.chunks.is_empty() {
                let between = partition.aborted_between(target.offset, read.next);
                let between = between.map_err(|e| errors::read(&e))?;
                aborted = between
                    .into_iter()
                    .map(|a| (a.producer_id, a.first_offset))
                    .collect();
            }
            read.chunks
        } else {
            Vec::new()
        };
        Ok(FetchPartition {
            index: target.partition,
            error_code: 0,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted_transactions: self.read_committed.then_some(aborted),
            diverging_epoch,
            preferred_read_replica: -1,
            records,
        })
    }

    /// Whether to answer now: enough bytes, an error, or nothing that could be waited for. A partition that does not exist
    /// is no reason by itself, as in Kafka: a consumer keeps it in its session until its metadata is fresh, and would
    /// otherwise ask again and again without a pause.
    fn is_enough(&self, found: &Found) -> bool {
        found.urgent || found.partitions.is_empty() || found.bytes >= self.min_bytes
    }

    async fn wait(
        self,
        mut partitions: Vec<Arc<Partition>>,
        deadline: Instant,
    ) -> FetchResponse<FileSlice> {
        loop {
            // Watched first and read then, so that nothing comes between.
            let watch = Watch::on(&partitions);
            let found = self.read();
            let deleted = found.partitions.len() < partitions.len();
            if deleted || self.is_enough(&found) {
                return self.answer(found);
            }
            let due = found.due_ms.map(fetch_wait::at_wall_ms);
            // What was found is read again later: it would hold memory and files while it waits.
            partitions = found.partitions;
            if watch.wait(deadline, due, &self.broker.shutdown).await == Woken::Over {
                let found = self.read();
                return self.answer(found);
            }
        }
    }

    fn answer(self, mut found: Found) -> FetchResponse<FileSlice> {
        let watches = &self.broker.dead_letters.watches;
        if found.gates != watches.changes() {
            // Something may be withheld now that was not when it was read.
            found = self.read();
        }
        for noted in &found.served {
            watches.note(&noted.key, &self.reader, noted.first, noted.next);
        }
        let session = match &self.mode {
            Mode::Sessionless => None,
            Mode::Incremental(session) => Some(session.clone()),
            Mode::Full { uses_ids } => self.broker.fetch_sessions.open(
                *uses_ids,
                &self.targets,
                self.broker
                    .settings
                    .current()
                    .max_incremental_fetch_session_cache_slots,
                std::time::Instant::now(),
            ),
        };
        let mut session = session.as_ref().map(|s| s.lock());
        let all = !matches!(self.mode, Mode::Incremental(_));
        let mut topics: Vec<FetchTopic<FileSlice>> = Vec::new();
        let mut last: Option<&TopicRef> = None;
        for (target, answer) in self.targets.iter().zip(found.answers) {
            let told = session.as_mut().is_none_or(|session| {
                session.must_tell(
                    target,
                    is_urgent(&answer),
                    !answer.records.is_empty(),
                    answer.high_watermark,
                    answer.log_start_offset,
                )
            });
            if !(all || told) {
                continue;
            }
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
                topic.partitions.push(answer);
            }
        }
        FetchResponse {
            throttle_time_ms: 0,
            error_code: 0,
            session_id: session.map_or(NO_SESSION, |s| s.id()),
            topics,
        }
    }
}

/// Where the log ends in the epoch that the reader last fetched, if the reader is beyond that: its log is not ours.
fn diverging_epoch(
    target: &Target,
    partition: &Partition,
) -> Result<Option<(i32, i64)>, ResponseError> {
    let epoch = target.last_fetched_epoch;
    if epoch < 0 {
        return Ok(None);
    }
    if epoch > partition.leader_epoch() {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let end = partition.log_end_offset();
    Ok((target.offset > end).then_some((epoch, end)))
}

fn is_urgent(answer: &FetchPartition<FileSlice>) -> bool {
    answer.error_code != 0 || answer.diverging_epoch.is_some()
}

/// An answer without data. As in Kafka, aborted transactions are none of a partition that does not exist, and unknown of
/// one that could not be read.
fn unread(
    index: i32,
    error: ResponseError,
    aborted_transactions: Option<Vec<(i64, i64)>>,
) -> FetchPartition<FileSlice> {
    FetchPartition {
        index,
        error_code: error.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted_transactions,
        diverging_epoch: None,
        preferred_read_replica: -1,
        records: Vec::new(),
    }
}
