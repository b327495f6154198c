//! Snapshots of all state, in the data directory.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ottla_storage::Store;
use ottla_storage::snapshot::{Snapshot, SnapshotError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::answer::ApiError;
use super::ask::{Body, Named};
use crate::clock::wall_ms;
use crate::dead_letters::Problem;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SaveRequest {
    name: String,
}

/// A snapshot as it is told.
#[derive(Debug, Serialize)]
struct View {
    name: String,
    /// On the broker's machine.
    path: String,
    /// Milliseconds since the Unix epoch.
    created: i64,
    topics: u64,
    partitions: u64,
    /// Bytes of record batches.
    bytes: u64,
}

impl From<Snapshot> for View {
    fn from(s: Snapshot) -> View {
        let path = s.path.canonicalize().unwrap_or(s.path);
        View {
            name: s.name,
            path: path.display().to_string(),
            created: s.created_ms,
            topics: s.topics,
            partitions: s.partitions,
            bytes: s.bytes,
        }
    }
}

/// Saves one (201).
pub(super) async fn save(
    State(shared): State<Shared>,
    Body(request): Body<SaveRequest>,
) -> Result<Response, ApiError> {
    let saved = blocking(&shared, move |store| {
        store.save_snapshot(&request.name, wall_ms())
    });
    let view = View::from(saved.await?);
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, ApiError> {
    let found = blocking(&shared, Store::snapshots).await?;
    let views: Vec<View> = found.into_iter().map(View::from).collect();
    Ok(Json(json!({"snapshots": views})))
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Named(name): Named<String>,
) -> Result<Json<Value>, ApiError> {
    let deleted = name.clone();
    blocking(&shared, move |store| store.delete_snapshot(&name)).await?;
    Ok(Json(json!({"deleted": deleted})))
}

async fn blocking<T: Send + 'static>(
    shared: &Shared,
    run: impl FnOnce(&Store) -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, ApiError> {
    let broker = Arc::clone(&shared.broker);
    let done = tokio::task::spawn_blocking(move || run(&broker.store)).await;
    done.map_err(Problem::defect)?
        .map_err(|e| problem(e).into())
}

/// In the terms of HTTP.
pub(super) fn problem(error: SnapshotError) -> Problem {
    let message = error.to_string();
    match error {
        SnapshotError::BadName { .. } => Problem::invalid("bad_name", message),
        SnapshotError::Exists { .. } => Problem::conflict("exists", message),
        SnapshotError::NotFound { .. } => Problem::not_found("unknown_snapshot", message),
        SnapshotError::DiskFull { .. } => Problem::unavailable("disk_full", message),
        SnapshotError::Store(error) => error.into(),
        SnapshotError::Damaged { .. } => Problem::unavailable("damaged", message),
        _ => Problem::unavailable("snapshot_failed", message),
    }
}
