//! Windows are counted, and each is said once, when it is over.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_tests::harness::Broker;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::application::Application;
use super::feed::{Feed, Feeding, Input};
use super::topics::make;
use super::view::{View, read};

const PARTITIONS: usize = 2;
const PAGES: usize = 4;
/// Milliseconds.
const WINDOW: i64 = 10_000;
/// Between two clicks of a partition.
const STEP: i64 = 500;
/// A click may come so much later than others: less than the grace, since an instance that takes over does not know how far
/// time had come.
const LATE: i64 = 4_000;
/// When the first click is made, at the beginning of a window: long enough ago for all of them to be over by now, and not so
/// long that retention takes records.
static BEGIN: LazyLock<i64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_millis() as i64;
    now - now % WINDOW - 24 * 3_600_000
});

fn click(partition: usize, page: usize, timestamp: i64) -> Input {
    Input {
        topic: "clicks",
        key: format!("page-{partition}-{page}"),
        value: Some(String::new()),
        partition: Some(partition as i32),
        timestamp: Some(timestamp),
    }
}

fn clicks() -> impl FnMut(usize) -> Input + Send + 'static {
    let mut rng = StdRng::seed_from_u64(11);
    move |number| {
        let made = *BEGIN + LATE + (number / PARTITIONS) as i64 * STEP;
        let late = rng.random_range(0..LATE);
        click(number % PARTITIONS, rng.random_range(0..PAGES), made - late)
    }
}

/// The count of each window that has a click.
fn computed(clicks: &[Input]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for click in clicks {
        let made = click.timestamp.expect("clicks have one");
        let window = format!("{}@{}", click.key, made - made % WINDOW);
        *counts.entry(window).or_default() += 1;
    }
    counts
}

#[test]
fn each_window_is_said_once_whatever_is_killed() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    make(&broker, &["clicks", "windows"], PARTITIONS as i32);
    let windows = Arc::new(View::of(&bootstrap, "windows", PARTITIONS as i32));
    let application = Application::new(&broker, "clicks", &[]);
    let seen = windows.clone();
    let feeding = Feeding::start(&bootstrap, clicks(), move |sent| {
        // About 40 clicks of each partition are in windows that are not over.
        let ready = sent <= 5 * seen.len() + 400;
        if !ready {
            seen.await_change();
        }
        ready
    });

    let first = application.start("first");
    let second = application.start("second");
    first.await_tasks(1);
    second.await_tasks(1);
    windows.await_more(200);

    // What waits for its window's end is taken over.
    first.kill();
    second.await_tasks(PARTITIONS);
    windows.await_more(200);

    broker.kill();
    broker.restart();
    windows.await_more(200);

    second.kill();
    application.forget("second");
    let first = application.start("first");
    first.await_tasks(PARTITIONS);
    windows.await_more(200);

    let mut clicks = feeding.stop();
    let feed = Feed::new(&bootstrap);
    // A click that ends all windows before it; those that come too late; and one that ends its window.
    let end = *BEGIN + 20 * 3_600_000;
    let ending = (0..PARTITIONS).map(|partition| click(partition, 0, end));
    clicks.extend(ending);
    feed.send(&clicks[clicks.len() - PARTITIONS..]);
    let late: Vec<_> = (0..PARTITIONS).map(|p| click(p, 1, *BEGIN)).collect();
    feed.send(&late);
    let last: Vec<_> = (0..PARTITIONS)
        .map(|p| click(p, 2, end + 2 * WINDOW))
        .collect();
    feed.send(&last);

    let computed = computed(&clicks);
    let total = computed.len();
    windows.await_that(&format!("{total}"), |seen| seen.len() >= total);
    assert!(first.restored() > 0, "{:?}", first.said());
    first.close();
    let mut said = BTreeMap::new();
    for window in read(&bootstrap, "windows") {
        let count = window.value.expect("a count").parse().expect("a number");
        let before = said.insert(window.key.clone(), count);
        assert_eq!(before, None, "{} is said twice", window.key);
    }
    assert_eq!(said, computed);
}
