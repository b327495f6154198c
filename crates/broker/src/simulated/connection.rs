//! A connection without a socket: whole frames in, whole answers out, in the order of the requests.

use std::collections::VecDeque;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use ottla_codec::api::Api;
use ottla_codec::response::{Chunk, ResponseBuf};
use ottla_storage::FileSlice;

use super::process::{Process, poll};
use crate::connection::begin;
use crate::context::RequestContext;
use crate::replies::{Pending, may_begin};
use crate::reply::Outcome;

/// What a request has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// An answer's frame, without its length.
    Frame(Bytes),
    /// None is due (`acks=0`).
    Nothing,
    /// The connection is to be closed, for this reason.
    Close(String),
}

/// See the module.
pub struct Connection {
    context: RequestContext,
    pending: VecDeque<(Api, Pending)>,
}

impl Connection {
    pub(super) fn new(process: &Process, id: u64) -> Connection {
        Connection {
            context: process.connection(id),
            pending: VecDeque::new(),
        }
    }

    /// Hands over a frame, without its length.
    ///
    /// # Errors
    /// The connection is to be closed, for this reason.
    pub fn send(&mut self, frame: BytesMut) -> Result<(), String> {
        let waits = |(_, pending): &&(Api, Pending)| matches!(pending, Pending::Waiting { .. });
        let waiting = self.pending.iter().filter(waits).count();
        let not_begun = |(_, pending): &&(Api, Pending)| {
            matches!(pending, Pending::Waiting { begun: false, .. })
        };
        let deferred = self.pending.iter().filter(not_begun).count();
        let begun = begin(&mut self.context, frame, |api| {
            may_begin(api, waiting, deferred)
        });
        self.pending
            .push_back(begun.map_err(|closed| closed.to_string())?);
        Ok(())
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    /// Whether the answer to the last request is one that is best sent with the next.
    #[cfg(test)]
    pub(crate) fn is_last_sent_with_next(&self) -> bool {
        matches!(self.pending.back(), Some((_, Pending::WithNext(..))))
    }

    /// What the first request that is under way has come to; `None` while it waits.
    pub fn take_answer(&mut self) -> Option<(Api, Answered)> {
        let (_, pending) = self.pending.front_mut()?;
        if let Pending::Waiting { later, begun } = pending {
            *begun = true;
            match poll(later) {
                Poll::Pending => return None,
                Poll::Ready(outcome) => *pending = Pending::Settled(outcome),
            }
        }
        let (api, pending) = self.pending.pop_front()?;
        // Whether an answer is sent alone or with the next one is a matter of sockets.
        let (Pending::Settled(outcome) | Pending::WithNext(outcome, _)) = pending else {
            return None;
        };
        let answered = match outcome {
            Outcome::Send(response, _) => match whole(&response) {
                Ok(frame) => Answered::Frame(frame),
                Err(error) => Answered::Close(error.to_string()),
            },
            Outcome::Nothing => Answered::Nothing,
            Outcome::Close(reason) => Answered::Close(reason),
        };
        Some((api, answered))
    }
}

/// What `chunks` hold, those parts too that are in files.
///
/// # Errors
/// A file cannot be read.
pub fn in_memory(chunks: &[Chunk<FileSlice>]) -> std::io::Result<BytesMut> {
    let mut bytes = BytesMut::new();
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(piece) => bytes.extend_from_slice(piece),
            Chunk::File {
                file,
                position,
                len,
            } => {
                let start = bytes.len();
                bytes.resize(start + len, 0);
                file.read_at(*position, &mut bytes[start..])?;
            }
        }
    }
    Ok(bytes)
}

/// A response's bytes without the length in front.
fn whole(response: &ResponseBuf<FileSlice>) -> std::io::Result<Bytes> {
    let mut bytes = in_memory(&response.chunks)?;
    let claimed = bytes.split_to(4.min(bytes.len()));
    if claimed[..] != (bytes.len() as u32).to_be_bytes() {
        return Err(std::io::Error::other("an answer is not as long as it says"));
    }
    Ok(bytes.freeze())
}
