//! What groups fail on, and saying that one did.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ottla_dlq::engine::{DeathView, GroupView, SuspectState, SuspectView};
use ottla_dlq::marker::Marker;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::answer::ApiError;
use super::ask::{Asked, Body, Named};
use crate::dead_letters::nack::{NackError, NackRequest, Nacked};

/// Who nacked, as the copy's header tells it.
const CLIENT: &str = "http";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SuspectsQuery {
    group: Option<String>,
    topic: Option<String>,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    group: &'a str,
    breaker: Option<Breaker<'a>>,
    suspects: Vec<Suspect<'a>>,
}

#[derive(Debug, Serialize)]
struct Breaker<'a> {
    since: i64,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct Suspect<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    attempts: u32,
    state: &'static str,
    reason: &'a str,
    deaths: Vec<Death<'a>>,
}

#[derive(Debug, Serialize)]
struct Death<'a> {
    member: &'a str,
    client: &'a str,
    how: &'a str,
    at: i64,
    served_until: i64,
}

/// What groups fail on.
pub(super) async fn suspects(
    State(shared): State<Shared>,
    Asked(query): Asked<SuspectsQuery>,
) -> Json<Value> {
    let views = shared
        .broker
        .groups
        .dead_letter_views(query.group.as_deref());
    let groups: Vec<Group<'_>> = views
        .iter()
        .map(|view| group(view, query.topic.as_deref()))
        .filter(|group| !group.suspects.is_empty() || group.breaker.is_some())
        .collect();
    Json(json!({"groups": groups}))
}

fn group<'a>(view: &'a GroupView, topic: Option<&str>) -> Group<'a> {
    let meant = |suspect: &&SuspectView| topic.is_none_or(|topic| suspect.at.topic == topic);
    Group {
        group: &view.group,
        breaker: view.breaker.as_ref().map(|(since, reason)| Breaker {
            since: *since,
            reason,
        }),
        suspects: view.suspects.iter().filter(meant).map(suspect).collect(),
    }
}

fn suspect(view: &SuspectView) -> Suspect<'_> {
    Suspect {
        topic: &view.at.topic,
        partition: view.at.partition,
        offset: view.offset,
        attempts: view.attempts,
        state: state_name(view.state),
        reason: &view.reason,
        deaths: view.deaths.iter().map(death).collect(),
    }
}

fn death(view: &DeathView) -> Death<'_> {
    Death {
        member: &view.member_id,
        client: &view.client,
        how: &view.how,
        at: view.at_ms,
        served_until: view.served_until,
    }
}

/// As JSON and the metrics have it.
pub(super) fn state_name(state: SuspectState) -> &'static str {
    match state {
        SuspectState::Counting => "counting",
        SuspectState::WaitsForRetry => "waits_for_retry",
        SuspectState::Reported => "reported",
        SuspectState::Isolating => "isolating",
        SuspectState::Condemned => "condemned",
        SuspectState::Moving => "moving",
        SuspectState::CannotMove => "cannot_move",
        SuspectState::Ambiguous => "ambiguous",
        SuspectState::BreakerOpen => "breaker_open",
    }
}

/// Which record failed. All but the reason and the order to reject must be said.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NackBody {
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    reason: String,
    reject: bool,
}

/// Counts a failure, or dead-letters the record.
pub(super) async fn nack(
    State(shared): State<Shared>,
    Named(group): Named<String>,
    Body(body): Body<NackBody>,
) -> Result<Json<Value>, ApiError> {
    let (Some(topic), Some(partition), Some(offset)) = (body.topic, body.partition, body.offset)
    else {
        return Err(ApiError::bad_request(
            "bad_body",
            "say which record failed: topic, partition and offset",
        ));
    };
    let reason = body.reason.trim().to_owned();
    let request = NackRequest {
        group,
        topic,
        partition,
        offset,
        marker: match body.reject {
            true => Marker::Dead(reason),
            false => Marker::Nack(reason),
        },
        client: CLIENT.to_owned(),
    };
    let nacked = shared.broker.groups.nack(request).await.map_err(refused)?;
    Ok(Json(match nacked {
        Nacked::Moved => json!({"moved": true, "attempts": null}),
        Nacked::Stays(attempts) => json!({"moved": false, "attempts": attempts}),
    }))
}

fn refused(error: NackError) -> ApiError {
    let (status, code) = match &error {
        NackError::NoGroup(_) => (StatusCode::NOT_FOUND, "no_such_group"),
        NackError::NoPartition(..) => (StatusCode::NOT_FOUND, "no_such_partition"),
        NackError::IsQueue(_) => (StatusCode::BAD_REQUEST, "is_a_queue"),
        NackError::Off => (StatusCode::CONFLICT, "off"),
        NackError::OutOfRange { .. } => (StatusCode::CONFLICT, "out_of_range"),
        NackError::HasMembers { .. } => (StatusCode::CONFLICT, "has_members"),
        NackError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    ApiError::new(status, code, error.to_string())
}
