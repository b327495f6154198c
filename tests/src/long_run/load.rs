//! All of the load together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use ottla_client::admin::NewTopic;
use ottla_client::{Client, ClientOptions};

use super::checker::{self, Checked};
use super::groups::Group;
use super::letters::Letters;
use super::shared::Shared;
use super::streams::{Stream, Told};
use super::transactions::{self, Ledger};
use super::{churn, compacted, groups, letters, streams};

/// Streams of numbered records: of every codec, kept by size, kept by time, trimmed, and compacted.
pub(super) const STREAMS: [Stream; 7] = [
    Stream {
        topic: "small",
        partitions: 3,
        codec: "none",
        sizes: (100, 300),
        rate: 300.0,
        idempotent: true,
        keys: None,
        mixed: false,
        settings: &[("retention.bytes", "4000000"), ("segment.bytes", "500000")],
    },
    Stream {
        topic: "lz4",
        partitions: 3,
        codec: "lz4",
        sizes: (500, 2000),
        rate: 150.0,
        idempotent: true,
        keys: None,
        mixed: false,
        settings: &[("retention.ms", "60000"), ("segment.ms", "10000")],
    },
    Stream {
        topic: "zstd",
        partitions: 3,
        codec: "zstd",
        sizes: (500, 2000),
        rate: 150.0,
        idempotent: true,
        keys: None,
        mixed: false,
        settings: &[("retention.bytes", "4000000"), ("segment.bytes", "500000")],
    },
    Stream {
        topic: "large",
        partitions: 2,
        codec: "none",
        sizes: (100_000, 500_000),
        rate: 5.0,
        idempotent: true,
        keys: None,
        mixed: false,
        settings: &[
            ("retention.bytes", "40000000"),
            ("segment.bytes", "8000000"),
        ],
    },
    Stream {
        topic: "trimmed",
        partitions: 2,
        codec: "gzip",
        sizes: (100, 1000),
        rate: 100.0,
        idempotent: false,
        keys: None,
        mixed: false,
        settings: &[("segment.bytes", "200000")],
    },
    Stream {
        topic: "compacted",
        partitions: 1,
        codec: "snappy",
        sizes: (100, 500),
        rate: 200.0,
        idempotent: true,
        keys: Some(5000),
        mixed: false,
        settings: &[
            ("cleanup.policy", "compact"),
            ("segment.bytes", "200000"),
            ("min.cleanable.dirty.ratio", "0.3"),
            ("delete.retention.ms", "10000"),
        ],
    },
    LETTERS,
];

pub(super) const LETTERS: Stream = Stream {
    topic: "orders",
    partitions: 2,
    codec: "none",
    sizes: (100, 400),
    rate: 60.0,
    idempotent: true,
    keys: None,
    mixed: true,
    settings: &[
        ("retention.bytes", "2000000"),
        ("segment.bytes", "200000"),
        ("dlq.max.attempts", "2"),
    ],
};

/// The queue, so that what has come back does not stay. By size: copies keep their time, so a limit of time would take at once what waited
/// for long before it failed.
const QUEUE: [(&str, &str); 2] = [("retention.bytes", "500000"), ("segment.bytes", "100000")];

const TRANSACTIONS: [(&str, &str); 2] =
    [("retention.bytes", "1000000"), ("segment.bytes", "100000")];

const GROUPS: [Group; 2] = [
    Group {
        name: "eager",
        topics: &["small", "lz4"],
        strategy: "range",
        members: 3,
    },
    Group {
        name: "cooperative",
        topics: &["zstd", "large"],
        strategy: "cooperative-sticky",
        members: 3,
    },
];

