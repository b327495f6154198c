//! One connection: frames in, ordered replies out, bounded bytes in flight. One task serves it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use ottla_codec::api::Api;
use ottla_codec::frame::{FrameDecoder, FrameError};
use ottla_codec::header::RequestHeader;
use ottla_codec::produce_removed;
use ottla_codec::request::RequestError;
use ottla_codec::response::{Chunk, ResponseBuf};
use ottla_codec::{ResponseError, StrBytes};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::connections::{Ending, Handle};
use crate::context::{ConnectionInfo, RequestContext};
use crate::dispatch::dispatch;
use crate::handlers;
use crate::http::{self, Http};
use crate::inbound::Inbound;
use crate::log_levels;
use crate::replies::{Pending, Replies};
use crate::reply::{Outcome, WireReply};
use crate::state::BrokerState;

/// Reads in a row before the replies get their turn.
const READS_IN_A_ROW: usize = 16;
/// How long what is under way may take when the broker stops. A commit takes milliseconds;
/// a wait for data or for a rebalance ends at once.
const GRACE: Duration = Duration::from_millis(500);

/// Why a connection ends, where that is worth a line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("unknown API key {key} (version {version})")]
    UnknownApi { key: i16, version: i16 },
    #[error("{api} version {version} is not supported (client id {client_id:?})")]
    UnsupportedVersion {
        api: &'static str,
        version: i16,
        client_id: Option<StrBytes>,
    },
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Http(hyper::Error),
    #[error("HTTP on this port is off (http.port=off)")]
    HttpIsOff,
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
    #[error(
        "a frame arrived too slowly while requests on all connections use up queued.max.request.bytes"
    )]
    TooSlow,
}

impl Closed {
    /// Whether this is how connections end on any day.
    pub fn is_ordinary(&self) -> bool {
        match self {
            Closed::Io(_) | Closed::Idle | Closed::Http(_) => true,
            Closed::Frame(_)
            | Closed::Request(_)
            | Closed::UnknownApi { .. }
            | Closed::UnsupportedVersion { .. }
            | Closed::Refused(_)
            | Closed::HttpIsOff
            | Closed::TooSlow => false,
        }
    }
}

/// What a connection may hold.
#[derive(Clone)]
pub(crate) struct Limits {
    /// `socket.request.max.bytes`.
    pub max_frame: usize,
    /// Bytes in flight on this connection.
    pub in_flight: usize,
    /// Bytes in flight on all.
    pub total: Arc<Budget>,
}

/// Serves one connection until its end. One that begins with a request of HTTP is `http`'s.
pub(crate) async fn serve(
    stream: TcpStream,
    broker: Arc<BrokerState>,
    info: Arc<ConnectionInfo>,
    handle: Arc<Handle>,
    limits: Limits,
    http: Option<Http>,
) -> Result<(), Closed> {
    let mut connection = Connection {
        inbound: Inbound::new(info.id, limits.total.clone()),
        decoder: FrameDecoder::new(limits.max_frame),
        replies: Replies::new(limits.in_flight, limits.total),
        read_at: Instant::now(),
        context: RequestContext::new(broker, info),
        stream,
        handle,
    };
    match connection.run().await {
        // The frame that was refused was none: Kafka's requests pay nothing for this.
        Err(Closed::Frame(_)) if connection.speaks_http() => match http {
            Some(http) => Box::pin(connection.hand_over(http)).await,
            None => Err(Closed::HttpIsOff),
        },
        ended => ended,
    }
}

struct Connection {
    stream: TcpStream,
    inbound: Inbound,
    decoder: FrameDecoder,
    replies: Replies,
    /// When the requests that are being read arrived.
    read_at: Instant,
    /// What all requests of this connection have in common; the rest is set for each.
    context: RequestContext,
    handle: Arc<Handle>,
}

impl Connection {
    fn speaks_http(&self) -> bool {
        self.decoder.is_fresh() && http::is_http(&self.inbound.buffer)
    }

    async fn hand_over(mut self, http: Http) -> Result<(), Closed> {
        let arrived = std::mem::take(&mut self.inbound.buffer).freeze();
        self.inbound.settle();
        http::serve(self.stream, arrived, http, self.handle).await
    }

    async fn run(&mut self) -> Result<(), Closed> {
        // Some(when) once the broker stops: no more requests, what is under way gets until then.
        let mut stopping: Option<Instant> = None;
        let handle = self.handle.clone();
        let ended = handle.ended();
        tokio::pin!(ended);
        loop {
            self.replies
                .write(&self.stream, &self.context.broker.metrics)?;
            self.handle.set_busy(!self.replies.is_idle());
            if stopping.is_some() && self.replies.is_idle() {
                return Ok(());
            }
            let total = self.replies.total.clone();
            let freed = total.freed();
            let may_read = stopping.is_none() && self.may_read_more();
            let slow = self.inbound.due();
            let must_wait = stopping.is_none() && !may_read && self.replies.has_room();
            tokio::select! {
                biased;
                open = poll_fn(|cx| self.poll_progress(cx, may_read)) => if !open? {
                    return Ok(());
                },
                () = freed, if must_wait => {}
                () = until(slow), if slow.is_some() => if self.inbound.is_too_slow() {
                    return Err(Closed::TooSlow);
                },
                ending = &mut ended, if stopping.is_none() => match ending {
                    Ending::Idle => return Err(Closed::Idle),
                    Ending::Abort => return Ok(()),
                    Ending::Shutdown => stopping = Some(Instant::now() + GRACE),
                },
                () = until(stopping), if stopping.is_some() => return Ok(()),
            }
        }
    }

