//! Light clients beside heavy ones: what one small producer, one reader of its records and one member of a group wait, alone and while
//! somebody else takes what the broker can give, or the broker compacts a topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::records::{self, BatchBuilder, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::compaction::{self, UncleanLog};
use super::raw::{self, PARTITIONS, each_connection};
use super::small_requests::{heartbeat_error, heartbeat_frame};
use super::{Sample, Scene, higher, lower, members};
use crate::pages::Stock;
use crate::stats::percentile_ms;

/// The partition of the light clients; the heavy ones have those before it.
const LIGHT_PARTITION: i32 = PARTITIONS;
const RECORD_BYTES: usize = 100;
const PRODUCES_PER_S: u32 = 200;
const HEARTBEATS_PER_S: u32 = 100;
const FULL: Duration = Duration::from_secs(6);
/// Before it is measured: a JVM compiles, and what is beside has begun.
const SETTLE: Duration = Duration::from_secs(3);
/// What heavy readers read again and again, batches of each connection.
const STORED_BATCHES: u64 = 100;
/// A disk is not to be filled: heavy producers stop there, batches of each connection.
const MOST_BATCHES: u64 = 4000;
const FETCH_VERSION: i16 = 12;

/// Who is beside the light clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nobody.
    Nobody,
    /// Three connections with batches of 0.9 MB, two in flight on each.
    Producers,
    /// Three connections that read such batches.
    Consumers,
    /// A pass over a compacted topic, for as long as it takes.
    Compaction,
}

impl Beside {
    /// All of them.
    pub const ALL: [Beside; 4] = [
        Beside::Nobody,
        Beside::Producers,
        Beside::Consumers,
        Beside::Compaction,
    ];

    /// As in tables.
    pub fn name(self) -> &'static str {
        match self {
            Beside::Nobody => "fairness, alone",
            Beside::Producers => "fairness, beside heavy producers",
            Beside::Consumers => "fairness, beside heavy consumers",
            Beside::Compaction => "fairness, beside compaction",
        }
    }
}

/// Runs it once.
pub async fn run(scene: &Scene, beside: Beside) -> Result<Vec<Sample>> {
    let server = scene.server(PARTITIONS + 1).await?;
    let address = server.address.clone();
    let member = members::join(&address, 1).await?.remove(0);
    let heavy = Heavy::start(scene, &address, beside).await?;
    let epoch = Instant::now();
    let (end, over) = watch::channel(false);
    let besides = async {
        tokio::time::sleep(SETTLE).await;
        let measured = Instant::now();
        let moved = heavy.work_beside(scene).await?;
        end.send_replace(true);
        Ok((measured, moved))
    };
    let ((measured, moved), produced, read, beaten) = tokio::try_join!(
        besides,
        produce(&address, epoch, &over),
        consume(&address, epoch, &over),
        heartbeat(&address, heartbeat_frame(&member)?, &over),
    )?;
    let mut samples = Vec::new();
    for ([p50, p99], times) in [
        (["produce p50", "produce p99"], produced),
        (["produce to fetch p50", "produce to fetch p99"], read),
        (["heartbeat p50", "heartbeat p99"], beaten),
    ] {
        let mut times: Vec<_> = times.range(measured..).map(|(_, took)| *took).collect();
        ensure!(times.len() > 10, "only {} were answered", times.len());
        samples.push(lower(p50, "ms", percentile_ms(&mut times, 50.0)));
        samples.push(lower(p99, "ms", percentile_ms(&mut times, 99.0)));
    }
    if let Some(megabytes_per_second) = moved {
        samples.push(higher("beside", "MB/s", megabytes_per_second));
    }
    Ok(samples)
}

/// What was measured, by when it began.
type Times = BTreeMap<Instant, Duration>;

/// Becomes true when nothing more is measured.
type Over = watch::Receiver<bool>;

/// Does `step` at a rate until it is over; what would begin while the one before it is under way is left out. The time of each.
async fn at_rate(
    per_second: u32,
    over: &Over,
    mut step: impl AsyncFnMut() -> Result<()>,
) -> Result<Times> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut times = Times::new();
    while !*over.borrow() {
        ticks.tick().await;
        let begun = Instant::now();
        step().await?;
        times.insert(begun, begun.elapsed());
    }
    Ok(times)
}

async fn produce(address: &str, epoch: Instant, over: &Over) -> Result<Times> {
    let mut line = Line::connect(address).await?;
    at_rate(PRODUCES_PER_S, over, async || {
        let mut value = [b'.'; RECORD_BYTES];
        value[..8].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_be_bytes());
        let record = Record {
            offset: 0,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::copy_from_slice(&value)),
            headers: Vec::new(),
        };
        let batch = BatchBuilder::default().build(&[record]);
        line.call(&raw::produce_frame(LIGHT_PARTITION, batch)?)
            .await?;
        Ok(())
    })
    .await
}

async fn heartbeat(address: &str, frame: Bytes, over: &Over) -> Result<Times> {
    let mut line = Line::connect(address).await?;
    at_rate(HEARTBEATS_PER_S, over, async || {
        let error = heartbeat_error(line.call(&frame).await?)?;
        ensure!(error == 0, "a heartbeat is answered with error {error}");
        Ok(())
    })
    .await
}

