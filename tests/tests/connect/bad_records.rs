//! A sink meets records that it cannot read: they go to its dead letter queue with what went wrong, and the rest goes on.

use ottla_tests::harness::connect::Worker;
use ottla_tests::harness::{Broker, Reader, kcat, unique};
use rdkafka::message::{Headers, Message, OwnedMessage};
use serde_json::json;

use crate::files::{lines, sink};

fn header<'a>(record: &'a OwnedMessage, key: &str) -> &'a str {
    let headers = record.headers().unwrap();
    let header = headers.iter().find(|header| header.key == key).unwrap();
    std::str::from_utf8(header.value.unwrap()).unwrap()
}

#[test]
fn bad_records_go_to_the_dead_letter_queue_of_the_sink() {
    let broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let mut worker = Worker::launch(&bootstrap, &unique("connect"), &[]);
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    // Both its topics come into being by Connect itself.
    let records = "\"good 1\"\nbad {1\n\"good 2\"\nbad {2\n\"good 3\"\n";
    kcat(
        &bootstrap,
        &["-P", "-t", "mixed", "-p", "0"],
        records.as_bytes(),
    )
    .success();
    worker.await_ready();
    let mut config = sink(&copy, "mixed");
    for (name, value) in [
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "mixed-bad"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        ("transforms", "wrap"),
        (
            "transforms.wrap.type",
            "org.apache.kafka.connect.transforms.HoistField$Value",
        ),
        ("transforms.wrap.field", "line"),
    ] {
        config[name] = json!(value);
    }
    worker.put_connector("sink", &config);
    worker.await_that("the good ones arrive", || {
        let copied = lines(&copy);
        let good = ["{line=good 1}", "{line=good 2}", "{line=good 3}"];
        (copied == good).then_some(()).ok_or(format!("{copied:?}"))
    });
    let mut reader = Reader::new(&bootstrap, "mixed-bad");
    reader.until(|found| found.len() >= 2);
    assert_eq!(reader.values(), ["bad {1", "bad {2"]);
    for (record, offset) in reader.found.iter().zip(["1", "3"]) {
        assert_eq!(header(record, "__connect.errors.topic"), "mixed");
        assert_eq!(header(record, "__connect.errors.offset"), offset);
        assert_eq!(header(record, "__connect.errors.stage"), "VALUE_CONVERTER");
        assert_eq!(
            header(record, "__connect.errors.exception.class.name"),
            "org.apache.kafka.connect.errors.DataException"
        );
    }
    // Without tolerance the task fails, and says why.
    config["errors.tolerance"] = json!("none");
    config["consumer.override.group.id"] = json!(unique("strict"));
    worker.put_connector("strict", &config);
    let failed = worker.await_that("the task fails", || {
        let status = worker.ask("GET", "/connectors/strict/status", None).body;
        let failed = status["tasks"][0]["state"] == "FAILED";
        failed.then(|| status.clone()).ok_or(status.to_string())
    });
    let trace = failed["tasks"][0]["trace"].as_str().unwrap();
    assert!(
        trace.contains("Tolerance exceeded in error handler"),
        "{trace}"
    );
}
