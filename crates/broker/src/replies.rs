//! The replies of one connection: in the order of their requests, bounded, several in one write.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_codec::api::Api;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::budget::Budget;
use crate::metrics::Metrics;
use crate::output::Output;
use crate::reply::{Later, Outcome};

/// Requests under way on one connection before it is not read on. Clients keep 5 to a few hundred.
const MAX_PENDING: usize = 1024;

/// Whether a request may begin behind so many that wait, so many of which have not begun. As in Kafka, it does when all before it are
/// answered: what it finds must not be older than what they tell, and clients rely on it (a Java consumer takes a ListOffsets
/// behind a waiting Fetch for the newer of the two). Produce, which tells of nothing but itself, need not wait for answers, so
/// that appends of several requests share a sync.
pub(crate) fn may_begin(api: Api, waiting: usize, deferred: usize) -> bool {
    waiting == 0 || (api == Api::Produce && deferred == 0)
}

/// What a request has come to so far.
pub(crate) enum Pending {
    Settled(Outcome),
    /// Settled, and best sent with the next one, if that is there in this time.
    WithNext(Outcome, Duration),
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
pub(crate) struct Replies {
    pending: VecDeque<Request>,
    /// Requests in `pending` that are not settled.
    waiting: usize,
    /// Those of them that have not begun.
    deferred: usize,
    /// The answer at the front is ready and waits for the next one, until then.
    held: Option<Pin<Box<Sleep>>>,
    pub output: Output,
    /// Bytes of requests not yet answered and of answers not yet written.
    pub in_flight: usize,
    /// How many there may be.
    max_in_flight: usize,
    /// Those of all connections.
    pub total: Arc<Budget>,
}

impl Replies {
    /// None yet. `max_in_flight` bytes of requests and answers fill it.
    pub fn new(max_in_flight: usize, total: Arc<Budget>) -> Replies {
        Replies {
            pending: VecDeque::new(),
            waiting: 0,
            deferred: 0,
            held: None,
            output: Output::default(),
            in_flight: 0,
            max_in_flight,
            total,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.output.is_empty()
    }

    /// Whether this connection's own bounds allow another request.
    pub fn has_room(&self) -> bool {
        self.in_flight < self.max_in_flight && self.pending.len() < MAX_PENDING
    }

    fn take(&mut self, bytes: usize) {
        self.in_flight += bytes;
        self.total.take(bytes);
    }

    fn release(&mut self, bytes: usize) {
        if bytes > 0 {
            self.in_flight -= bytes;
            self.total.release(bytes);
        }
    }

    pub fn may_begin(&self, api: Api) -> bool {
        may_begin(api, self.waiting, self.deferred)
    }

    pub fn push(&mut self, pending: Pending, api: Api, read_at: Instant, cost: usize) {
        self.take(cost);
        let pending = match pending {
            Pending::WithNext(outcome, hold) => {
                if self.pending.is_empty() {
                    self.held = Some(Box::pin(tokio::time::sleep(hold)));
                }
                Pending::Settled(outcome)
            }
            other => other,
        };
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

    /// Whether the reply at the front is ready and may leave.
    fn is_front_due(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(mut until) = self.held.take()
            && !self.is_ready(1, cx)
            && until.as_mut().poll(cx).is_pending()
        {
            self.held = Some(until);
            return false;
        }
        self.is_ready(0, cx)
    }

    /// Whether the reply at `index` is there and ready. All before it must be.
    fn is_ready(&mut self, index: usize, cx: &mut Context<'_>) -> bool {
        let Some(request) = self.pending.get_mut(index) else {
            return false;
        };
        if let Pending::Waiting { later, begun } = &mut request.pending {
            if !std::mem::replace(begun, true) {
                self.deferred -= 1;
            }
            let Poll::Ready(outcome) = later.as_mut().poll(cx) else {
                return false;
            };
            request.pending = Pending::Settled(outcome);
            self.waiting -= 1;
        }
        true
    }

    /// Moves the replies at the front that are ready to the output, unless that holds enough already.
    /// Ready when any was moved.
    pub fn poll_settle(
        &mut self,
        cx: &mut Context<'_>,
        metrics: &Metrics,
    ) -> Poll<Result<(), String>> {
        let mut now = None;
        while self.output.memory() < self.max_in_flight {
            if !self.is_front_due(cx) {
                break;
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
                        return Poll::Ready(Err(reason));
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

    pub fn write(&mut self, stream: &TcpStream, metrics: &Metrics) -> io::Result<()> {
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
        self.total.release(self.in_flight);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use ottla_codec::response::{Chunk, ResponseBuf};
    use tokio::sync::oneshot;

    use super::*;

    /// Replies of one connection, and what has left.
    struct Sent(Replies, Metrics);

    impl Sent {
        fn new() -> Sent {
            let total = Arc::new(Budget::new(1 << 20));
            Sent(Replies::new(1 << 20, total), Metrics::default())
        }

        fn push(&mut self, pending: Pending) {
            self.0.push(pending, Api::Metadata, Instant::now(), 10);
        }

        /// How many requests are left once all has been sent that may be.
        fn left(&mut self) -> usize {
            let Sent(replies, metrics) = self;
            let settled = poll_fn(|cx| replies.poll_settle(cx, metrics)).now_or_never();
            assert!(settled.is_none_or(|settled| settled.is_ok()));
            self.0.pending.len()
        }
    }

    fn answer() -> Outcome {
        let chunks = vec![Chunk::Bytes(Bytes::from_static(b"answer"))];
        Outcome::Send(ResponseBuf { chunks }, 0)
    }

    fn waiting() -> (oneshot::Sender<()>, Pending) {
        let (ready, wait) = oneshot::channel::<()>();
        let later = Box::pin(async move {
            wait.await.unwrap();
            answer()
        });
        let begun = true;
        (ready, Pending::Waiting { later, begun })
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn an_answer_that_is_best_sent_with_the_next_one_waits_until_that_is_ready() {
        let mut sent = Sent::new();
        sent.push(Pending::WithNext(answer(), HOUR));
        assert_eq!(sent.left(), 1);
        let (ready, next) = waiting();
        sent.push(next);
        assert_eq!(sent.left(), 2);
        ready.send(()).unwrap();
        assert_eq!(sent.left(), 0);
        // What comes later is sent at once.
        sent.push(Pending::Settled(answer()));
        assert_eq!(sent.left(), 0);
    }

    #[tokio::test]
    async fn it_waits_no_longer_than_its_time_for_a_request_or_for_an_answer() {
        let mut sent = Sent::new();
        sent.push(Pending::WithNext(answer(), Duration::from_millis(1)));
        let Sent(replies, metrics) = &mut sent;
        poll_fn(|cx| replies.poll_settle(cx, metrics))
            .await
            .unwrap();
        assert_eq!(sent.left(), 0);

        sent.push(Pending::WithNext(answer(), Duration::from_millis(1)));
        let (ready, next) = waiting();
        sent.push(next);
        let Sent(replies, metrics) = &mut sent;
        poll_fn(|cx| replies.poll_settle(cx, metrics))
            .await
            .unwrap();
        assert_eq!(sent.left(), 1);
        ready.send(()).unwrap();
        assert_eq!(sent.left(), 0);
    }

    #[tokio::test]
    async fn behind_another_answer_it_waits_for_none() {
        let mut sent = Sent::new();
        let (ready, first) = waiting();
        sent.push(first);
        sent.push(Pending::WithNext(answer(), HOUR));
        assert_eq!(sent.left(), 2);
        ready.send(()).unwrap();
        assert_eq!(sent.left(), 0);
    }
}
