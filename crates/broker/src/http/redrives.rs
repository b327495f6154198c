//! Moving dead letters back.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::answer::ApiError;
use super::ask::{Asked, Body, Named};
use crate::dead_letters::views::{Redrive, RedriveRequest, TaskView};

/// The longest `wait_ms`.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Starts a redrive (201), or says what it would do (200).
pub(super) async fn start(
    State(shared): State<Shared>,
    Named(topic): Named<String>,
    Body(request): Body<RedriveRequest>,
) -> Result<Response, ApiError> {
    let came = shared.queues.redrive(&topic, request).await?;
    Ok(match &came {
        Redrive::Started(task) => {
            let location = [(LOCATION, format!("/v1/redrives/{}", task.id))];
            (StatusCode::CREATED, location, Json(came)).into_response()
        }
        Redrive::DryRun(_) => Json(came).into_response(),
    })
}

/// All that run, are paused, or ended lately.
pub(super) async fn list(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"redrives": shared.queues.redrives()}))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StatusQuery {
    wait_ms: u64,
}

/// One; with `wait_ms` it is answered when the redrive stops running, or that time is over, or the broker stops.
pub(super) async fn status(
    State(shared): State<Shared>,
    Named(id): Named<u64>,
    Asked(query): Asked<StatusQuery>,
) -> Result<Json<TaskView>, ApiError> {
    let wait = Duration::from_millis(query.wait_ms).min(MAX_WAIT);
    let waited = tokio::select! {
        waited = shared.queues.redrive_status(id, wait) => Some(waited),
        () = shared.broker.shutdown.cancelled() => None,
    };
    let task = match waited {
        Some(task) => task?,
        None => shared.queues.redrive_status(id, Duration::ZERO).await?,
    };
    Ok(Json(task))
}

pub(super) async fn pause(
    State(shared): State<Shared>,
    Named(id): Named<u64>,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(shared.queues.pause(id).await?))
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    Named(id): Named<u64>,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(shared.queues.resume(id).await?))
}

pub(super) async fn cancel(
    State(shared): State<Shared>,
    Named(id): Named<u64>,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(shared.queues.cancel(id).await?))
}
