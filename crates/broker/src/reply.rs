//! What a handler answers with, and what becomes of it on the wire.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ottla_codec::response::ResponseBuf;
use ottla_storage::FileSlice;

/// A future that a connection holds until it is this reply's turn. It is first polled then:
/// whatever must happen in request order has happened before it is made, deadlines included.
pub(crate) type Later<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// A handler's answer.
pub(crate) enum Reply<R> {
    /// Ready.
    Now(R),
    /// Ready, and best told together with the answer to the next request on the connection, if that is there in this time.
    WithNext(R, Duration),
    /// When something is durable, or there is data, or a group has settled.
    Later(Later<R>),
    /// No answer (acks=0). The connection holds the request as under way until the future ends; an error,
    /// which the client has no other way to learn of, closes the connection with this reason.
    Silent(Later<Result<(), String>>),
}

impl<R> Reply<R> {
    /// An answer that waits.
    pub fn later(future: impl Future<Output = R> + Send + 'static) -> Reply<R> {
        Reply::Later(Box::pin(future))
    }
}

/// What a request comes to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A response to be sent, and the first error code in it, 0 for none.
    Send(ResponseBuf<FileSlice>, i16),
    /// Nothing to be sent.
    Nothing,
    /// The connection must be closed, for this reason.
    Close(String),
}

/// A reply as its connection holds it.
pub(crate) enum WireReply {
    /// Ready.
    Now(Outcome),
    /// Ready, and best sent with the next one, if that is there in this time.
    WithNext(Outcome, Duration),
    /// Waiting.
    Later(Later<Outcome>),
}
