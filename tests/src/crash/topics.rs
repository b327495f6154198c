//! Topics that are made, written to, trimmed and removed under the same few names, through every crash: what was removed does not
//! come back, what was made is there, and holds records of its own life alone.

use std::collections::BTreeMap;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use ottla_client::admin::NewTopic;
use ottla_client::consumer::{ConsumerOptions, Isolation, OffsetSpec, PartitionConsumer};
use ottla_client::producer::{Producer, ProducerOptions, ProducerRecord};
use ottla_client::{Client, ClientError, ClientOptions, Topics as Names};

use super::promises::Promise;
use super::{Signals, TIMEOUT};
use crate::harness::unique;

const NAMES: u64 = 4;
const RECORDS: i64 = 20;
const TRIMMED_TO: i64 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Something is under way.
    Nothing,
    /// There is no topic of this name.
    Absent,
    /// A topic of this life, with so many records for certain, the first of them at an offset no lower than `from`.
    #[allow(missing_docs)]
    There { life: u64, records: i64, from: i64 },
}

/// What is known of each name.
pub type State = BTreeMap<String, Known>;

/// The one who makes and removes topics.
pub struct Topics {
    bootstrap: String,
    state: Arc<Mutex<State>>,
    lives: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    worker: JoinHandle<()>,
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

pub(super) async fn connect(bootstrap: &str) -> Client {
    let started = Instant::now();
    let options = ClientOptions {
        retry_timeout: TIMEOUT,
        ..ClientOptions::default()
    };
    loop {
        match Client::connect(&[bootstrap.to_owned()], options.clone()).await {
            Ok(client) => return client,
            Err(error) => assert!(started.elapsed() < TIMEOUT, "{error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether it is done; a repetition may find its own work done. A full disk may have room again later.
fn is_done(result: Result<(), ClientError>, already: ResponseError) -> bool {
    match result {
        Ok(()) => true,
        Err(error) if error.broker_error() == Some(already) => true,
        Err(error) if error.is_retriable() => false,
        Err(error) => panic!("{error}"),
    }
}

struct Worker {
    client: Client,
    state: Arc<Mutex<State>>,
}

impl Worker {
    fn know(&self, name: &str, known: Known) {
        let mut state = self.state.lock().expect("no holder panics");
        state.insert(name.to_owned(), known);
    }

    async fn remove(&mut self, name: &str) {
        self.know(name, Known::Nothing);
        loop {
            let removed = self.client.delete_topics(&[name.to_owned()]).await;
            let (_, result) = removed.expect("the broker comes back").remove(0);
            if is_done(result, ResponseError::UnknownTopicOrPartition) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.know(name, Known::Absent);
    }

    async fn live(&mut self, name: &str, life: u64, pause: impl AsyncFn()) {
        self.know(name, Known::Nothing);
        let new = NewTopic {
            name: name.to_owned(),
            partitions: Some(2),
            replication_factor: None,
            configs: Vec::new(),
        };
        loop {
            let made = self
                .client
                .create_topics(slice::from_ref(&new), false)
                .await;
            let (_, result) = made.expect("the broker comes back").remove(0);
            if is_done(result.map(|_| ()), ResponseError::TopicAlreadyExists) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let there = |records, from| Known::There {
            life,
            records,
            from,
        };
        self.know(name, there(0, 0));
        pause().await;
        let again = self.client.connect_again().await;
        let Ok(client) = again else { return };
        let Ok(mut producer) = Producer::new(client, ProducerOptions::default()).await else {
            return;
        };
        for number in 0..RECORDS {
            let record = ProducerRecord {
                topic: name.to_owned(),
                partition: Some(0),
                value: Some(format!("{life}:{number}").into()),
                ..ProducerRecord::default()
            };
            if producer.send(record).await.is_err() {
                return;
            }
        }
        if producer.flush().await.is_err() {
            return;
        }
        self.know(name, there(RECORDS, 0));
        pause().await;
        let trimmed = self.client.delete_records(name, 0, TRIMMED_TO).await;
        assert_eq!(trimmed.expect("the broker comes back"), TRIMMED_TO);
        self.know(name, there(RECORDS, TRIMMED_TO));
    }
}

async fn check(client: &mut Client, name: &str, known: Known) {
    let Known::There {
        life,
        records,
        from,
    } = known
    else {
        if known == Known::Absent {
            let found = client.metadata(Names::Named(&[name]), false).await;
            let found = found.expect("the broker answers").topics.remove(0);
            let gone = found.error.is_some();
            Promise::Removed.hold(gone, || format!("{name} was removed, and is back"));
        }
        return;
    };
    let found = client.topic(name, false).await;
    Promise::Kept.hold(found.is_ok(), || {
        let error = found.as_ref().err();
        format!("{name} was made, and is not there: {error:?}")
    });
    let found = found.expect("it is there");
    assert_eq!(found.partitions.len(), 2, "{name}");
    let place = [(name.to_owned(), 0)];
    let mut ends = [0; 2];
    for (end, spec) in ends
        .iter_mut()
        .zip([OffsetSpec::Earliest, OffsetSpec::Latest])
    {
        let offsets = client.list_offsets(&place, spec, Isolation::ReadUncommitted);
        *end = offsets.await.expect("the broker answers")[&place[0]].expect("an offset");
    }
    let [low, high] = ends;
    Promise::Removed.hold(low >= from, || {
        format!("{name} begins at {low}, was trimmed to {from}")
    });
    assert!(low <= TRIMMED_TO, "{name} begins at {low}");
    Promise::Kept.hold(high >= records, || {
        format!("{name} ends at {high}, {records} were kept")
    });
    Promise::Once.hold(high <= RECORDS, || format!("{name} ends at {high}"));
    let reader = client.connect_again().await.expect("the broker answers");
    let mut reader = PartitionConsumer::new(reader, ConsumerOptions::default());
    reader.assign(name, 0, low);
    let mut next = low;
    while next < high {
        let polled = reader.poll(Duration::from_millis(500)).await;
        for record in polled.expect("the log can be read") {
            let value = record.value.expect("no tombstones here");
            assert_eq!(record.offset, next, "{name}");
            assert_eq!(value, format!("{life}:{next}"), "{name} at {next}");
            next += 1;
        }
    }
}

fn verify(bootstrap: &str, known: &State) {
    runtime().block_on(async {
        let mut client = connect(bootstrap).await;
        for (name, known) in known {
            check(&mut client, name, *known).await;
        }
    });
}

impl Topics {
    /// Starts making topics.
    pub fn start(bootstrap: &str, signals: Arc<Signals>) -> Topics {
        let prefix = unique("churn");
        let state: Arc<Mutex<State>> = Arc::default();
        let (lives, stop): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let seen = (Arc::clone(&state), Arc::clone(&lives), Arc::clone(&stop));
        let address = bootstrap.to_owned();
        let worker = thread::spawn(move || {
            let (state, lives, stop) = seen;
            runtime().block_on(async {
                let client = connect(&address).await;
                let mut worker = Worker { client, state };
                let pause = async || {
                    while signals.pause.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                while !stop.load(Ordering::Relaxed) {
                    let life = lives.load(Ordering::Relaxed);
                    let name = format!("{prefix}-{}", life % NAMES);
                    pause().await;
                    worker.remove(&name).await;
                    pause().await;
                    worker.live(&name, life, &pause).await;
                    lives.store(life + 1, Ordering::Relaxed);
                }
            });
        });
        Topics {
            bootstrap: bootstrap.to_owned(),
            state,
            lives,
            stop,
            worker,
        }
    }

    /// What is known now.
    pub fn known(&self) -> State {
        self.state.lock().expect("no holder panics").clone()
    }

    /// Holds what is there against what was known before a crash. Nothing may be begun since.
    pub fn verify(&self, before: &State) {
        verify(&self.bootstrap, before);
    }

    /// Lets the worker end what it does.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the worker, and looks once more; how many topics there were.
    pub fn finish(self) -> u64 {
        self.stop();
        self.worker.join().expect("no worker panics");
        verify(
            &self.bootstrap,
            &self.state.lock().expect("no holder panics"),
        );
        self.lives.load(Ordering::Relaxed)
    }
}