    /// Whether to read. Past the bound on all connections one with nothing in flight may still, so that each gets its
    /// turn; in the middle of a large frame only one at a time.
    fn may_read_more(&mut self) -> bool {
        let nothing_under_way = self.replies.in_flight == 0;
        if !self.replies.total.is_exhausted() {
            self.inbound.give_turn_back();
            return nothing_under_way || self.replies.has_room();
        }
        (nothing_under_way || (self.inbound.is_in_a_large_frame() && self.replies.has_room()))
            && self.inbound.may_read_past_the_bound()
    }

    /// Ready when replies were settled, the socket takes more of them, or requests were read. False at the end of the stream.
    fn poll_progress(
        &mut self,
        cx: &mut Context<'_>,
        may_read: bool,
    ) -> Poll<Result<bool, Closed>> {
        if let Poll::Ready(settled) = self.replies.poll_settle(cx, &self.context.broker.metrics) {
            return Poll::Ready(settled.map(|()| true).map_err(Closed::Refused));
        }
        if !self.replies.output.is_empty()
            && let Poll::Ready(writable) = self.stream.poll_write_ready(cx)
        {
            return Poll::Ready(writable.map(|()| true).map_err(Closed::from));
        }
        if may_read {
            return self.poll_read(cx);
        }
        Poll::Pending
    }

    /// Reads what has arrived and begins every whole request, or defers it. False at the end of the stream.
    ///
    /// Through `AsyncRead`, which takes a read that did not fill its buffer as a sign that the socket is empty: the next
    /// poll then waits without asking the kernel once more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Closed>> {
        let mut open = Poll::Pending;
        for _ in 0..READS_IN_A_ROW {
            // Before a buffer is made for it: every other poll is for an answer.
            match self.stream.poll_read_ready(cx) {
                Poll::Pending => break,
                Poll::Ready(ready) => ready?,
            }
            let buffer = &mut self.inbound.buffer;
            let room = self.decoder.reserve_hint(buffer).max(1);
            buffer.reserve(room);
            let room = buffer.capacity() - buffer.len();
            let read = pin!(self.stream.read_buf(buffer)).poll(cx);
            let n = match read {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    break;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e.into())),
            };
            if open.is_pending() {
                self.read_at = Instant::now();
                self.handle.active_at(self.read_at);
            }
            open = Poll::Ready(Ok(true));
            self.context.broker.metrics.bytes_in.add(n as u64);
            while let Some(frame) = self.decoder.next(&mut self.inbound.buffer)? {
                self.inbound.give_turn_back();
                self.request(frame)?;
            }
            self.inbound.settle();
            // Less than was asked for: there is no more now.
            if n < room || !self.may_read_more() {
                break;
            }
        }
        self.inbound.settle();
        open
    }

    fn request(&mut self, frame: BytesMut) -> Result<(), Closed> {
        let cost = frame.len();
        let replies = &self.replies;
        let (api, pending) = begin(&mut self.context, frame, |api| replies.may_begin(api))?;
        self.replies.push(pending, api, self.read_at, cost);
        Ok(())
    }
}

/// Begins the request in `frame`, or keeps it until those before it are answered if it may not begin. What differs between the requests of a
/// connection is set in its `context`.
pub(crate) fn begin(
    context: &mut RequestContext,
    mut frame: BytesMut,
    may_begin: impl FnOnce(Api) -> bool,
) -> Result<(Api, Pending), Closed> {
    let cost = frame.len();
    let header = RequestHeader::decode_mut(&mut frame)?;
    let api = Api::from_key(header.api_key).ok_or(Closed::UnknownApi {
        key: header.api_key,
        version: header.version,
    })?;
    let reply = match api {
        _ if api.versions().contains(&header.version) => {
            context.api = api;
            context.version = header.version;
            context.correlation_id = header.correlation_id;
            context.client_id = header.client_id;
            tracing::debug!(
                target: log_levels::REQUESTS,
                api = api.name(),
                version = header.version,
                client = %context.client_name(),
                bytes = cost,
                "request"
            );
            if !may_begin(api) {
                return Ok((api, deferred(context.clone(), frame)));
            }
            dispatch(context, frame)?
        }
        Api::ApiVersions => {
            WireReply::Now(handlers::api_versions::unsupported(header.correlation_id))
        }
        Api::Produce if (0..*Api::Produce.versions().start()).contains(&header.version) => {
            let answer = produce_removed::refuse(header.version, header.correlation_id, &frame)?;
            WireReply::Now(answer.map_or(Outcome::Nothing, |answer| {
                let chunks = vec![Chunk::Bytes(answer)];
                let error = ResponseError::UnsupportedVersion.code();
                Outcome::Send(ResponseBuf { chunks }, error)
            }))
        }
        _ => {
            return Err(Closed::UnsupportedVersion {
                api: api.name(),
                version: header.version,
                client_id: header.client_id,
            });
        }
    };
    let pending = match reply {
        WireReply::Now(outcome) => Pending::Settled(outcome),
        WireReply::WithNext(outcome, hold) => Pending::WithNext(outcome, hold),
        WireReply::Later(later) => Pending::Waiting { later, begun: true },
    };
    Ok((api, pending))
}

/// A request that begins when it is first polled.
fn deferred(context: RequestContext, frame: BytesMut) -> Pending {
    let later = Box::pin(async move {
        match dispatch(&context, frame) {
            Ok(WireReply::Now(outcome) | WireReply::WithNext(outcome, _)) => outcome,
            Ok(WireReply::Later(later)) => later.await,
            Err(error) => Outcome::Close(error.to_string()),
        }
    });
    Pending::Waiting {
        later,
        begun: false,
    }
}

/// Ends at `deadline`; never without one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
