//! `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;
use super::answer::ApiError;

/// 200 while records are taken and kept; 503 with the reason otherwise (disk full, failed sync).
pub(super) async fn healthz(State(shared): State<Shared>) -> Response {
    match shared.broker.store.write_trouble() {
        None => ok(),
        Some(trouble) => {
            ApiError::unavailable(format!("writes are refused: {trouble}")).into_response()
        }
    }
}

/// 200 while clients are served: from when the first topics are made, the data being recovered before the port opens, until
/// the broker stops.
pub(super) async fn readyz(State(shared): State<Shared>) -> Response {
    if shared.broker.shutdown.is_cancelled() {
        return ApiError::unavailable("the broker is stopping").into_response();
    }
    match shared.broker.open.is_cancelled() {
        true => ok(),
        false => ApiError::unavailable("the first topics are being made").into_response(),
    }
}

fn ok() -> Response {
    Json(json!({"status": "ok"})).into_response()
}
