//! What all parts of the load share: where the broker is, when to end, what was counted, and what did not hold.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;

/// Messages about what did not hold, at most.
const MAX_FAILURES: usize = 100;

const PASSED: &str = "records removed before they were checked";

/// What has been done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Records that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Their bytes, before compression.
    pub bytes: AtomicU64,
    /// Records that the checking consumers saw.
    pub checked: AtomicU64,
    /// Records that members of groups saw.
    pub consumed: AtomicU64,
    /// Members that joined a group.
    pub joined: AtomicU64,
    /// Transactions that were said to be committed.
    pub committed: AtomicU64,
    /// Transactions that were said to be aborted.
    pub aborted: AtomicU64,
    /// Topics that were made and removed.
    pub topics: AtomicU64,
    /// Connections that were opened and dropped.
    pub dropped: AtomicU64,
    /// Calls of administration.
    pub admin: AtomicU64,
    /// Records that came to the dead letter queue.
    pub dead_letters: AtomicU64,
    /// Records that came back from it.
    pub redriven: AtomicU64,
    /// Times that a whole compacted topic was read.
    pub compacted_reads: AtomicU64,
    /// Records that retention removed before they were checked.
    pub passed: AtomicU64,
}

impl Counts {
    /// All of them, by name.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        [
            ("records acknowledged", &self.acknowledged),
            ("bytes acknowledged", &self.bytes),
            ("records checked", &self.checked),
            ("records consumed by groups", &self.consumed),
            ("members joined", &self.joined),
            ("transactions committed", &self.committed),
            ("transactions aborted", &self.aborted),
            ("topics made and removed", &self.topics),
            ("connections dropped", &self.dropped),
            ("admin calls", &self.admin),
            ("records dead-lettered", &self.dead_letters),
            ("records redriven", &self.redriven),
            ("compacted topic read", &self.compacted_reads),
            (PASSED, &self.passed),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
        .into()
    }

    /// What has not been done even once: a load without it proves less than it says. That retention passes a checker is no aim.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut all = self.all();
        all.retain(|name, count| *count == 0 && *name != PASSED);
        all.into_keys().collect()
    }
}

/// Adds to a count.
pub fn add(count: &AtomicU64, number: u64) {
    count.fetch_add(number, Ordering::Relaxed);
}

/// Where the load finds the broker, and where it says what it saw.
pub struct Shared {
    /// The broker's port, of both protocols.
    pub port: u16,
    /// How much of the usual load: 1 for all of it.
    pub load: f64,
    /// Ends what makes load.
    pub stop: AtomicBool,
    /// Ends what checks, once that has seen everything.
    pub end: AtomicBool,
    /// What was done.
    pub counts: Counts,
    /// When it began; times in records count from here.
    pub began: Instant,
    latencies: Mutex<Vec<Duration>>,
    failures: Mutex<Vec<String>>,
}

impl Shared {
    /// For a broker on `port`.
    pub fn new(port: u16, load: f64) -> Arc<Shared> {
        Arc::new(Shared {
            port,
            load,
            stop: AtomicBool::new(false),
            end: AtomicBool::new(false),
            counts: Counts::default(),
            began: Instant::now(),
            latencies: Mutex::default(),
            failures: Mutex::default(),
        })
    }

    /// `127.0.0.1:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether load is still to be made.
    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Says that something did not hold.
    pub fn fail(&self, what: String) {
        let mut failures = lock(&self.failures);
        if failures.len() < MAX_FAILURES {
            eprintln!(
                "{:.0} s: FAILED: {what}",
                self.began.elapsed().as_secs_f64()
            );
            failures.push(what);
        }
    }

    /// What did not hold so far.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Notes how long a record took from its producer to a consumer.
    pub fn arrived(&self, sent: u64) {
        let took = Duration::from_nanos(self.now().saturating_sub(sent));
        lock(&self.latencies).push(took);
    }

    /// What was noted since the last call.
    pub fn latencies(&self) -> Vec<Duration> {
        std::mem::take(&mut lock(&self.latencies))
    }

    /// A thread whose panic is a failure.
    pub fn spawn(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> JoinHandle<()> {
        let (shared, name) = (Arc::clone(self), name.to_owned());
        thread::spawn(move || {
            if panic::catch_unwind(AssertUnwindSafe(|| work(&shared))).is_err() {
                shared.fail(format!("{name} ended with a panic: see above"));
            }
        })
    }

    /// Settings of a client that comes back fast.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200")
            .set("retry.backoff.ms", "20")
            .set("topic.metadata.refresh.interval.ms", "5000");
        config
    }
}

/// A lock whose holder's panic is told elsewhere.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
