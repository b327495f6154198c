//! Words are counted, each once, whatever is killed.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_tests::harness::{Broker, Reader, Target, try_await};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::message::Message;

use super::application::{Application, TIMEOUT};
use super::feed::{Feeding, Input};
use super::topics::make;
use super::view::{Record, View, read};

const PARTITIONS: i32 = 4;
/// Two halves of the work, before and after the repartition topic.
const TASKS: usize = 2 * PARTITIONS as usize;
/// In a line.
pub const WORDS: usize = 5;
/// Lines that may be ahead of what is counted.
const AHEAD: usize = 200;
/// Records of open transactions that a kill finds.
const IN_FLIGHT: i64 = 50;

/// Records are at the broker long before their transaction ends.
const LONG_TRANSACTIONS: [(&str, &str); 2] =
    [("commit.interval.ms", "300"), ("producer.linger.ms", "0")];

/// Small segments of changelogs (Apache Kafka's are 1 MiB at least), each compacted when it is full.
const COMPACTED_SOON: &[(&str, &str)] = &[
    ("topic.segment.bytes", "16384"),
    ("topic.min.cleanable.dirty.ratio", "0.01"),
];

/// Lines of words, the same every time.
pub fn lines(seed: u64) -> impl FnMut(usize) -> Input + Send + 'static {
    let mut rng = StdRng::seed_from_u64(seed);
    move |number| {
        let words = (0..WORDS).map(|_| format!("word-{}", rng.random_range(0..60)));
        Input {
            topic: "lines",
            value: Some(words.collect::<Vec<_>>().join(" ")),
            partition: Some((number % PARTITIONS as usize) as i32),
            ..Input::default()
        }
    }
}

/// How often each word is in the lines.
fn computed(lines: &[Input]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let lines = lines.iter().flat_map(|line| &line.value);
    for word in lines.flat_map(|line| line.split(' ')) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// The last count of each word. Panics unless each rises by one from one to there.
fn counted(records: &[Record]) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for record in records {
        let last = counts.entry(record.key.clone()).or_default();
        let value = record.value.as_ref().expect("a count");
        assert_eq!(value.parse(), Ok(*last + 1), "after {last}: {record:?}");
        *last += 1;
    }
    counts
}

/// How many records the store's changelog has, and the last count of each word there.
fn changelog(bootstrap: &str) -> (usize, BTreeMap<String, u64>) {
    let found = Reader::all(bootstrap, "word-count-seen-changelog").found;
    let rows = found.iter().map(|record| {
        let word = record.key().expect("a word");
        let count = record.payload().expect("a count").try_into();
        let count = u64::from_be_bytes(count.expect("eight bytes"));
        (String::from_utf8_lossy(word).into_owned(), count)
    });
    (found.len(), rows.collect())
}

/// Waits until records that later ones stand for are gone from the changelog.
fn await_compaction(bootstrap: &str, counts: &View) {
    let compacted = try_await(TIMEOUT, || {
        // The changelog has a record for each count that is seen.
        let (seen, (left, _)) = (counts.len(), changelog(bootstrap));
        if left < seen {
            Ok(())
        } else {
            Err((left, seen))
        }
    });
    compacted.expect("the changelog is compacted");
}

fn feed(broker: &Broker, counts: &Arc<View>) -> Feeding {
    let seen = counts.clone();
    Feeding::start(&broker.bootstrap(), lines(7), move |sent| {
        let ready = sent <= seen.len() / WORDS + AHEAD;
        if !ready {
            seen.await_change();
        }
        ready
    })
}

/// Ends the input, and panics unless each word of it is counted once.
fn check_counts(broker: &Broker, counts: &View, feeding: Feeding) {
    let lines = feeding.stop();
    let total = lines.len() * WORDS;
    counts.await_that(&format!("{total} records"), |seen| seen.len() >= total);
    let counts = read(&broker.bootstrap(), "counts");
    assert_eq!(counted(&counts), computed(&lines));
}

