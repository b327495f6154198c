//! Reading from partitions for a fetch.

use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_codec::fetch::FetchPartition;
use ottla_storage::{FileSlice, Partition, Topics};
use smallvec::SmallVec;

use crate::dead_letters::fetch::{self as gated_fetch, Noted};
use crate::dead_letters::gate::Room;
use crate::dead_letters::watch::Reader;
use crate::errors;
use crate::fetch_sessions::{Bell, Target};
use crate::state::BrokerState;

/// How a fetch reads, whatever partition it is.
pub(super) struct Reads {
    pub broker: Arc<BrokerState>,
    pub uses_ids: bool,
    pub max_bytes: usize,
    pub read_committed: bool,
    /// Who asks: some readers are watched, and some things withheld from some.
    pub reader: Reader,
}

/// What a look at partitions found.
pub(super) struct Found {
    /// One for each target, in their order.
    pub answers: Vec<Answer>,
    /// Those that exist.
    pub partitions: Vec<Arc<Partition>>,
    pub bytes: usize,
    /// Something that the reader must hear of at once.
    pub urgent: bool,
    /// What owners of partitions are served, told when it is answered.
    pub served: SmallVec<[Noted; 4]>,
    /// As gates were before it was read.
    pub gates: u64,
    /// When records of retry topics are due that are not yet, milliseconds since the Unix epoch.
    pub due_ms: Option<i64>,
}

/// What one partition is answered with.
pub(super) struct Answer {
    pub partition: FetchPartition<FileSlice>,
    /// There is such a partition.
    pub exists: bool,
    /// The reader has all that there is for it, and nothing is wrong.
    pub at_end: bool,
}

impl Answer {
    /// An error, or a log that is not the reader's.
    pub fn is_urgent(&self) -> bool {
        self.partition.error_code != 0 || self.partition.diverging_epoch.is_some()
    }
}

impl Reads {
    /// Reads from all of `targets`. What has a bell hangs it up first, so that nothing comes between.
    pub fn read<'a>(
        &self,
        targets: impl ExactSizeIterator<Item = (&'a Target, Option<&'a Arc<Bell>>)>,
    ) -> Found {
        let topics = self.broker.store.topics();
        let count = targets.len();
        self.broker.metrics.fetch_looks.add(count as u64);
        let mut found = Found {
            answers: Vec::with_capacity(count),
            partitions: Vec::with_capacity(count),
            bytes: 0,
            urgent: false,
            served: SmallVec::new(),
            gates: self.broker.dead_letters.watches.changes(),
            due_ms: None,
        };
        for (target, bell) in targets {
            let answer = match self.partition(&topics, target, bell) {
                Ok(partition) => {
                    let answer = self
                        .read_one(target, &partition, &mut found)
                        .unwrap_or_else(|error| Answer {
                            partition: unread(target.partition, error, None),
                            exists: true,
                            at_end: false,
                        });
                    found.urgent |= answer.is_urgent();
                    found.partitions.push(partition);
                    answer
                }
                Err(error) => Answer {
                    partition: unread(target.partition, error, Some(Vec::new())),
                    exists: false,
                    at_end: false,
                },
            };
            let records = &answer.partition.records;
            found.bytes += records.iter().map(|c| c.len()).sum::<usize>();
            found.answers.push(answer);
        }
        found
    }

    fn partition(
        &self,
        topics: &Topics,
        target: &Target,
        bell: Option<&Arc<Bell>>,
    ) -> Result<Arc<Partition>, ResponseError> {
        let topic = if self.uses_ids {
            topics
                .by_id(&target.topic.id)
                .ok_or(ResponseError::UnknownTopicId)?
        } else {
            topics
                .by_name(&target.topic.name)
                .ok_or(ResponseError::UnknownTopicOrPartition)?
        };
        let partition = self
            .broker
            .store
            .partition(&topic.id, target.partition)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        if let Some(bell) = bell {
            bell.hang(&partition);
            if partition.is_deleted() {
                // It may have told so before the bell hung there.
                return Err(ResponseError::UnknownTopicOrPartition);
            }
        }
        Ok(partition)
    }

    /// Reads from one partition.
    fn read_one(
        &self,
        target: &Target,
        partition: &Partition,
        found: &mut Found,
    ) -> Result<Answer, ResponseError> {
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
        let partition = FetchPartition {
            index: target.partition,
            error_code: 0,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted_transactions: self.read_committed.then_some(aborted),
            diverging_epoch,
            preferred_read_replica: -1,
            records,
        };
        Ok(Answer {
            partition,
            exists: true,
            // Beyond the high watermark it may be what is taken back.
            at_end: diverging_epoch.is_none() && (end..=high_watermark).contains(&target.offset),
        })
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
