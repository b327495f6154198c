//! One connection that speaks HTTP: on the HTTP port, or on a listener of Kafka's protocol.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Http;
use crate::connection::{Closed, until};
use crate::connections::{Ending, Handle};

/// How long a peer may take for the head of a request, and how long it may keep a connection open without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// What is buffered of a request's head, or of a body that is being read.
const BUFFER: usize = 64 * 1024;
/// How long requests under way may take when the broker stops.
const GRACE: Duration = Duration::from_millis(500);

/// What a request to a listener of Kafka's protocol begins with if it is one of HTTP. As a frame's length it is above a
/// billion, so this is asked only of frames that are refused.
pub(crate) fn is_http(first_bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] = [
        b"GET ", b"HEAD", b"POST", b"PUT ", b"PATC", b"DELE", b"OPTI",
    ];
    METHODS.iter().any(|method| first_bytes.starts_with(method))
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER);
    protocol
}

/// Serves a connection that sends `bytes`, ends its side, and is never full; what it gets.
pub(super) async fn answer(bytes: &[u8], http: Http) -> Bytes {
    let said = tokio::io::join(bytes, std::io::Cursor::new(Vec::new()));
    let service = TowerToHyperService::new(http.router);
    let connection = protocol().serve_connection(TokioIo::new(said), service);
    // What it got until it was refused is what it got.
    match connection.without_shutdown().await {
        Ok(parts) => parts.io.into_inner().into_inner().1.into_inner().into(),
        Err(_) => Bytes::new(),
    }
}

/// Serves one connection until its end. `arrived` is what was read of it already.
pub(crate) async fn serve(
    stream: TcpStream,
    arrived: Bytes,
    http: Http,
    handle: Arc<Handle>,
) -> Result<(), Closed> {
    let peer = Peer {
        stream,
        arrived,
        handle: handle.clone(),
    };
    let service = TowerToHyperService::new(http.router);
    let connection = protocol().serve_connection(TokioIo::new(peer), service);
    let mut connection = pin!(connection);
    let mut ended = pin!(handle.ended());
    let mut stopping: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            done = connection.as_mut() => return done.map_err(Closed::Http),
            ending = &mut ended, if stopping.is_none() => match ending {
                Ending::Idle => return Err(Closed::Idle),
                Ending::Abort => return Ok(()),
                Ending::Shutdown => {
                    connection.as_mut().graceful_shutdown();
                    stopping = Some(Instant::now() + GRACE);
                }
            },
            () = until(stopping), if stopping.is_some() => return Ok(()),
        }
    }
}

/// The socket, and before it what was read of it already. Progress in either direction counts as activity: who neither sends
/// nor reads for `connections.max.idle.ms` is closed.
struct Peer {
    stream: TcpStream,
    arrived: Bytes,
    handle: Arc<Handle>,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.handle.active();
        if !self.arrived.is_empty() {
            let n = self.arrived.len().min(buf.remaining());
            buf.put_slice(&self.arrived[..n]);
            self.arrived.advance(n);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if written.is_ready() {
            self.handle.active();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if written.is_ready() {
            self.handle.active();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_http_are_told_from_frames_and_would_be_frames_beyond_any_usual_limit() {
        for line in [
            "GET / HTTP/1.1",
            "HEAD /",
            "POST /v1",
            "PUT /",
            "PATCH /",
            "DELETE /",
            "OPTIONS *",
        ] {
            assert!(is_http(line.as_bytes()), "{line}");
            let length = u32::from_be_bytes(*line.as_bytes().first_chunk().unwrap());
            assert!(length > 1 << 30, "{line}: {length}");
        }
        // TLS, a frame, SSH, half of a method.
        for other in [&b"\x16\x03\x01\x02"[..], &[0, 0, 0, 30], b"SSH-2.0", b"GE"] {
            assert!(!is_http(other), "{other:?}");
        }
    }
}
