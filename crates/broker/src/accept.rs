//! The accept loop of one listener, and what surrounds a connection's task: limits, log lines, panics.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, error, info, warn};

use crate::connection::{Closed, Limits, serve};
use crate::connections::Connections;
use crate::context::ConnectionInfo;
use crate::http::{self, Http};
use crate::state::BrokerState;

/// Pause after an accept failed for lack of descriptors or memory: it would fail again at once, and spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every connection of the broker gets.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub broker: Arc<BrokerState>,
    pub connections: Arc<Connections>,
    pub limits: Limits,
    /// For connections that begin with a request of HTTP; `None`: they are closed.
    pub http: Option<Http>,
}

/// What the peers of a listener speak first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// Kafka's protocol, or HTTP.
    Kafka,
    /// HTTP.
    Http,
}

impl Acceptor {
    /// Accepts connections of `listener` until the broker stops. The system keeps those that come before the broker is open;
    /// the port of HTTP, which says so, is open from the start.
    pub async fn run(self, name: Arc<str>, listener: TcpListener, speaks: Speaks) {
        let shutdown = self.broker.shutdown.clone();
        if speaks == Speaks::Kafka {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.broker.open.cancelled() => {}
            }
        }
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(&name, stream, peer, speaks),
                // The peer went away before it was accepted.
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) => {}
                Err(e) => {
                    warn!("cannot accept connections on {name}: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, name: &Arc<str>, stream: TcpStream, peer: SocketAddr, speaks: Speaks) {
        let settings = self.broker.settings.current();
        let admitted = self.connections.admit(
            peer.ip(),
            settings.max_connections,
            settings.max_connections_per_ip,
        );
        let place = match admitted {
            Ok(place) => place,
            Err(refused) => {
                self.broker.metrics.connections_refused.add(1);
                info!("closing connection from {peer}: {refused}");
                return;
            }
        };
        self.broker.metrics.connections.add(1);
        if let Err(e) = stream.set_nodelay(true) {
            debug!("cannot set TCP_NODELAY for {peer}: {e}");
        }
        let info = Arc::new(ConnectionInfo::new(place.handle.id, peer, name.clone()));
        let (broker, limits, id) = (self.broker.clone(), self.limits.clone(), info.id);
        let state = broker.clone();
        let (http, handle) = (self.http.clone(), place.handle.clone());
        tokio::spawn(async move {
            let served = match (speaks, http) {
                (Speaks::Http, Some(http)) => {
                    guarded(http::serve(stream, Bytes::new(), http, handle)).await
                }
                (_, http) => guarded(serve(stream, broker, info, handle, limits, http)).await,
            };
            match served {
                Ok(Ok(())) => {}
                Ok(Err(closed)) if closed.is_ordinary() => {
                    debug!("connection {id} from {peer} ended: {closed}");
                }
                Ok(Err(closed)) => info!("closing connection {id} from {peer}: {closed}"),
                Err(panic) => error!(
                    "closing connection {id} from {peer}: a request caused a panic, which is a defect: {panic}"
                ),
            }
            state.client_telemetry.disconnected(id);
            drop(place);
        });
    }
}

/// Runs `future`; a panic in it becomes a value, with its message.
async fn guarded(
    future: impl Future<Output = Result<(), Closed>>,
) -> Result<Result<(), Closed>, String> {
    let mut future = Box::pin(future);
    poll_fn(
        move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(message(&*panic))),
        },
    )
    .await
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_with_its_message() {
        let result = guarded(async {
            tokio::task::yield_now().await;
            panic!("offset {} is wrong", 7)
        })
        .await;
        assert_eq!(result.err().as_deref(), Some("offset 7 is wrong"));
    }
}
