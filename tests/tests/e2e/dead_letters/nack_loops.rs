//! The loop of nack, ask for the position, seek, in the clients that docs/DEAD_LETTERS.md has no consumer for. The checks are in their
//! programs, which run them when they are named: Apache Kafka has no dead letters.

use std::time::Duration;

use ottla_tests::harness::{Broker, Client, Target, program, run};
use serde_json::Value;

use super::log::read_all;

fn moves_what_it_nacks(client: Client) {
    if Target::current() == Target::Kafka {
        return;
    }
    let broker = Broker::start_with(&["dlq.max.attempts=3"]);
    let check = "moves_what_it_nacks";
    let mut command = program(client);
    command.arg(broker.bootstrap()).arg(check);
    let finished = run(&mut command, b"", Duration::from_secs(180));
    let said: Value = serde_json::from_str(finished.success()).expect("one line of JSON");
    assert_eq!(
        (&said["check"], &said["ok"]),
        (&Value::from(check), &Value::from(true)),
        "{said:#}"
    );
    let queue = read_all(&broker, "nacked.dlq");
    assert_eq!(queue.len(), 1, "{queue:#?}");
    assert_eq!(queue[0].value, "2");
    for (name, expected) in [
        ("__dlq.errors.topic", "nacked"),
        ("__dlq.errors.offset", "2"),
        ("__dlq.errors.delivery.count", "3"),
        ("__dlq.errors.message", "cannot read 2"),
    ] {
        let found = queue[0].headers.get(name).map(String::as_str);
        assert_eq!(found, Some(expected), "{name}");
    }
}

#[test]
fn an_aiokafka_consumer_moves_what_it_nacks() {
    moves_what_it_nacks(Client::Aiokafka);
}

#[test]
fn a_sarama_consumer_moves_what_it_nacks() {
    moves_what_it_nacks(Client::Sarama);
}
