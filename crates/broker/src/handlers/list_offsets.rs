//! ListOffsets: an offset by time, or one of the log's marks.

use std::collections::HashSet;

use ottla_codec::ResponseError;
use ottla_codec::messages::list_offsets_request::ListOffsetsPartition;
use ottla_codec::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_codec::messages::{ListOffsetsRequest, ListOffsetsResponse};
use ottla_storage::{Partition, TimestampOffset, Topics};

use crate::context::RequestContext;
use crate::errors;
use crate::reply::Reply;

/// The end: high watermark or last stable offset.
const LATEST: i64 = -1;
/// The log's start.
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The start of what is on local disk: all of it here (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// The end of what is in tiered storage: there is none (KIP-1005).
const LATEST_TIERED: i64 = -5;

/// The start of what is to go to tiered storage: nothing is (KIP-1023).
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// An offset that there is none of.
const NOT_FOUND: TimestampOffset = TimestampOffset {
    offset: -1,
    timestamp: -1,
    leader_epoch: -1,
};

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ListOffsetsRequest,
) -> Reply<ListOffsetsResponse> {
    let read_committed = request.isolation_level == 1;
    let topics = ctx.broker.store.topics();
    let mut seen = HashSet::new();
    let mut duplicates = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            if !seen.insert(key.clone()) {
                duplicates.insert(key);
            }
        }
    }
    let responses = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| {
                    let key = (topic.name.clone(), asked.partition_index);
                    let found = if duplicates.contains(&key) {
                        Err(ResponseError::InvalidRequest)
                    } else {
                        find(ctx, &topics, &topic.name.0, asked, read_committed)
                    };
                    answer(ctx.version, asked.partition_index, found)
                })
                .collect();
            ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        })
        .collect();
    Reply::Now(ListOffsetsResponse::default().with_topics(responses))
}

fn answer(
    version: i16,
    index: i32,
    found: Result<TimestampOffset, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let (error, at) = match found {
        Ok(at) => (0, at),
        Err(error) => (error.code(), NOT_FOUND),
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(error)
        .with_timestamp(at.timestamp)
        .with_offset(at.offset)
        // Older versions have no such field, and the encoder refuses to leave it out.
        .with_leader_epoch(if version >= 4 { at.leader_epoch } else { -1 })
}

fn find(
    ctx: &RequestContext,
    topics: &Topics,
    topic: &str,
    asked: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<TimestampOffset, ResponseError> {
    if !is_known(asked.timestamp, ctx.version) {
        return Err(ResponseError::UnsupportedVersion);
    }
    let partition = topics
        .by_name(topic)
        .and_then(|t| ctx.broker.store.partition(&t.id, asked.partition_index))
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    errors::leader_epoch(asked.current_leader_epoch, partition.leader_epoch())?;
    let end = if read_committed {
        partition.last_stable_offset()
    } else {
        partition.high_watermark()
    };
    look_up(&partition, asked.timestamp, end)
}

/// Whether `timestamp` is a time, or a mark that this version has.
fn is_known(timestamp: i64, version: i16) -> bool {
    match timestamp {
        0.. | LATEST | EARLIEST => true,
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL => version >= 8,
        LATEST_TIERED => version >= 9,
        EARLIEST_PENDING_UPLOAD => version >= 11,
        _ => false,
    }
}

fn look_up(
    partition: &Partition,
    timestamp: i64,
    end: i64,
) -> Result<TimestampOffset, ResponseError> {
    let mark = |offset| TimestampOffset {
        offset,
        timestamp: -1,
        leader_epoch: partition.leader_epoch(),
    };
    let found = match timestamp {
        LATEST => return Ok(mark(end)),
        EARLIEST | EARLIEST_LOCAL => return Ok(mark(partition.log_start_offset())),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(NOT_FOUND),
        MAX_TIMESTAMP => partition.max_timestamp(),
        time => partition.offset_for_timestamp(time),
    };
    Ok(found
        .map_err(|e| errors::read(&e))?
        .filter(|at| at.offset < end)
        .unwrap_or(NOT_FOUND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_known_from_the_version_that_brought_them() {
        for (mark, first) in [
            (LATEST, 1),
            (EARLIEST, 1),
            (MAX_TIMESTAMP, 7),
            (EARLIEST_LOCAL, 8),
            (LATEST_TIERED, 9),
            (EARLIEST_PENDING_UPLOAD, 11),
        ] {
            assert!(is_known(mark, first));
            assert!(first == 1 || !is_known(mark, first - 1));
        }
        assert!(!is_known(-7, 11));
        assert!(is_known(0, 1));
    }
}
