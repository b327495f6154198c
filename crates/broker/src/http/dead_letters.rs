//! Queues: what is in them, and deleting from them. `{topic}` is always the topic whose dead letters are meant.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::answer::ApiError;
use super::ask::{Asked, Body, Named};
use super::export;
use crate::dead_letters::Selection;
use crate::dead_letters::views::{Purge, PurgeRequest, QueueDetail};

/// Records on a page if the request does not say.
const PAGE: usize = 100;
/// Records on a page at most.
const MAX_PAGE: usize = 1_000;

/// All queues.
pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, ApiError> {
    let queues = shared.queues.list().await?;
    Ok(Json(json!({"queues": queues})))
}

/// One queue.
pub(super) async fn show(
    State(shared): State<Shared>,
    Named(topic): Named<String>,
) -> Result<Json<QueueDetail>, ApiError> {
    Ok(Json(shared.queues.show(&topic).await?))
}

/// Which records to show. The fields of [`Selection`], which cannot be flattened here: numbers in a query are text.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RecordsQuery {
    partition: Option<i32>,
    offset: Option<i64>,
    from: Option<i64>,
    to: Option<i64>,
    since: Option<i64>,
    until: Option<i64>,
    group: Option<String>,
    reason: Option<String>,
    key: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A page.
    Json,
    /// All records, one a line.
    Ndjson,
}

/// Records, a page of them or all.
pub(super) async fn records(
    State(shared): State<Shared>,
    Named(topic): Named<String>,
    Asked(query): Asked<RecordsQuery>,
) -> Result<Response, ApiError> {
    let selection = Selection {
        partition: query.partition,
        offset: query.offset,
        from: query.from,
        to: query.to,
        since: query.since,
        until: query.until,
        group: query.group,
        reason: query.reason,
        key: query.key,
    };
    if query.format == Some(Format::Ndjson) {
        if query.cursor.is_some() {
            return Err(ApiError::bad_request(
                "bad_parameter",
                "format=ndjson sends all records and takes no cursor",
            ));
        }
        return export::all(shared.queues, topic, selection, query.limit).await;
    }
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::bad_request(
            "bad_parameter",
            format!("limit={limit} must be from 1 to {MAX_PAGE}; format=ndjson sends all"),
        ));
    }
    let page = shared
        .queues
        .records(&topic, selection, limit, query.cursor)
        .await?;
    Ok(Json(page).into_response())
}

/// Deletes records for good, or says which it would.
pub(super) async fn purge(
    State(shared): State<Shared>,
    Named(topic): Named<String>,
    Body(request): Body<PurgeRequest>,
) -> Result<Json<Purge>, ApiError> {
    Ok(Json(shared.queues.purge(&topic, request).await?))
}
