//! HTTP: health, metrics, and what Kafka's protocol has no requests for. docs/HTTP.md has the routes.
//!
//! One router serves the HTTP port and, on the listeners of Kafka's protocol, connections that begin with a request of HTTP.

mod answer;
mod ask;
mod config;
mod dead_letters;
mod export;
mod groups;
mod guard;
mod health;
mod lag;
pub(crate) mod listen;
mod metrics_page;
mod openapi;
mod redrives;
mod reset;
mod serve;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post};
use tokio::sync::Semaphore;

use answer::ApiError;
pub(crate) use serve::{is_http, serve};

use crate::connections::Connections;
use crate::dead_letters::Queues;
use crate::state::BrokerState;

/// The largest body of a request.
const MAX_BODY: usize = 4 << 20;
/// Requests with a body at a time, over all connections; further ones wait.
const BODIES_AT_A_TIME: usize = 16;
/// How long an answer may take to begin. Longer than the longest `wait_ms`.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The service, for any number of connections.
#[derive(Clone)]
pub(crate) struct Http {
    router: Router,
}

/// What all requests share.
#[derive(Clone)]
struct Shared {
    broker: Arc<BrokerState>,
    queues: Queues,
    connections: Arc<Connections>,
    /// Names of this host that a request may be for, beside those that nobody else can own.
    allowed_hosts: Arc<[String]>,
    bodies: Arc<Semaphore>,
}

impl Http {
    /// The service over a broker. `allowed_hosts` is the setting `http.allowed.hosts`.
    pub fn new(
        broker: Arc<BrokerState>,
        connections: Arc<Connections>,
        allowed_hosts: &[String],
    ) -> Http {
        let advertised = broker.cluster.advertised.iter().map(|a| a.host.to_string());
        let allowed_hosts = advertised.chain(allowed_hosts.iter().cloned()).collect();
        let shared = Shared {
            queues: Queues::new(broker.clone()),
            broker,
            connections,
            allowed_hosts,
            bodies: Arc::new(Semaphore::new(BODIES_AT_A_TIME)),
        };
        Http {
            router: router(shared),
        }
    }

    /// What a connection that sends `bytes` and no more gets.
    pub async fn answer(self, bytes: &[u8]) -> Bytes {
        serve::answer(bytes, self).await
    }
}

/// A route. A test holds all of them against the description in openapi.json.
struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler has it, too"))]
    method: Method,
    path: &'static str,
    handler: MethodRouter<Shared>,
}

fn route(method: Method, path: &'static str, handler: MethodRouter<Shared>) -> Route {
    Route {
        method,
        path,
        handler,
    }
}

fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/healthz", get(health::healthz)),
        route(Method::GET, "/readyz", get(health::readyz)),
        route(Method::GET, "/metrics", get(metrics_page::metrics)),
        route(Method::GET, "/openapi.json", get(openapi::description)),
        route(Method::GET, "/v1/dlq", get(dead_letters::list)),
        route(Method::GET, "/v1/dlq/{topic}", get(dead_letters::show)),
        route(
            Method::GET,
            "/v1/dlq/{topic}/records",
            get(dead_letters::records),
        ),
        route(
            Method::POST,
            "/v1/dlq/{topic}/redrive",
            post(redrives::start),
        ),
        route(
            Method::POST,
            "/v1/dlq/{topic}/purge",
            post(dead_letters::purge),
        ),
        route(Method::GET, "/v1/redrives", get(redrives::list)),
        route(Method::GET, "/v1/redrives/{id}", get(redrives::status)),
        route(
            Method::POST,
            "/v1/redrives/{id}/pause",
            post(redrives::pause),
        ),
        route(
            Method::POST,
            "/v1/redrives/{id}/resume",
            post(redrives::resume),
        ),
        route(
            Method::POST,
            "/v1/redrives/{id}/cancel",
            post(redrives::cancel),
        ),
        route(Method::GET, "/v1/suspects", get(groups::suspects)),
        route(Method::POST, "/v1/groups/{group}/nack", post(groups::nack)),
        route(Method::GET, "/v1/dlq-config", get(config::show)),
        route(Method::PATCH, "/v1/dlq-config", patch(config::change)),
        route(Method::GET, "/v1/snapshots", get(snapshots::list)),
        route(Method::POST, "/v1/snapshots", post(snapshots::save)),
        route(
            Method::DELETE,
            "/v1/snapshots/{name}",
            delete(snapshots::delete),
        ),
        route(Method::POST, "/v1/reset", post(reset::run)),
    ]
}

fn router(shared: Shared) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, r| router.route(r.path, r.handler))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(shared.clone(), bounded))
        .layer(middleware::from_fn_with_state(shared.clone(), guard::check))
        .with_state(shared)
}

/// Bounds what requests hold and how long they take.
async fn bounded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    shared.broker.metrics.http_requests.add(1);
    let answer = async {
        // Bodies are read by the handler; only so many are in memory.
        let _permit = match request.method().is_safe() {
            true => None,
            false => shared.bodies.acquire().await.ok(),
        };
        next.run(request).await
    };
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the request took longer than {} s", TIMEOUT.as_secs()),
        )
        .into_response(),
    }
}

async fn no_route(request: Request) -> ApiError {
    ApiError::not_found(
        "no_such_route",
        format!(
            "there is no {}: /openapi.json lists the routes",
            request.uri().path()
        ),
    )
}

async fn no_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        format!(
            "{} does not take {}: /openapi.json lists the routes",
            request.uri().path(),
            request.method()
        ),
    )
}
