//! Connections that each have one request in flight, the same one again and again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than an answer needs.
const ANSWER_BYTES: usize = 1024;

/// What came of it.
#[derive(Debug, Default)]
pub struct Answered {
    /// The time of each request.
    pub times: Vec<Duration>,
    /// The last answer of each connection, without its length.
    pub last: Vec<Bytes>,
}

/// One connection for each of `frames`, for `length`.
pub async fn run(address: &str, frames: &[Bytes], length: Duration) -> Result<Answered> {
    let until = Instant::now() + length;
    let mut tasks = tokio::task::JoinSet::new();
    for frame in frames {
        tasks.spawn(one_connection(address.to_owned(), frame.clone(), until));
    }
    let mut all = Answered::default();
    while let Some(done) = tasks.join_next().await {
        let (times, last) = done??;
        all.times.extend(times);
        all.last.push(last);
    }
    Ok(all)
}

async fn one_connection(
    address: String,
    frame: Bytes,
    until: Instant,
) -> Result<(Vec<Duration>, Bytes)> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut answer = BytesMut::with_capacity(ANSWER_BYTES);
    while times.is_empty() || Instant::now() < until {
        let at = Instant::now();
        stream.write_all(&frame).await?;
        answer.clear();
        // Length and body in one read: the load shares the cores with the broker.
        while !is_whole(&answer)? {
            ensure!(stream.read_buf(&mut answer).await? > 0, "closed");
        }
        times.push(at.elapsed());
    }
    Ok((times, answer.freeze().slice(4..)))
}

/// Whether `answer` is a whole frame. An error if more than that came.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some((length, body)) = answer.split_first_chunk::<4>() else {
        return Ok(false);
    };
    let length = usize::try_from(i32::from_be_bytes(*length))?;
    ensure!(
        length <= ANSWER_BYTES && body.len() <= length,
        "{} bytes for an answer of {length}",
        body.len()
    );
    Ok(body.len() == length)
}
