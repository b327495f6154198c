//! A file goes through a topic into another file while workers and the broker die: each line once, in order.

use std::collections::HashSet;
use std::path::Path;

use ottla_tests::harness::connect::Worker;
use ottla_tests::harness::{Broker, Reader, unique};
use rdkafka::message::Message;
use serde_json::Value;

use crate::files::{Writer, lines, sink, source};

/// Waits until the sink's file has something that was not written when this was called.
fn await_progress(asked: &Worker, writer: &Writer, copy: &Path) {
    let wanted = crate::files::line(writer.written());
    asked.await_that("a new line arrives", || {
        let lines = lines(copy);
        if lines.contains(&wanted) {
            Ok(())
        } else {
            Err(format!("{:?}, not {wanted:?}", lines.last()))
        }
    });
}

/// The worker that runs a connector's task.
fn at_work(status: &Value) -> String {
    status["tasks"][0]["worker_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_gets_through_once_whoever_dies() {
    let mut broker = Broker::start_with(&["log.cleaner.backoff.ms=50"]);
    let bootstrap = broker.bootstrap();
    let group = unique("connect");
    // What Connect keeps is compacted all the time.
    let settings = [
        "exactly.once.source.support=enabled",
        "config.storage.segment.ms=200",
        "config.storage.min.cleanable.dirty.ratio=0.01",
        "offset.storage.segment.ms=200",
        "offset.storage.min.cleanable.dirty.ratio=0.01",
        "status.storage.segment.ms=200",
        "status.storage.min.cleanable.dirty.ratio=0.01",
    ];
    let mut workers = [
        Worker::launch(&bootstrap, &group, &settings),
        Worker::launch(&bootstrap, &group, &settings),
    ];
    for worker in &mut workers {
        worker.await_ready();
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    let writer = Writer::start(dir.path().join("original"));
    workers[0].put_connector("source", &source(&writer.file, "lines"));
    workers[1].put_connector("sink", &sink(&copy, "lines"));
    for worker in &workers {
        worker.await_state("source", "RUNNING", 1);
        worker.await_state("sink", "RUNNING", 1);
    }
    await_progress(&workers[0], &writer, &copy);

    // The worker that reads the file is killed: the other one goes on.
    let status = workers[0].await_state("source", "RUNNING", 1);
    if at_work(&status) == workers[0].id() {
        workers.swap(0, 1);
    }
    workers[1].kill();
    await_progress(&workers[0], &writer, &copy);
    workers[1].restart();
    workers[1].await_ready();

    broker.kill();
    broker.restart();
    await_progress(&workers[0], &writer, &copy);

    // A worker that hangs and comes back must not write what its successor has written.
    let status = workers[0].await_state("source", "RUNNING", 1);
    if at_work(&status) == workers[0].id() {
        workers.swap(0, 1);
    }
    workers[1].freeze();
    workers[0].await_that("the task moves", || {
        let status = workers[0].await_state("source", "RUNNING", 1);
        (at_work(&status) == workers[0].id())
            .then_some(())
            .ok_or_else(|| status.to_string())
    });
    await_progress(&workers[0], &writer, &copy);
    workers[1].thaw();
    workers[1].await_that("it hears that it was replaced", || {
        let log = workers[1].log();
        (log.contains("ProducerFencedException") || log.contains("InvalidProducerEpochException"))
            .then_some(())
            .ok_or_else(|| "nothing".to_owned())
    });
    await_progress(&workers[0], &writer, &copy);

    let offsets = format!("{group}-offsets");
    workers[0].await_that("its offsets are compacted", || {
        let found = Reader::all(&bootstrap, &offsets).found;
        let written = found.iter().map(|record| record.offset()).max().unwrap();
        // Every other offset is that of a marker.
        (written > 8 * found.len() as i64)
            .then_some(())
            .ok_or(format!("{} of {written}", found.len()))
    });
    let original = writer.file.clone();
    let count = writer.stop();
    let mut reader = Reader::new(&bootstrap, "lines");
    reader.until(|found| found.len() >= count);
    assert_eq!(
        reader.values(),
        lines(&original),
        "each line once, in order"
    );

    // A sink may write lines again after a death, and loses none.
    workers[0].await_that("the copy is complete", || {
        let copied: HashSet<_> = lines(&copy).into_iter().collect();
        (copied.len() == count)
            .then_some(())
            .ok_or(copied.len().to_string())
    });
    let fresh = dir.path().join("fresh");
    workers[0].put_connector("fresh", &sink(&fresh, "lines"));
    workers[0].await_that("the files are the same", || {
        let same = std::fs::read(&fresh).ok() == std::fs::read(&original).ok();
        same.then_some(()).ok_or(lines(&fresh).len().to_string())
    });
    for name in ["source", "sink", "fresh"] {
        workers[1]
            .ask("DELETE", &format!("/connectors/{name}"), None)
            .success();
    }
    workers[0].await_that("no connector is left", || {
        let left = workers[0].ask("GET", "/connectors", None).success();
        left.as_array()
            .unwrap()
            .is_empty()
            .then_some(())
            .ok_or(left.to_string())
    });
}
