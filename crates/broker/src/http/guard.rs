//! Who may ask. HTTP here has no users; it is as open as the listeners of Kafka's protocol. But a browser is a way in
//! from other web pages, so requests that a page of another site caused are refused:
//!
//! - an `Origin` that is not this host (a page that calls across sites),
//! - a `Host` that is a name of somebody else's (DNS rebinding: a page whose name resolves to this machine).

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::answer::ApiError;

/// Lets a request through, or refuses it with 403.
pub(super) async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match refusal(request.headers(), &shared.allowed_hosts) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(headers: &HeaderMap, allowed: &[String]) -> Option<ApiError> {
    let forbidden = |code, message| Some(ApiError::new(StatusCode::FORBIDDEN, code, message));
    let host = match headers.get(HOST).map(|host| host.to_str()) {
        // A browser always says it.
        None => "",
        Some(Ok(host)) => host,
        Some(Err(_)) => return forbidden("host", "the Host header is not text".to_owned()),
    };
    let name = without_port(host);
    if !is_ours(name, allowed) {
        return forbidden(
            "host",
            format!(
                "requests for {name} are refused: if that is this broker, add the name to http.allowed.hosts"
            ),
        );
    }
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or("null");
    if origin.split_once("://").map(|(_, rest)| rest) == Some(host) {
        return None;
    }
    forbidden(
        "origin",
        format!("requests from pages of {origin} are refused"),
    )
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.split(':').next().unwrap_or(host)
}

/// Addresses, and names that nobody outside can own: `localhost`, names without a dot, names of local zones.
fn is_ours(name: &str, allowed: &[String]) -> bool {
    const LOCAL: [&str; 5] = [".localhost", ".local", ".internal", ".svc", ".home.arpa"];
    let name = name.trim_end_matches('.');
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok()
        || !name.contains('.')
        || LOCAL.iter().any(|zone| ends_with(name, zone))
        || allowed.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn ends_with(name: &str, zone: &str) -> bool {
    let at = name.len().saturating_sub(zone.len());
    name.get(at..)
        .is_some_and(|end| end.eq_ignore_ascii_case(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(host: Option<&str>, origin: Option<&str>) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(HOST, host.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        refusal(&headers, &["Broker.example".to_owned()]).map(|e| e.code)
    }

    #[test]
    fn tools_are_let_in_by_any_name_that_is_ours() {
        for host in [
            "127.0.0.1:9644",
            "[::1]:9644",
            "localhost:9092",
            "LOCALHOST",
            "ottla:9644",
            "ottla.default.svc.cluster.local:9644",
            "host.docker.internal:9644",
            "broker.example:9644",
            "10.1.2.3",
        ] {
            assert_eq!(code(Some(host), None), None, "{host}");
        }
        assert_eq!(code(None, None), None);
    }

    #[test]
    fn a_name_of_somebody_elses_is_refused() {
        for host in [
            "evil.example:9644",
            "127.0.0.1.evil.example",
            "a.localhost.evil.example",
        ] {
            assert_eq!(code(Some(host), None), Some("host"), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_one_of_this_host_is_not() {
        let ask = |origin| code(Some("localhost:9644"), Some(origin));
        assert_eq!(ask("http://localhost:9644"), None);
        for origin in [
            "http://localhost:3000",
            "https://evil.example",
            "null",
            "http://localhost:9644.evil.example",
        ] {
            assert_eq!(ask(origin), Some("origin"), "{origin}");
        }
    }
}