#[test]
fn words_are_counted_exactly_once_whatever_is_killed() {
    let mut broker = Broker::start();
    make(&broker, &["lines", "counts"], PARTITIONS);
    let counts = Arc::new(View::of(&broker.bootstrap(), "counts", PARTITIONS));
    let compacted = broker.target() == Target::Ottla;
    let mut settings = LONG_TRANSACTIONS.to_vec();
    if compacted {
        settings.extend(COMPACTED_SOON);
    }
    let application = Application::new(&broker, "word-count", &settings);
    let written = View::uncommitted(&broker.bootstrap(), "counts", PARTITIONS);
    let feeding = feed(&broker, &counts);

    let first = application.start("first");
    let second = application.start("second");
    // Both have some of each half of the work.
    first.await_tasks(3);
    second.await_tasks(3);
    counts.await_more(1_000);

    // An instance dies in a transaction; the other one takes over, with stores that it has not.
    written.await_ahead(&counts, IN_FLIGHT);
    first.kill();
    second.await_tasks(TASKS);
    counts.await_more(1_000);

    // It comes back to the stores that it left.
    let first = application.start("first");
    first.await_tasks(3);
    counts.await_more(1_000);

    written.await_ahead(&counts, IN_FLIGHT);
    broker.kill();
    broker.restart();
    counts.await_more(1_000);

    // Nothing is left of either but what the broker has, which is less than they wrote.
    if compacted {
        await_compaction(&broker.bootstrap(), &counts);
    }
    written.await_ahead(&counts, IN_FLIGHT);
    first.kill();
    second.kill();
    application.forget("first");
    application.forget("second");
    let first = application.start("first");
    let second = application.start("second");
    first.await_tasks(3);
    second.await_tasks(3);
    counts.await_more(1_000);

    check_counts(&broker, &counts, feeding);
    assert!(first.restored() > 0, "{:?}", first.said());
    first.close();
    second.close();
    let (_, last) = changelog(&broker.bootstrap());
    let counts = read(&broker.bootstrap(), "counts");
    assert_eq!(last, counted(&counts));
}

#[test]
fn an_instance_that_was_stopped_for_a_while_writes_nothing_more_of_what_it_began() {
    let broker = Broker::start();
    make(&broker, &["lines", "counts"], PARTITIONS);
    let counts = Arc::new(View::of(&broker.bootstrap(), "counts", PARTITIONS));
    let application = Application::new(&broker, "word-count", &[]);
    let feeding = feed(&broker, &counts);
    let first = application.start("first");
    let second = application.start("second");
    first.await_tasks(3);
    second.await_tasks(3);
    counts.await_more(1_000);

    // As in a long collection of garbage: the group goes on without it, and then it wakes up in the middle of a transaction.
    first.signal("STOP");
    second.await_tasks(TASKS);
    counts.await_more(1_000);
    first.signal("CONT");
    let awake = first.await_line("its tasks, or its end", |line| {
        line.starts_with("died ")
            || line.split_whitespace().count() > 3 && line.starts_with("tasks ")
    });
    let first = match awake.strip_prefix("died ") {
        None => first,
        // It was about to commit what the broker has aborted since. Brokers then answer INVALID_TXN_STATE to an EndTxn of version 5, and Streams
        // ends on that; whatever else it is about to do, it is fenced and goes on.
        Some(reason) => {
            assert!(reason.contains("InvalidTxnStateException"), "{reason}");
            drop(first);
            let again = application.start("first");
            again.await_tasks(3);
            again
        }
    };
    counts.await_more(1_000);

    check_counts(&broker, &counts, feeding);
    first.close();
    second.close();
}

#[test]
fn words_are_counted_at_least_once_without_transactions() {
    let broker = Broker::start();
    make(&broker, &["lines", "counts"], PARTITIONS);
    let counts = Arc::new(View::of(&broker.bootstrap(), "counts", PARTITIONS));
    // A static member, which finds its place again: nobody waits for the one before to expire, which would be long.
    let settings = [
        ("processing.guarantee", "at_least_once"),
        ("group.instance.id", "one"),
        ("session.timeout.ms", "300000"),
    ];
    let application = Application::new(&broker, "word-count", &settings);
    let feeding = feed(&broker, &counts);
    let instance = application.start("one");
    instance.await_tasks(TASKS);
    counts.await_more(1_000);
    // Closed, it has committed all that it did, and goes on from there.
    instance.close();
    let instance = application.start("one");
    counts.await_more(1_000);
    check_counts(&broker, &counts, feeding);
    assert_eq!(instance.restored(), 0, "its stores were whole");
    instance.close();
}
