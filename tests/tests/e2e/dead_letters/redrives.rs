//! A record that a client nacked into the queue comes back to the repaired client: to all groups, or to one.

use std::process::Command;
use std::time::Duration;

use ottla_tests::harness::{Broker, Target, ottla_binary, run};
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::log::make;
use super::nacker::{Event, Nacker};

const TIMEOUT: Duration = Duration::from_secs(60);
/// 2024-01-01T00:00:00Z
const T0: i64 = 1_704_067_200_000;

fn ottla(broker: &Broker, args: &[&str]) -> String {
    let mut command = Command::new(ottla_binary());
    command.args(args).arg("--bootstrap-server");
    command.arg(broker.bootstrap());
    run(&mut command, b"", TIMEOUT).success().to_owned()
}

/// Sends records with key, headers and a time of their own.
fn send(broker: &Broker, values: &[&str]) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .create()
        .expect("the client's settings are right");
    for (i, value) in values.iter().enumerate() {
        let key = format!("key of {value}");
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new()
            .insert(header("trace", *value))
            .insert(header("twice", "1"))
            .insert(header("twice", "2"));
        let record = BaseRecord::to("orders")
            .partition(0)
            .key(&key)
            .payload(*value)
            .headers(headers)
            .timestamp(T0 + i as i64);
        producer.send(record).expect("the queue has room");
    }
    producer.flush(TIMEOUT).expect("all are acknowledged");
}

/// Key, value, time, and the headers that are not of dead letters.
fn content(event: &Event) -> (&str, &str, i64, Vec<&(String, String)>) {
    let own = event
        .headers
        .iter()
        .filter(|(key, _)| !key.starts_with("__dlq."));
    (&event.key, &event.value, event.timestamp, own.collect())
}

/// A broker on which the consumer of `billing` has nacked `poison` into the queue, and what that consumer got of it.
fn nacked() -> Option<(Broker, Event)> {
    if Target::current() == Target::Kafka {
        return None;
    }
    let broker = Broker::start_with(&["dlq.max.attempts=2"]);
    make(&broker, "orders", 1);
    send(&broker, &["before", "poison", "after"]);
    let mut broken = Nacker::start(&broker, "billing", &["orders"], "poison");
    broken.wait_for("after");
    let got = broken.stop();
    let values: Vec<_> = got.iter().map(|event| event.value.as_str()).collect();
    assert_eq!(values, ["before", "poison", "poison", "after"]);
    Some((broker, got[1].clone()))
}

#[test]
fn a_redriven_record_reaches_the_repaired_consumer_once_as_it_was_and_other_groups_again() {
    let Some((broker, first)) = nacked() else {
        return;
    };
    let mut other = Nacker::start(&broker, "shipping", &["orders"], "nothing");
    other.wait_for("after");

    ottla(&broker, &["dlq", "redrive", "orders"]);
    send(&broker, &["last"]);
    let mut repaired = Nacker::start(&broker, "billing", &["orders"], "nothing");
    repaired.wait_for("last");
    let back = repaired.stop();
    let values: Vec<_> = back.iter().map(|event| event.value.as_str()).collect();
    assert_eq!(values, ["poison", "last"]);
    assert_eq!(content(&back[0]), content(&first));
    assert_eq!((back[0].topic.as_str(), back[0].offset), ("orders", 3));
    assert_eq!(back[0].header("__dlq.redrive.count"), "1");

    other.wait_for("last");
    let offsets: Vec<_> = other.got().iter().map(|event| event.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    assert_eq!(ottla(&broker, &["dlq", "peek", "orders", "--json"]), "");
    assert_eq!(super::log::read_all(&broker, "orders.dlq"), []);
}

#[test]
fn a_record_that_is_redriven_for_one_group_reaches_that_group_alone() {
    let Some((broker, first)) = nacked() else {
        return;
    };
    let mut other = Nacker::start(&broker, "shipping", &["orders"], "nothing");
    other.wait_for("after");

    let topics = ["orders", "orders.billing.retry"];
    ottla(
        &broker,
        &["dlq", "redrive", "orders", "--for-group", "billing"],
    );
    send(&broker, &["last"]);
    let mut repaired = Nacker::start(&broker, "billing", &topics, "nothing");
    repaired.wait_for("last");
    repaired.wait_for("poison");
    let got = repaired.stop();
    assert_eq!(got.len(), 2, "{got:#?}");
    let back: Vec<_> = got.iter().filter(|e| e.value == "poison").collect();
    assert_eq!(back.len(), 1, "{got:#?}");
    assert_eq!(content(back[0]), content(&first));
    assert_eq!(back[0].topic, "orders.billing.retry");

    other.wait_for("last");
    let values: Vec<_> = other.got().into_iter().map(|event| event.value).collect();
    assert_eq!(values, ["before", "poison", "after", "last"]);
    assert_eq!(super::log::read_all(&broker, "orders.dlq"), []);
}
