//! What a handler answers with.

use std::future::Future;
use std::pin::Pin;

/// A future that a connection holds until it is this reply's turn. It is first polled then:
/// whatever must happen in request order has happened before it is made, deadlines included.
pub(crate) type Later<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// A handler's answer.
pub(crate) enum Reply<R> {
    /// Ready.
    Now(R),
    /// When something is durable, or there is data, or a group has settled.
    Later(Later<R>),
    /// None at all (acks=0).
    #[expect(dead_code, reason = "constructed by produce")]
    Nothing,
}

impl<R> Reply<R> {
    /// An answer that waits.
    pub fn later(future: impl Future<Output = R> + Send + 'static) -> Reply<R> {
        Reply::Later(Box::pin(future))
    }
}
