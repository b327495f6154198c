//! Small requests on plain tokio: one thread for the connections, and with [`Kind::Synced`] one that writes what has gathered with one
//! call and syncs it once before it tells those who wait.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::Kind;
use super::setup::{self, Topic};

/// The file is written zeros before, and from the beginning again when it is full: a sync writes no metadata.
const FILE_LEN: u64 = 32 << 20;
const READ_BYTES: usize = 4096;

/// Serves connections on this thread's runtime.
pub async fn serve(listener: TcpListener, kind: Kind, data: &Path) -> Result<()> {
    let topic = Arc::new(Topic::at(listener.local_addr()?));
    let log = match kind {
        Kind::Answer => None,
        Kind::Synced => Some(Log::start(data)?),
    };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (topic, log) = (topic.clone(), log.clone());
        tokio::spawn(async move {
            if let Err(e) = connection(stream, &topic, log.as_deref()).await {
                eprintln!("{e:#}");
            }
        });
    }
}

async fn connection(mut stream: TcpStream, topic: &Topic, log: Option<&Log>) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut answer = setup::produce_answer(0)?.to_vec();
    loop {
        while let Some(length) = setup::whole_frame(&buffer)? {
            let frame = buffer.split_to(length);
            if !setup::is_produce(&frame) {
                stream.write_all(&topic.answer(&frame)?).await?;
                continue;
            }
            setup::correlate(&mut answer, &frame)?;
            if let Some(log) = log {
                log.keep(frame).await?;
            }
            // One batch of one record, as the loads of small requests send.
            topic.add(1);
            stream.write_all(&answer).await?;
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// What waits to be written, and who waits for it.
#[derive(Default)]
struct Group {
    frames: Vec<BytesMut>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Group commit: everything that waits is written and synced together.
#[derive(Default)]
struct Log {
    next: Mutex<Group>,
    came: Condvar,
}

impl Log {
    fn start(data: &Path) -> Result<Arc<Log>> {
        let mut file = File::create(data.join("log"))?;
        file.write_all(&vec![0; FILE_LEN as usize])?;
        file.sync_all()?;
        let log = Arc::new(Log::default());
        let writing = log.clone();
        std::thread::spawn(move || {
            // Nobody would be answered any more.
            if let Err(e) = writing.write(&file) {
                eprintln!("{e}");
                std::process::exit(1);
            }
        });
        Ok(log)
    }

    async fn keep(&self, frame: BytesMut) -> Result<()> {
        let (kept, wait) = oneshot::channel();
        {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            next.frames.push(frame);
            next.waiting.push(kept);
            if next.frames.len() == 1 {
                self.came.notify_one();
            }
        }
        wait.await.context("the log's thread is gone")
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let (mut position, mut bytes) = (0, Vec::new());
        loop {
            let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = self
                .came
                .wait_while(next, |next| next.frames.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            let group = std::mem::take(&mut *next);
            drop(next);
            bytes.clear();
            for frame in &group.frames {
                bytes.extend_from_slice(frame);
            }
            if position + bytes.len() as u64 > FILE_LEN {
                position = 0;
            }
            file.write_all_at(&bytes, position)?;
            file.sync_data()?;
            position += bytes.len() as u64;
            for kept in group.waiting {
                // Its connection may be gone.
                let _ = kept.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ottla_client::Connection;

    use super::*;
    use crate::measure::{self, raw};

    #[tokio::test]
    async fn each_request_is_answered_and_counted_and_written_where_it_is_kept() {
        for kind in [Kind::Answer, Kind::Synced] {
            let data = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let path = data.path().to_owned();
            let server = tokio::spawn(async move { serve(listener, kind, &path).await });

            let batch = raw::batch(1, 100);
            let frame = raw::produce_frame(0, batch.clone()).unwrap();
            let mut stream = TcpStream::connect(&address).await.unwrap();
            // Cut in the middle: a frame is not what a read brings.
            let (first, second) = frame.split_at(frame.len() / 2);
            let answer = setup::produce_answer(0).unwrap();
            for _ in 0..3 {
                stream.write_all(first).await.unwrap();
                stream.write_all(second).await.unwrap();
                let mut got = vec![0; answer.len()];
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(Bytes::from(got), answer);
            }

            let mut asking = Connection::connect(address).await.unwrap();
            let kept = measure::end_offsets(&mut asking, 6).await.unwrap();
            assert_eq!(kept, 3, "{kind:?}");
            if kind == Kind::Synced {
                let written = std::fs::read(data.path().join("log")).unwrap();
                assert!(written.starts_with(&[&frame[..], &frame, &frame].concat()));
            }
            server.abort();
        }
    }
}
