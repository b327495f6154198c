//! Connectors are stopped, their offsets looked at, moved and forgotten by REST (KIP-875), and they go on from there.

use std::fs;

use ottla_tests::harness::connect::Worker;
use ottla_tests::harness::{Broker, Reader, unique};
use rdkafka::message::Message;
use serde_json::{Value, json};

use crate::files::{line, lines, sink, source};

const LINES: usize = 40;

fn stop(worker: &Worker, name: &str) {
    worker
        .ask("PUT", &format!("/connectors/{name}/stop"), None)
        .success();
    worker.await_state(name, "STOPPED", 0);
}

fn resume(worker: &Worker, name: &str) {
    worker
        .ask("PUT", &format!("/connectors/{name}/resume"), None)
        .success();
    worker.await_state(name, "RUNNING", 1);
}

fn offsets(worker: &Worker, name: &str) -> Value {
    let path = format!("/connectors/{name}/offsets");
    worker.ask("GET", &path, None).success()
}

/// What a connector has committed, once that is so.
fn await_offset(worker: &Worker, name: &str, field: &str, wanted: u64) {
    worker.await_that("the offset is committed", || {
        let offsets = offsets(worker, name);
        let all = offsets["offsets"].as_array().unwrap();
        let there = all.len() == 1 && all[0]["offset"][field] == wanted;
        there.then_some(()).ok_or(offsets.to_string())
    });
}

#[test]
fn connectors_go_on_where_they_are_told_to() {
    let broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let settings = ["exactly.once.source.support=enabled"];
    let mut worker = Worker::launch(&bootstrap, &unique("connect"), &settings);
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let copy = dir.path().join("copy");
    let written: Vec<String> = (0..LINES).map(line).collect();
    let text = |lines: &[String]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    fs::write(&original, text(&written)).unwrap();
    worker.await_ready();
    worker.put_connector("source", &source(&original, "lines"));
    worker.put_connector("sink", &sink(&copy, "lines"));
    worker.await_that("the copy is there", || {
        let copied = lines(&copy);
        (copied == written)
            .then_some(())
            .ok_or(copied.len().to_string())
    });
    await_offset(&worker, "source", "position", text(&written).len() as u64);

    // Paused connectors keep their tasks and go on with what came meanwhile.
    for name in ["source", "sink"] {
        worker
            .ask("PUT", &format!("/connectors/{name}/pause"), None)
            .success();
        worker.await_state(name, "PAUSED", 1);
    }
    let more: Vec<String> = (LINES..LINES + 10).map(line).collect();
    let both = [written.clone(), more.clone()].concat();
    fs::write(&original, text(&both)).unwrap();
    for name in ["source", "sink"] {
        resume(&worker, name);
    }
    worker.await_that("what came meanwhile is copied", || {
        let copied = lines(&copy);
        (copied == both)
            .then_some(())
            .ok_or(copied.len().to_string())
    });

    // A running connector's offsets are not to be changed.
    let refused = worker.ask("DELETE", "/connectors/source/offsets", None);
    assert_eq!(refused.status, 400, "{refused:?}");

    // The source is sent back to the middle of its file: it writes the rest again.
    stop(&worker, "source");
    let middle = text(&both[..25]).len();
    let moved = json!({"offsets": [
        {"partition": {"filename": original}, "offset": {"position": middle}}
    ]});
    let answer = worker.ask("PATCH", "/connectors/source/offsets", Some(&moved));
    answer.success();
    assert_eq!(offsets(&worker, "source"), moved);
    resume(&worker, "source");
    let again = [both.clone(), both[25..].to_vec()].concat();
    let mut reader = Reader::new(&bootstrap, "lines");
    reader.until(|found| found.len() >= again.len());
    assert_eq!(reader.values(), again);

    // The sink is sent to the tenth record, and then to the beginning.
    worker.await_that("the copy is complete", || {
        let copied = lines(&copy);
        (copied == again)
            .then_some(())
            .ok_or(copied.len().to_string())
    });
    stop(&worker, "sink");
    let tenth = reader.found[10].offset();
    let moved = json!({"offsets": [
        {"partition": {"kafka_topic": "lines", "kafka_partition": 0}, "offset": {"kafka_offset": tenth}}
    ]});
    worker
        .ask("PATCH", "/connectors/sink/offsets", Some(&moved))
        .success();
    assert_eq!(offsets(&worker, "sink"), moved);
    fs::remove_file(&copy).unwrap();
    resume(&worker, "sink");
    worker.await_that("the copy begins at the tenth", || {
        let copied = lines(&copy);
        (copied == again[10..])
            .then_some(())
            .ok_or(copied.len().to_string())
    });
    stop(&worker, "sink");
    worker
        .ask("DELETE", "/connectors/sink/offsets", None)
        .success();
    assert_eq!(offsets(&worker, "sink"), json!({"offsets": []}));
    fs::remove_file(&copy).unwrap();
    resume(&worker, "sink");
    worker.await_that("the copy begins anew", || {
        let copied = lines(&copy);
        (copied == again)
            .then_some(())
            .ok_or(copied.len().to_string())
    });

    // What was forgotten is forgotten by the next worker, too.
    stop(&worker, "source");
    worker
        .ask("DELETE", "/connectors/source/offsets", None)
        .success();
    worker.kill();
    worker.restart();
    worker.await_ready();
    worker.await_state("source", "STOPPED", 0);
    assert_eq!(offsets(&worker, "source"), json!({"offsets": []}));
}
