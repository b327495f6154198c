//! The outbox pattern: an application writes events into a table, Debezium brings each to the topic that it names, once,
//! whatever dies on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ottla_tests::harness::connect::Worker;
use ottla_tests::harness::{Broker, Reader, installed, unique};
use rdkafka::message::{Headers, Message, OwnedMessage};
use serde_json::{Value, json};

use crate::postgres::Postgres;

const KINDS: [&str; 2] = ["order", "payment"];
const AGGREGATES: usize = 5;
const TABLE: &str = "CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL, \
                     aggregateid text NOT NULL, type text NOT NULL, payload text);";

fn connector(postgres: &Postgres) -> Value {
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "exactly.once.support": "required",
        "database.hostname": "127.0.0.1",
        "database.port": postgres.port.to_string(),
        "database.user": "postgres",
        "database.password": "none",
        "database.dbname": "postgres",
        "plugin.name": "pgoutput",
        "publication.autocreate.mode": "filtered",
        "topic.prefix": "app",
        "table.include.list": "public.outbox",
        "poll.interval.ms": "20",
        "slot.drop.on.stop": "false",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement": "events.${routedByValue}",
        "transforms.outbox.route.tombstone.on.empty.payload": "true",
        "transforms.outbox.table.fields.additional.placement": "type:header:eventType",
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": "3",
    })
}

/// The nth event, as the statement that writes it. Every tenth takes its aggregate away.
fn event(number: usize) -> String {
    let kind = KINDS[number % 2];
    let aggregate = number / 2 % AGGREGATES;
    let (name, payload) = match number % 10 {
        9 => ("Deleted", "NULL".to_owned()),
        _ => ("Changed", format!("'{number}'")),
    };
    // What was written is of no more use, and a deletion is no event.
    format!(
        "BEGIN; INSERT INTO outbox (aggregatetype, aggregateid, type, payload) \
         VALUES ('{kind}', '{aggregate}', '{name}', {payload}); DELETE FROM outbox; COMMIT;"
    )
}

fn header(record: &OwnedMessage, key: &str) -> String {
    let headers = record.headers().unwrap();
    let header = headers.iter().find(|header| header.key == key).unwrap();
    String::from_utf8_lossy(header.value.unwrap()).into_owned()
}

/// What a topic must hold of each aggregate, in this order: the event and its payload.
fn expected(kind: usize, aggregate: usize, count: usize) -> Vec<(String, Option<String>)> {
    (0..count)
        .filter(|number| number % 2 == kind && number / 2 % AGGREGATES == aggregate)
        .map(|number| match number % 10 {
            9 => ("Deleted".to_owned(), None),
            _ => ("Changed".to_owned(), Some(number.to_string())),
        })
        .collect()
}

#[test]
fn events_of_an_outbox_arrive_once_and_in_order_whoever_dies() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let plugins = installed("connect/plugins", "connect");
    let plugins = format!("plugin.path={}", plugins.display());
    let settings = ["exactly.once.source.support=enabled", &plugins];
    let mut worker = Worker::launch(&bootstrap, &unique("connect"), &settings);
    let postgres = Postgres::start();
    postgres.execute(TABLE);
    worker.await_ready();
    worker.put_connector("outbox", &connector(&postgres));
    worker.await_state("outbox", "RUNNING", 1);

    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicUsize::new(0));
    let (end, count) = (stop.clone(), written.clone());
    let mut session = postgres.session();
    let application = thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            session.execute(&event(count.load(Ordering::Relaxed)));
            count.fetch_add(1, Ordering::Relaxed);
            // The pace of an application.
            thread::sleep(Duration::from_millis(5));
        }
        session.close();
    });
    // Something that was not there when this was called has arrived.
    let await_progress = |worker: &Worker| {
        let now = written.load(Ordering::Relaxed);
        let topic = format!("events.{}", KINDS[0]);
        worker.await_that("its topic is there", || {
            let used = worker.ask("GET", "/connectors/outbox/topics", None).body;
            let there = used["outbox"]["topics"].as_array();
            let there = there.is_some_and(|all| all.iter().any(|name| *name == topic.as_str()));
            there.then_some(()).ok_or(used.to_string())
        });
        let mut reader = Reader::new(&bootstrap, &topic);
        reader.until(|found| found.len() > now / 2);
    };
    await_progress(&worker);
    worker.kill();
    worker.restart();
    worker.await_ready();
    await_progress(&worker);
    broker.kill();
    broker.restart();
    await_progress(&worker);
    stop.store(true, Ordering::Relaxed);
    application.join().unwrap();
    let count = written.load(Ordering::Relaxed);

    for (kind, name) in KINDS.iter().enumerate() {
        let wanted = (0..count).filter(|number| number % 2 == kind).count();
        let mut reader = Reader::new(&bootstrap, &format!("events.{name}"));
        reader.until(|found| found.len() >= wanted);
        let reader = Reader::all(&bootstrap, &format!("events.{name}"));
        assert_eq!(reader.found.len(), wanted, "{name}: each event once");
        for aggregate in 0..AGGREGATES {
            let key = aggregate.to_string();
            let events: Vec<_> = reader
                .found
                .iter()
                .filter(|record| record.key() == Some(key.as_bytes()))
                .map(|record| {
                    let payload = record.payload();
                    let payload = payload.map(|text| String::from_utf8_lossy(text).into_owned());
                    (header(record, "eventType"), payload)
                })
                .collect();
            assert_eq!(events, expected(kind, aggregate, count), "{name} {key}");
        }
    }
    worker.ask("DELETE", "/connectors/outbox", None).success();
}
