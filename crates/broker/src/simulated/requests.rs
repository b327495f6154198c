//! Typed requests over a connection without a socket, for tests.

use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::{Encodable, Request};
use ottla_codec::answer;

use super::{Answered, Connection};

impl Connection {
    /// Sends a request in a flexible version, without a client id.
    pub(crate) fn send_request<R: Request + Encodable>(&mut self, version: i16, request: &R) {
        let mut frame = BytesMut::new();
        frame.put_i16(R::KEY);
        frame.put_i16(version);
        frame.put_i32(5);
        frame.put_i16(-1);
        frame.put_u8(0);
        request.encode(&mut frame, version).unwrap();
        self.send(frame).unwrap();
    }

    /// The answer to the first request that is under way, which must be an `R`.
    pub(crate) fn take_response<R: Request>(&mut self, version: i16) -> R::Response {
        let Some((_, Answered::Frame(mut frame))) = self.take_answer() else {
            panic!("there is no answer");
        };
        answer::header::<R>(version, &mut frame).unwrap();
        answer::decode::<R>(version, frame).unwrap()
    }
}
