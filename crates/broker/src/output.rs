//! Responses on their way out of one connection: several leave in one vectored write, files go by sendfile.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Buf;
use ottla_codec::response::{Chunk, ResponseBuf};
use ottla_storage::FileSlice;
use tokio::net::TcpStream;

use crate::sendfile;

/// How many pieces one call hands to the kernel; its own limit is 1024.
const MAX_SLICES: usize = 64;

/// What is to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    chunks: VecDeque<Piece>,
    memory: usize,
}

#[derive(Debug)]
struct Piece {
    chunk: Chunk<FileSlice>,
    /// Given back when the piece is written: the request's cost, on the last piece of its response.
    cost: usize,
}

impl Output {
    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes in memory that are to be written; parts of files do not count.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Queues a response. Its request's `cost` is given back when the last byte is written.
    /// Returns the response's bytes in memory, which [`Output::write`] gives back as well.
    pub fn push(&mut self, response: ResponseBuf<FileSlice>, cost: usize) -> usize {
        let mut memory = 0;
        let mut last = None;
        for chunk in response.chunks.into_iter().filter(|c| !c.is_empty()) {
            if let Chunk::Bytes(bytes) = &chunk {
                memory += bytes.len();
            }
            if let Some(chunk) = last.replace(chunk) {
                self.chunks.push_back(Piece { chunk, cost: 0 });
            }
        }
        let chunk = last.expect("a response has at least its length");
        self.chunks.push_back(Piece { chunk, cost });
        self.memory += memory;
        memory
    }

    /// Writes until nothing is left or the socket takes no more now. Returns the bytes sent, and the bytes given back, of
    /// requests and responses together.
    pub fn write(&mut self, socket: &TcpStream) -> io::Result<(u64, usize)> {
        let (mut sent, mut released) = (0, 0);
        while let Some(front) = self.chunks.front() {
            let result = match &front.chunk {
                Chunk::Bytes(_) => self.write_bytes(socket),
                Chunk::File {
                    file,
                    position,
                    len,
                } => sendfile::send(socket, file, *position, *len),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    sent += n as u64;
                    released += self.advance(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.chunks.is_empty() && self.chunks.capacity() > MAX_SLICES {
            self.chunks = VecDeque::new();
        }
        Ok((sent, released))
    }

    fn write_bytes(&self, socket: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.chunks) {
            let Chunk::Bytes(bytes) = &piece.chunk else {
                break;
            };
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        match &slices[..count] {
            [one] => socket.try_write(one),
            many => socket.try_write_vectored(many),
        }
    }

    /// Takes `n` written bytes off the front.
    fn advance(&mut self, mut n: usize) -> usize {
        let mut released = 0;
        while n > 0 {
            let front = self
                .chunks
                .front_mut()
                .expect("no more is written than was queued");
            let taken = n.min(front.chunk.len());
            match &mut front.chunk {
                Chunk::Bytes(bytes) => {
                    bytes.advance(taken);
                    self.memory -= taken;
                    released += taken;
                }
                Chunk::File { position, len, .. } => {
                    *position += taken as u64;
                    *len -= taken;
                }
            }
            n -= taken;
            if front.chunk.is_empty() {
                released += front.cost;
                self.chunks.pop_front();
            }
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    fn response(pieces: &[&'static [u8]]) -> ResponseBuf<FileSlice> {
        ResponseBuf {
            chunks: pieces
                .iter()
                .map(|p| Chunk::Bytes(Bytes::from_static(p)))
                .collect(),
        }
    }

    #[tokio::test]
    async fn several_responses_leave_in_order_and_give_back_what_they_cost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (mut client, server) = tokio::join!(async { client.await.unwrap() }, async {
            listener.accept().await.unwrap().0
        });
        let mut output = Output::default();
        assert_eq!(output.push(response(&[b"ab", b"", b"cd"]), 100), 4);
        assert_eq!(output.push(response(&[b"ef"]), 10), 2);
        assert_eq!(output.memory(), 6);
        server.writable().await.unwrap();
        assert_eq!(output.write(&server).unwrap(), (6, 116));
        assert!(output.is_empty());
        assert_eq!(output.memory(), 0);
        let mut got = [0; 6];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"abcdef");
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_leaves_the_rest_queued() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (mut client, server) = tokio::join!(async { client.await.unwrap() }, async {
            listener.accept().await.unwrap().0
        });
        let body = vec![7u8; 16 << 20];
        let mut output = Output::default();
        output.push(
            ResponseBuf {
                chunks: vec![Chunk::Bytes(Bytes::from(body.clone()))],
            },
            1,
        );
        server.writable().await.unwrap();
        let (mut sent, mut released) = output.write(&server).unwrap();
        assert!(!output.is_empty());
        let reader = tokio::spawn(async move {
            let mut got = vec![0; 16 << 20];
            client.read_exact(&mut got).await.unwrap();
            got
        });
        while !output.is_empty() {
            server.writable().await.unwrap();
            let more = output.write(&server).unwrap();
            (sent, released) = (sent + more.0, released + more.1);
        }
        assert_eq!(sent, 16 << 20);
        assert_eq!(released, (16 << 20) + 1);
        assert_eq!(reader.await.unwrap(), body);
    }
}
