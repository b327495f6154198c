//! What listens where Redpanda has a schema registry and an HTTP proxy: some wait for these ports before they use the broker.
//! It answers all requests with 404 and says that there is none.

use std::net::TcpListener;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::address::Address;

/// Listens at `address` for as long as the process runs. `what` is what is missing there.
pub(super) fn answer_that_there_is_no(what: &'static str, address: &Address) -> anyhow::Result<()> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let listener = TcpListener::bind((host, address.port))
        .with_context(|| format!("cannot listen on {host}:{} for the {what}", address.port))?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(format!("no {what}"))
        .spawn(move || {
            if let Err(error) = runtime.block_on(serve(listener, what)) {
                tracing::warn!("nothing listens for the {what} any more: {error}");
            }
        })?;
    Ok(())
}

async fn serve(listener: TcpListener, what: &'static str) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = service_fn(move |_| async move { not_here(what) });
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer),
        );
    }
}

fn not_here(what: &str) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let body = serde_json::json!({ "error_code": 404, "message": format!("Ottla has no {what}") });
    Response::builder()
        .status(StatusCode::NOT_FOUND)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
}
