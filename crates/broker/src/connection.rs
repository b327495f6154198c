//! One connection: frames in, ordered replies out, bounded bytes in flight. One task serves it.

use std::collections::VecDeque;
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
use crate::metrics::Metrics;
use crate::output::Output;
use crate::reply::{Later, Outcome, WireReply};
use crate::state::BrokerState;

/// Requests under way on one connection before it is not read on. Clients keep 5 to a few hundred.
const MAX_PENDING: usize = 1024;
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
        replies: Replies {
            pending: VecDeque::new(),
            waiting: 0,
            deferred: 0,
            output: Output::default(),
            in_flight: 0,
            limits,
        },
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
            let total = self.replies.limits.total.clone();
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
        if !self.replies.limits.total.is_exhausted() {
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
            return Poll::Ready(settled.map(|()| true));
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

/// Whether a request may begin behind so many that wait, so many of which have not begun. As in Kafka, it does when all before it are
/// answered: what it finds must not be older than what they tell, and clients rely on it (a Java consumer takes a ListOffsets
/// behind a waiting Fetch for the newer of the two). Produce, which tells of nothing but itself, need not wait for answers, so
/// that appends of several requests share a sync.
pub(crate) fn may_begin(api: Api, waiting: usize, deferred: usize) -> bool {
    waiting == 0 || (api == Api::Produce && deferred == 0)
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
        WireReply::Later(later) => Pending::Waiting { later, begun: true },
    };
    Ok((api, pending))
}

/// A request that begins when it is first polled.
fn deferred(context: RequestContext, frame: BytesMut) -> Pending {
    let later = Box::pin(async move {
        match dispatch(&context, frame) {
            Ok(WireReply::Now(outcome)) => outcome,
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

/// What a request has come to so far.
pub(crate) enum Pending {
    Settled(Outcome),
    Waiting {
        later: Later<Outcome>,
        /// Whether its handler has run; if not, the first poll runs it.
        begun: bool,
    },
}

/// A request under way.
struct Request {
    pending: Pending,
    api: Api,
    read_at: Instant,
    /// Its bytes.
    cost: usize,
}

/// Replies in the order of their requests, and what they hold.
struct Replies {
    pending: VecDeque<Request>,
    /// Requests in `pending` that are not settled.
    waiting: usize,
    /// Those of them that have not begun.
    deferred: usize,
    output: Output,
    /// Bytes of requests not yet answered and of answers not yet written.
    in_flight: usize,
    limits: Limits,
}

impl Replies {
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.output.is_empty()
    }

    /// Whether this connection's own bounds allow another request.
    fn has_room(&self) -> bool {
        self.in_flight < self.limits.in_flight && self.pending.len() < MAX_PENDING
    }

    fn take(&mut self, bytes: usize) {
        self.in_flight += bytes;
        self.limits.total.take(bytes);
    }

    fn release(&mut self, bytes: usize) {
        if bytes > 0 {
            self.in_flight -= bytes;
            self.limits.total.release(bytes);
        }
    }

    fn may_begin(&self, api: Api) -> bool {
        may_begin(api, self.waiting, self.deferred)
    }

    fn push(&mut self, pending: Pending, api: Api, read_at: Instant, cost: usize) {
        self.take(cost);
        if let Pending::Waiting { begun, .. } = &pending {
            self.waiting += 1;
            self.deferred += usize::from(!begun);
        }
        self.pending.push_back(Request {
            pending,
            api,
            read_at,
            cost,
        });
    }

    /// Moves the replies at the front that are ready to the output, unless that holds enough already.
    /// Ready when any was moved.
    fn poll_settle(&mut self, cx: &mut Context<'_>, metrics: &Metrics) -> Poll<Result<(), Closed>> {
        let mut now = None;
        while self.output.memory() < self.limits.in_flight {
            match self.pending.front_mut() {
                None => break,
                Some(request) => {
                    if let Pending::Waiting { later, begun } = &mut request.pending {
                        if !std::mem::replace(begun, true) {
                            self.deferred -= 1;
                        }
                        match later.as_mut().poll(cx) {
                            Poll::Ready(outcome) => request.pending = Pending::Settled(outcome),
                            Poll::Pending => break,
                        }
                        self.waiting -= 1;
                    }
                }
            }
            if let Some(Request {
                pending: Pending::Settled(outcome),
                api,
                read_at,
                cost,
            }) = self.pending.pop_front()
            {
                let now = *now.get_or_insert_with(Instant::now);
                let error = match outcome {
                    Outcome::Send(_, error) => error,
                    Outcome::Nothing | Outcome::Close(_) => 0,
                };
                metrics.answered(api, now.saturating_duration_since(read_at), error);
                match outcome {
                    Outcome::Send(response, _) => {
                        let memory = self.output.push(response, cost);
                        self.take(memory);
                    }
                    Outcome::Nothing => self.release(cost),
                    Outcome::Close(reason) => {
                        return Poll::Ready(Err(Closed::Refused(reason)));
                    }
                }
            }
        }
        if now.is_some() {
            if self.pending.is_empty() && self.pending.capacity() > 64 {
                self.pending = VecDeque::new();
            }
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn write(&mut self, stream: &TcpStream, metrics: &Metrics) -> io::Result<()> {
        if !self.output.is_empty() {
            let (sent, released) = self.output.write(stream)?;
            metrics.bytes_out.add(sent);
            self.release(released);
        }
        Ok(())
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.limits.total.release(self.in_flight);
    }
}
