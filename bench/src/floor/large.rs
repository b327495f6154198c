//! Large batches on a thread for each connection. With [`Kind::Synced`] each is appended to its partition's file and synced before the
//! answer, and a fetch sends it from there without a copy (`sendfile` on Linux). With [`Kind::Answer`] nothing is written, and a fetch
//! sends the first batch that came from memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use ottla_codec::batch::BatchHeader;
use tokio::net::TcpListener;

use super::Kind;
use super::setup::{self, LENGTH_LEN, Request, Topic};

/// What all connections share.
struct Floor {
    kind: Kind,
    data: PathBuf,
    topic: Topic,
    /// The first batch. All of a load are as large and have as many records, so it tells where in a file an offset is.
    batch: OnceLock<(Bytes, i64)>,
}

/// Serves each connection on a thread of its own.
pub async fn serve(listener: TcpListener, kind: Kind, data: &Path) -> Result<()> {
    let floor = Arc::new(Floor {
        kind,
        data: data.to_owned(),
        topic: Topic::at(listener.local_addr()?),
        batch: OnceLock::new(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let floor = floor.clone();
        std::thread::spawn(move || {
            let connection = Connection {
                floor: &floor,
                stream: &stream,
                files: HashMap::new(),
            };
            if let Err(e) = connection.run() {
                eprintln!("{e:#}");
            }
        });
    }
}

struct Connection<'a> {
    floor: &'a Floor,
    stream: &'a TcpStream,
    /// By partition.
    files: HashMap<i32, File>,
}

impl Connection<'_> {
    fn run(mut self) -> Result<()> {
        let mut buffer = BytesMut::new();
        let mut produced: HashMap<i32, Vec<u8>> = HashMap::new();
        let mut fetched = None;
        while self.read_frame(&mut buffer)? {
            let frame = buffer.freeze();
            match setup::request(&frame)? {
                Request::Produce(request) => {
                    let partition = self.keep(&request)?;
                    let answer = match produced.entry(partition) {
                        Entry::Occupied(made) => made.into_mut(),
                        Entry::Vacant(none) => {
                            none.insert(setup::produce_answer(partition)?.to_vec())
                        }
                    };
                    setup::correlate(answer, &frame)?;
                    self.stream.write_all(answer)?;
                }
                Request::Fetch(request) => {
                    let (batch, records) = self.floor.batch.get().context("nothing was sent")?;
                    let (head, tail) = match &mut fetched {
                        Some(parts) => parts,
                        none => none.insert(setup::fetch_answer(batch.len())?),
                    };
                    setup::correlate(head, &frame)?;
                    self.stream.write_all(head)?;
                    self.send(&request, batch, *records)?;
                    self.stream.write_all(tail)?;
                }
                Request::Other => self.stream.write_all(&self.floor.topic.answer(&frame)?)?,
            }
            // The same memory for the next one; another where the first batch is kept.
            buffer = frame.try_into_mut().unwrap_or_default();
        }
        Ok(())
    }

    /// False at the end of the stream.
    fn read_frame(&mut self, buffer: &mut BytesMut) -> Result<bool> {
        let mut length = [0; LENGTH_LEN];
        match self.stream.read_exact(&mut length) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        buffer.resize(setup::frame_len(length)?, 0);
        buffer[..LENGTH_LEN].copy_from_slice(&length);
        self.stream.read_exact(&mut buffer[LENGTH_LEN..])?;
        Ok(true)
    }

    /// Returns the partition; all clients of loads send to one at a time.
    fn keep(&mut self, request: &ProduceRequest) -> Result<i32> {
        let mut partitions = request.topic_data.iter().flat_map(|t| &t.partition_data);
        let (Some(partition), None) = (partitions.next(), partitions.next()) else {
            bail!("not one partition: {request:?}");
        };
        let batch = partition.records.as_ref().context("no batch")?;
        let records = i64::from(BatchHeader::parse(batch)?.record_count);
        self.floor.batch.get_or_init(|| (batch.clone(), records));
        if self.floor.kind == Kind::Synced {
            let mut file = self.file(partition.index)?;
            file.write_all(batch)?;
            file.sync_data()?;
        }
        self.floor.topic.add(records);
        Ok(partition.index)
    }

    /// Sends the batch at the offset that is asked for.
    fn send(&mut self, request: &FetchRequest, first: &[u8], records: i64) -> Result<()> {
        if self.floor.kind == Kind::Answer {
            return Ok(self.stream.write_all(first)?);
        }
        let partitions = request.topics.iter().flat_map(|t| &t.partitions);
        let asked = partitions.last().context("no partition")?;
        let position = u64::try_from(asked.fetch_offset / records)? * first.len() as u64;
        let mut stream = self.stream;
        let mut file = self.file(asked.partition)?;
        file.seek(SeekFrom::Start(position))?;
        let sent = io::copy(&mut file.take(first.len() as u64), &mut stream)?;
        ensure!(sent == first.len() as u64, "the file ends before its batch");
        Ok(())
    }

    /// A partition's file. Only one connection at a time has a partition.
    fn file(&mut self, partition: i32) -> io::Result<&File> {
        match self.files.entry(partition) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(empty) => {
                let mut how = OpenOptions::new();
                how.read(true).append(true).create(true);
                let file = how.open(self.floor.data.join(partition.to_string()))?;
                Ok(empty.insert(file))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{FetchResponse, ResponseHeader};
    use kafka_protocol::protocol::Decodable;

    use super::*;
    use crate::measure::{self, raw};

    fn exchange(stream: &mut TcpStream, frame: &[u8]) -> Bytes {
        stream.write_all(frame).unwrap();
        let mut length = [0; LENGTH_LEN];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; setup::frame_len(length).unwrap() - LENGTH_LEN];
        stream.read_exact(&mut answer).unwrap();
        answer.into()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn batches_are_counted_and_come_back_and_are_written_where_they_are_kept() {
        for kind in [Kind::Answer, Kind::Synced] {
            let data = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let path = data.path().to_owned();
            let server = tokio::spawn(async move { serve(listener, kind, &path).await });

            let batch = raw::batch(3, 10_000);
            let mut stream = TcpStream::connect(&address).unwrap();
            for _ in 0..2 {
                let answer = exchange(&mut stream, &raw::produce_frame(1, batch.clone()).unwrap());
                assert_eq!(answer, setup::produce_answer(1).unwrap()[LENGTH_LEN..]);
            }
            let fetch = raw::fetch_frame(1, 3, batch.len() as i32).unwrap();
            for _ in 0..2 {
                let mut answer = exchange(&mut stream, &fetch);
                ResponseHeader::decode(&mut answer, 1).unwrap();
                let answer = FetchResponse::decode(&mut answer, 12).unwrap();
                let records = &answer.responses[0].partitions[0].records;
                assert_eq!(records.as_ref(), Some(&batch), "{kind:?}");
            }

            let mut asking = ottla_client::Connection::connect(address).await.unwrap();
            let kept = measure::end_offsets(&mut asking, 6).await.unwrap();
            assert_eq!(kept, 6, "{kind:?}");
            match kind {
                Kind::Answer => assert!(!data.path().join("1").exists()),
                Kind::Synced => {
                    let written = std::fs::read(data.path().join("1")).unwrap();
                    assert_eq!(written, [&batch[..], &batch].concat());
                }
            }
            server.abort();
        }
    }
}