/// Reads what [`produce`] writes; the time of each record from when it was made.
async fn consume(address: &str, epoch: Instant, over: &Over) -> Result<Times> {
    let mut connection = Connection::connect(address).await?;
    let (mut times, mut offset) = (Times::new(), 0);
    while !*over.borrow() {
        let request = raw::fetch_request(LIGHT_PARTITION, offset, 1 << 20);
        let answer = connection.call(FETCH_VERSION, &request).await?;
        let now = epoch.elapsed();
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        for partition in partitions {
            ensure!(partition.error_code == 0, "not read: {partition:?}");
            let Some(batches) = partition.records.clone() else {
                continue;
            };
            for made in made_at(batches, &mut offset)? {
                times.insert(epoch + made, now.saturating_sub(made));
            }
        }
    }
    Ok(times)
}

/// When the records in `batches` were made; `offset` becomes the one after them.
fn made_at(mut batches: Bytes, offset: &mut i64) -> Result<Vec<Duration>> {
    let mut all = Vec::new();
    while let Ok(header) = ottla_codec::batch::BatchHeader::parse(&batches) {
        // The last may be cut.
        if batches.len() < header.size {
            break;
        }
        for record in records::iterate(batches.split_to(header.size), 0)? {
            let record = record?;
            let made = record.value.as_ref().and_then(|value| value.first_chunk());
            all.push(Duration::from_nanos(u64::from_be_bytes(
                *made.context("no time")?,
            )));
            *offset = record.offset + 1;
        }
    }
    Ok(all)
}

/// A connection with one request in flight.
struct Line(TcpStream);

impl Line {
    async fn connect(address: &str) -> Result<Line> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Line(stream))
    }

    /// The answer, without its length.
    async fn call(&mut self, frame: &[u8]) -> Result<Bytes> {
        self.0.write_all(frame).await?;
        let length = self.0.read_i32().await?;
        let mut answer = vec![0; usize::try_from(length)?];
        self.0.read_exact(&mut answer).await?;
        Ok(answer.into())
    }
}

/// What is beside the light clients.
enum Heavy {
    Nobody,
    Clients {
        stop: Arc<AtomicBool>,
        started: Instant,
        batch_bytes: usize,
        work: tokio::task::JoinHandle<Result<Vec<Duration>>>,
    },
    Compaction(UncleanLog),
}

impl Heavy {
    async fn start(scene: &Scene, address: &str, beside: Beside) -> Result<Heavy> {
        let batch = raw::batch(raw::RECORDS, raw::RECORD_BYTES);
        let stop = Arc::new(AtomicBool::new(false));
        let batch_bytes = batch.len();
        let going = {
            let stop = stop.clone();
            move |_: &u64| !stop.load(Ordering::Relaxed)
        };
        let of_task = address.to_owned();
        let work = match beside {
            Beside::Nobody => return Ok(Heavy::Nobody),
            Beside::Compaction => {
                let log = UncleanLog::write(scene, address, compaction::RECORDS).await?;
                return Ok(Heavy::Compaction(log));
            }
            Beside::Producers => {
                let stock = Stock::of(MOST_BATCHES * batch_bytes as u64, &scene.programs.scratch)?;
                tokio::spawn(async move {
                    let _stock = stock;
                    let work = move |stream, partitions| {
                        let numbers = (0..MOST_BATCHES).take_while(going.clone());
                        raw::write(stream, partitions, &batch, numbers)
                    };
                    each_connection(&of_task, work).await
                })
            }
            Beside::Consumers => {
                let store = move |stream, partitions| {
                    raw::write(stream, partitions, &batch, 0..STORED_BATCHES)
                };
                each_connection(address, store).await?;
                tokio::spawn(async move {
                    let work = move |stream, partitions| {
                        let numbers = (0..STORED_BATCHES).cycle().take_while(going.clone());
                        raw::read(stream, partitions, batch_bytes, numbers)
                    };
                    each_connection(&of_task, work).await
                })
            }
        };
        Ok(Heavy::Clients {
            stop,
            started: Instant::now(),
            batch_bytes,
            work,
        })
    }

    /// Returns at the end of what is measured; MB/s of what they moved, if there were any. An error if clients had ended before.
    async fn work_beside(self, scene: &Scene) -> Result<Option<f64>> {
        let length = scene.time(FULL).max(Duration::from_secs(2));
        match self {
            Heavy::Nobody => {
                tokio::time::sleep(length).await;
                Ok(None)
            }
            Heavy::Clients {
                stop,
                started,
                batch_bytes,
                work,
            } => {
                tokio::time::sleep(length).await;
                ensure!(!work.is_finished(), "what was beside has ended too early");
                stop.store(true, Ordering::Relaxed);
                let batches = work.await??.len();
                let bytes = batches as f64 * batch_bytes as f64;
                Ok(Some(bytes / 1e6 / started.elapsed().as_secs_f64()))
            }
            Heavy::Compaction(log) => {
                let started = Instant::now();
                let bytes = log.compact().await?;
                Ok(Some(bytes / 1e6 / started.elapsed().as_secs_f64()))
            }
        }
    }
}