/// A load that is on.
pub struct Load {
    shared: Arc<Shared>,
    told: Arc<Told>,
    checked: Arc<Checked>,
    ledger: Arc<Ledger>,
    letters: Arc<Letters>,
    /// End when told to stop.
    makers: Vec<JoinHandle<()>>,
    /// End when all was seen.
    checkers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Makes the topics and starts everything.
    pub fn start(shared: &Arc<Shared>, leak: bool) -> Load {
        make_topics(shared);
        let mut load = Load {
            shared: Arc::clone(shared),
            told: Told::of(&STREAMS),
            checked: Arc::default(),
            ledger: Arc::default(),
            letters: Arc::default(),
            makers: Vec::new(),
            checkers: Vec::new(),
        };
        for stream in STREAMS {
            let (told, letters) = (Arc::clone(&load.told), Arc::clone(&load.letters));
            load.make(stream.topic, move |shared| {
                let room = || !stream.mixed || letters.keep_up(&stream, &told);
                streams::produce(shared, stream, &told, room);
            });
        }
        let checked = Arc::clone(&load.checked);
        load.check("the checker", move |shared| {
            checker::check(shared, &numbered(), &checked);
        });
        for group in GROUPS {
            load.make(group.name, move |shared| groups::keep(shared, group));
        }
        for worker in 0..transactions::WORKERS {
            let ledger = Arc::clone(&load.ledger);
            load.make("transactions", move |shared| {
                transactions::work(shared, &ledger, worker);
            });
        }
        let ledger = Arc::clone(&load.ledger);
        load.check("the checker of transactions", move |shared| {
            transactions::check(shared, &ledger);
        });
        for stream in STREAMS.into_iter().filter(|s| s.keys.is_some()) {
            let told = Arc::clone(&load.told);
            load.make("the reader of all", move |shared| {
                compacted::check(shared, stream, &told);
            });
        }
        let state = Arc::clone(&load.letters);
        load.check("dead letters", move |shared| {
            letters::consume(shared, LETTERS, &state);
        });
        load.make("redrives", |shared| {
            letters::keep_redriving(shared, LETTERS.topic);
        });
        for trimmed in STREAMS.into_iter().filter(|s| !s.idempotent) {
            let checked = Arc::clone(&load.checked);
            load.make("churn", move |shared| {
                churn::work(shared, trimmed, &checked, leak);
            });
        }
        load
    }

    fn make(&mut self, name: &str, work: impl FnOnce(&Arc<Shared>) + Send + 'static) {
        self.makers.push(self.shared.spawn(name, work));
    }

    fn check(&mut self, name: &str, work: impl FnOnce(&Arc<Shared>) + Send + 'static) {
        self.checkers.push(self.shared.spawn(name, work));
    }

    /// Ends the load, and waits until all of it was seen. What was not is among the failures.
    pub fn finish(self) {
        let shared = &self.shared;
        shared.stop.store(true, Ordering::Relaxed);
        join(self.makers);
        checker::await_checked(shared, &numbered(), &self.told, &self.checked);
        self.ledger.await_seen(shared);
        self.letters.await_processed(shared, &LETTERS, &self.told);
        shared.end.store(true, Ordering::Relaxed);
        join(self.checkers);
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A panic is a failure already.
        let _ = thread.join();
    }
}

fn numbered() -> Vec<Stream> {
    STREAMS.into_iter().filter(|s| !s.mixed).collect()
}

fn make_topics(shared: &Shared) {
    let mut topics: Vec<NewTopic> = STREAMS
        .iter()
        .map(|s| new_topic(s.topic, s.partitions, s.settings))
        .collect();
    let workers = transactions::WORKERS as i32;
    topics.push(new_topic(transactions::TOPIC, workers, &TRANSACTIONS));
    let queue = format!("{}.dlq", LETTERS.topic);
    topics.push(new_topic(&queue, LETTERS.partitions, &QUEUE));
    let created = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(async {
            let bootstrap = [shared.bootstrap()];
            let mut client = Client::connect(&bootstrap, ClientOptions::default()).await?;
            client.create_topics(&topics, false).await
        })
        .expect("a fresh broker answers");
    for (name, result) in created {
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn new_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) -> NewTopic {
    let settings = settings.iter().map(|(n, v)| ((*n).into(), (*v).into()));
    NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        configs: settings.collect(),
    }
}
