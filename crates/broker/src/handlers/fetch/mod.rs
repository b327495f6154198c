//! Fetch: reads from the partitions of the request or its session, waits for data if asked to.

mod look;
mod read;

use std::time::Duration;

use ottla_codec::ResponseError;
use ottla_codec::fetch::FetchResponse;
use ottla_codec::messages::FetchRequest;
use ottla_storage::FileSlice;
use tokio::time::Instant;

use crate::context::RequestContext;
use crate::dead_letters::watch::Reader;
use crate::fetch_sessions::{FINAL_EPOCH, NO_SESSION, SessionRequest, Target, TopicRef};
use crate::reply::Reply;
use look::Fetch;
use read::Reads;

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
    let mode = match begun {
        Ok(mode) => mode,
        Err(error) => return Reply::Now(refusal(error)),
    };
    let fetch = Fetch {
        mode,
        min_bytes,
        reads: Reads {
            broker: ctx.broker.clone(),
            uses_ids: ctx.version >= FIRST_WITH_IDS,
            max_bytes,
            read_committed,
            reader: Reader {
                connection: ctx.connection.clone(),
                client_id: ctx.client_id.clone(),
            },
        },
    };
    let look = fetch.look();
    if max_wait.is_zero() || fetch.is_enough(&look) {
        return Reply::Now(fetch.answer(look));
    }
    Reply::later(fetch.wait(look, deadline))
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
