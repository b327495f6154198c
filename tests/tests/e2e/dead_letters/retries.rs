//! Nacked records that wait before they come again, with a real client. Only lower bounds of time are asserted.

use ottla_tests::harness::{Broker, Target};

use super::log::{fill, read_all};
use super::nacker::{Event, Nacker};

/// Milliseconds before the second attempt; twice that before the third.
const BACKOFF: i64 = 400;
const POISON: [usize; 1] = [2];
const RETRY: &str = "orders.billing.retry";

fn with_retries(mode: &str, backoff: &str) -> Option<Broker> {
    if Target::current() == Target::Kafka {
        return None;
    }
    let broker = Broker::start_with(&[
        "dlq.max.attempts=3",
        "dlq.retry.backoff.max.ms=3600000",
        &format!("dlq.retry.mode={mode}"),
        &format!("dlq.retry.backoff.ms={backoff}"),
    ]);
    fill(&broker, "orders", 1, 6, "none", &POISON);
    Some(broker)
}

/// The offsets of the topic that were got, in order.
fn offsets(events: &[Event], topic: &str) -> Vec<i64> {
    let got = events.iter().filter(|e| !e.is_nack && e.topic == topic);
    got.map(|event| event.offset).collect()
}

fn nacks(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| event.is_nack).collect()
}

/// The queue holds the one poison, with where it was first.
fn check_queue(broker: &Broker) {
    let queue = read_all(broker, "orders.dlq");
    assert_eq!(queue.len(), 1, "{queue:#?}");
    assert_eq!(queue[0].value, "poison-2");
    for (name, expected) in [
        ("__dlq.errors.topic", "orders"),
        ("__dlq.errors.partition", "0"),
        ("__dlq.errors.offset", "2"),
        ("__dlq.errors.group", "billing"),
        ("__dlq.errors.delivery.count", "3"),
        ("__dlq.errors.message", "cannot read poison-2"),
    ] {
        let found = queue[0].headers.get(name).map(String::as_str);
        assert_eq!(found, Some(expected), "{name}");
    }
}

/// Waits until the queue of `orders` holds something: the last nack is answered after it was said.
fn wait_for_the_queue(broker: &Broker, consumer: &mut Nacker) {
    consumer.wait("the queue", |_| !read_all(broker, "orders.dlq").is_empty());
}

#[test]
fn unordered_the_partition_goes_on_while_a_record_waits() {
    let Some(broker) = with_retries("unordered", "3600000") else {
        return;
    };
    let mut consumer = Nacker::start(&broker, "billing", &["orders", RETRY], "poison");
    consumer.wait_for("record-5");
    let events = consumer.events();
    assert_eq!(offsets(&events, "orders"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(offsets(&events, RETRY), [0i64; 0]);
    assert_eq!(nacks(&events).len(), 1);
    assert_eq!(read_all(&broker, "orders.dlq"), []);
}

#[test]
fn unordered_a_record_comes_again_in_the_retry_topic_when_it_is_due_and_ends_in_the_topics_queue() {
    let Some(broker) = with_retries("unordered", &BACKOFF.to_string()) else {
        return;
    };
    let mut consumer = Nacker::start(&broker, "billing", &["orders", RETRY], "poison");
    consumer.wait("three nacks", |events| nacks(events).len() == 3);
    consumer.wait_for("record-5");
    wait_for_the_queue(&broker, &mut consumer);
    let events = consumer.events();
    assert_eq!(offsets(&events, "orders"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(offsets(&events, RETRY), [0, 1]);
    let again: Vec<_> = events
        .iter()
        .filter(|event| !event.is_nack && event.topic == RETRY)
        .collect();
    let nacks = nacks(&events);
    for (attempt, record) in again.iter().enumerate() {
        let due: i64 = record
            .header("__dlq.retry.at")
            .parse()
            .expect("milliseconds");
        let wait = BACKOFF << attempt;
        assert!(due >= nacks[attempt].at + wait, "{events:#?}");
        assert!(record.at >= due, "{events:#?}");
        assert_eq!(record.key, "2");
    }
    check_queue(&broker);
}

#[test]
fn ordered_nothing_of_the_partition_is_served_before_the_record_is_due() {
    let Some(broker) = with_retries("ordered", &BACKOFF.to_string()) else {
        return;
    };
    let mut consumer = Nacker::start(&broker, "billing", &["orders"], "poison");
    consumer.wait_for("record-5");
    let events = consumer.events();
    assert_eq!(offsets(&events, "orders"), [0, 1, 2, 2, 2, 3, 4, 5]);
    let attempts: Vec<_> = events.iter().filter(|event| event.offset == 2).collect();
    let kinds: Vec<_> = attempts.iter().map(|event| event.is_nack).collect();
    assert_eq!(kinds, [false, true, false, true, false, true]);
    for attempt in 0..2 {
        let (nack, next) = (attempts[2 * attempt + 1], attempts[2 * attempt + 2]);
        assert!(next.at >= nack.at + (BACKOFF << attempt), "{events:#?}");
    }
    check_queue(&broker);
}
