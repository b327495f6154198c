//! Taking all topics and groups away.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Shared;
use super::answer::ApiError;
use super::ask::Body;
use crate::reset::{self, Done, Scope};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Request {
    scope: Scope,
}

pub(super) async fn run(
    State(shared): State<Shared>,
    Body(request): Body<Request>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(reset::run(&shared.broker, request.scope).await?))
}
