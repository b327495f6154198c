//! Snapshots and resets of a broker that is a process of its own, under load.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::wire::{self, commit, committed, fetch, produce};
use support::{Served, ottla, text};

/// Produces one record after the other, and commits the offset behind each that is acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    /// Records acknowledged so far.
    acknowledged: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn on(address: &str) -> Load {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, count, address) = (stop.clone(), acknowledged.clone(), address.to_owned());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run_load(&address, &stopped, &count));
        });
        Load {
            stop,
            acknowledged,
            thread,
        }
    }

    fn wait_for(&self, more: u64) -> u64 {
        let from = self.acknowledged.load(Ordering::SeqCst);
        loop {
            let now = self.acknowledged.load(Ordering::SeqCst);
            if now >= from + more {
                return now;
            }
            assert!(!self.thread.is_finished(), "the load ended by itself");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.acknowledged.load(Ordering::SeqCst)
    }
}

/// Ends with the broker.
async fn run_load(address: &str, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut connection = ottla_client::Connection::connect(address).await.unwrap();
    while !stop.load(Ordering::SeqCst) {
        let sequence = acknowledged.load(Ordering::SeqCst);
        // Some so large that they go to their segment first.
        let weight = if sequence % 50 == 7 { 70_000 } else { 20 };
        let mut value = format!("{sequence}:").into_bytes();
        value.resize(value.len() + weight, b'x');
        let request = wire::produce_request("load", wire::batch(&[value]));
        let Ok(answer) = connection.call(wire::PRODUCE, &request).await else {
            return;
        };
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (0, sequence as i64)
        );
        acknowledged.store(sequence + 1, Ordering::SeqCst);
        if sequence.is_multiple_of(5) {
            let request = wire::commit_request("workers", "load", sequence as i64 + 1, "");
            let Ok(answer) = connection.call(wire::OFFSET_COMMIT, &request).await else {
                return;
            };
            assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        }
    }
}

/// How many records `load` has, each of which must be whole and in its place; and the offset that was committed.
fn verified(data_dir: &Path) -> (u64, i64) {
    let checked = ottla(&["check", "--json", "--data-dir", data_dir.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(report["problems"], Value::Array(vec![]), "{report}");
    let broker = Served::start(data_dir);
    let told = broker.ok(&["consume", "load", "--offset", "beginning", "--exit-eof"]);
    for (i, line) in told.lines().enumerate() {
        assert_eq!(line.split(':').next(), Some(&*i.to_string()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let position = runtime.block_on(async {
        let mut connection = broker.connect().await;
        let position = committed(&mut connection, "workers", "load").await;
        // It goes on where the snapshot ends.
        let end = told.lines().count() as i64;
        let next = produce(&mut connection, "load", wire::batch(&[b"new".to_vec()])).await;
        assert_eq!(next, (0, end));
        assert_eq!(fetch(&mut connection, "load", end).await.0, 0);
        assert_eq!(commit(&mut connection, "workers", "load", end, "").await, 0);
        position
    });
    (told.lines().count() as u64, position)
}

fn restore(snapshot: &Path, data_dir: &Path, more: &[&str]) -> Output {
    let (snapshot, data_dir) = (snapshot.to_str().unwrap(), data_dir.to_str().unwrap());
    let args = ["snapshot", "restore", snapshot, "--data-dir", data_dir];
    ottla(&[&args, more].concat())
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(!told.contains("panic"), "{told}");
    told
}

fn loaded(dir: &Path) -> (Served, Load) {
    let broker = Served::start(dir);
    broker.ok(&["topic", "create", "load"]);
    let load = Load::on(&broker.address);
    load.wait_for(60);
    (broker, load)
}

#[test]
fn what_was_acknowledged_before_a_save_is_in_it_and_nothing_that_came_after() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, load) = loaded(&dir.path().join("data"));
    let mut saved = Vec::new();
    for name in ["one", "two", "three"] {
        let before = load.wait_for(20);
        let told: Value =
            serde_json::from_str(&broker.ok(&["snapshot", "save", name, "--json"])).unwrap();
        let after = load.acknowledged.load(Ordering::SeqCst);
        saved.push((told["path"].as_str().unwrap().to_owned(), before, after));
    }
    load.wait_for(50);
    broker.ok(&["snapshot", "delete", "two"]);
    let listed = broker.ok(&["snapshot", "list", "--json"]);
    let names: Vec<Value> = listed
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["name"].clone())
        .collect();
    assert_eq!(names, ["one", "three"]);
    let table = broker.ok(&["snapshot", "list"]);
    assert!(
        table.starts_with("NAME") && table.lines().count() == 3,
        "{table}"
    );
    // The topic goes, the snapshots stay.
    let end = load.end();
    broker.ok(&["topic", "delete", "load"]);
    broker.kill();
    for (i, (path, before, after)) in saved.iter().enumerate().filter(|(i, _)| *i != 1) {
        let target = dir.path().join(format!("restored{i}"));
        let restored = restore(Path::new(path), &target, &["--json"]);
        assert!(restored.status.success(), "{}", text(&restored.stderr));
        // One more may be on its way when the save ends.
        let (records, position) = verified(&target);
        assert!(
            (*before..=after + 1).contains(&records),
            "{records} {before} {after}"
        );
        assert!(position <= records as i64 && position > before.saturating_sub(10) as i64);
        assert!(records < end);
    }
}

#[test]
fn a_save_that_is_killed_leaves_a_whole_snapshot_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (broker, load) = loaded(&data);
    broker.ok(&["snapshot", "save", "first"]);
    let mut broker = Some((broker, load));
    for round in 0..6 {
        let (running, load) = broker.take().unwrap();
        let acknowledged = load.wait_for(10);
        let mut save = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["snapshot", "save", &format!("round{round}")])
            .env("OTTLA_BOOTSTRAP_SERVER", &running.address)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in its course, each time elsewhere.
        thread::sleep(Duration::from_millis(4 * round));
        running.kill();
        load.end();
        save.wait().unwrap();
        let next = Served::start(&data);
        let listed = next.ok(&["snapshot", "list", "--json"]);
        for line in listed.lines() {
            let snapshot: Value = serde_json::from_str(line).unwrap();
            let target = tempfile::tempdir().unwrap();
            let path = Path::new(snapshot["path"].as_str().unwrap());
            let restored = restore(path, target.path(), &[]);
            assert!(restored.status.success(), "{}", text(&restored.stderr));
            let checked = ottla(&["check", "--data-dir", target.path().to_str().unwrap()]);
            assert!(checked.status.success(), "{}", text(&checked.stdout));
        }
        let there = next.ok(&["consume", "load", "--offset", "beginning", "--exit-eof"]);
        assert!(there.lines().count() as u64 >= acknowledged);
        next.ok(&["reset", "--yes"]);
        next.ok(&["topic", "create", "load"]);
        let load = Load::on(&next.address);
        broker = Some((next, load));
    }
    let (running, load) = broker.unwrap();
    load.wait_for(10);
    load.end();
    assert_eq!(running.stop().0, Some(0));
    let snapshots = std::fs::read_dir(data.join("snapshots")).unwrap();
    let names = snapshots.map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.contains('~')));
    // Long after all of its records were deleted.
    let target = dir.path().join("restored");
    assert!(
        restore(&data.join("snapshots/first"), &target, &[])
            .status
            .success()
    );
    assert!(verified(&target).0 >= 60);
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_data_or_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (broker, load) = loaded(&data);
    broker.ok(&["snapshot", "save", "small"]);
    load.wait_for(200);
    load.end();
    assert_eq!(broker.stop().0, Some(0));
    let count = |data: &Path| {
        let checked = ottla(&["check", "--json", "--data-dir", data.to_str().unwrap()]);
        let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        report["batches"].as_u64().unwrap()
    };
    let old = count(&data);
    let (mut seen_old, mut new) = (0, None);
    for round in 0..40 {
        let mut restoring = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["snapshot", "restore", "small", "--replace", "--data-dir"])
            .arg(&data)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(1500 * round));
        // It may have ended.
        let _ = restoring.kill();
        let done = restoring.wait().unwrap().success();
        let found = count(&data);
        if found == old {
            seen_old += 1;
            assert!(!done);
        } else {
            assert_eq!(*new.get_or_insert(found), found);
        }
        let left = std::fs::read_dir(&data).unwrap();
        let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
        assert!(
            left.iter().all(|n| !n.to_string_lossy().contains('~')),
            "{left:?}"
        );
        if done {
            break;
        }
    }
    assert!(seen_old > 0 && new.is_some(), "{seen_old} {new:?}");
    assert_eq!(verified(&data).0, new.unwrap());
}

#[test]
fn a_reset_that_is_killed_takes_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6_u64 {
        let broker = Served::start(dir.path());
        for topic in ["a", "b", "c"] {
            broker.run(&["topic", "create", topic]);
        }
        let mut reset = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["reset", "--yes"])
            .env("OTTLA_BOOTSTRAP_SERVER", &broker.address)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(2 * round));
        broker.kill();
        let done = reset.wait().unwrap().success();
        let broker = Served::start(dir.path());
        let topics = broker.ok(&["topic", "list", "--json"]).lines().count();
        assert!(topics == 0 || topics == 3 && !done, "{topics} {done}");
        broker.kill();
    }
}

#[test]
fn mistakes_are_told_with_the_way_out_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let broker = Served::start(&data);
    broker.run_with_input(&["produce", "load"], "0:\n");
    broker.ok(&["snapshot", "save", "one"]);
    for name in ["../one", "a/b", "..", ""] {
        let told = broker.fails(&["snapshot", "save", name]);
        assert!(told.contains("is no name for a snapshot"), "{told}");
    }
    let told = broker.fails(&["snapshot", "save", "one"]);
    assert!(told.contains("there is a snapshot one already"), "{told}");
    let told = broker.fails(&["snapshot", "delete", "two"]);
    assert!(told.contains("there is no snapshot"), "{told}");
    let told = broker.fails(&["snapshot", "save", "two", "--to", "/not/there"]);
    assert!(told.contains("/not/there"), "{told}");
    assert_eq!(
        broker.ok(&["snapshot", "list", "--json"]).lines().count(),
        1
    );
    let told = broker.fails(&["reset"]);
    assert!(told.contains("add --yes"), "{told}");
    assert_eq!(
        broker
            .run(&["reset", "--topics-only", "--keep-topics"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(broker.ok(&["topic", "list", "--json"]).lines().count(), 1);

    // A copy, in a directory of one's own.
    let fixtures = dir.path().join("fixtures");
    std::fs::create_dir(&fixtures).unwrap();
    let to = fixtures.to_str().unwrap();
    let told = broker.ok(&["snapshot", "save", "copied", "--to", to, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let copy = Path::new(told["copy"].as_str().unwrap()).to_owned();
    assert_eq!(copy, fixtures.canonicalize().unwrap().join("copied"));

    let one = Path::new("one");
    let told = refused(&restore(one, &data, &["--replace"]));
    assert!(told.contains("in use by another broker"), "{told}");
    assert_eq!(broker.stop().0, Some(0));
    let told = refused(&restore(one, &data, &[]));
    assert!(told.contains("--replace"), "{told}");
    let told = refused(&restore(Path::new("none"), &data, &["--replace"]));
    assert!(told.contains("there is no snapshot at"), "{told}");
    let told = refused(&restore(Path::new("..x"), &data, &["--replace"]));
    assert!(told.contains("is no name for a snapshot"), "{told}");
    std::fs::write(fixtures.join("letter.txt"), "dear").unwrap();
    let told = refused(&restore(&copy, &fixtures, &["--replace"]));
    assert!(told.contains("not an Ottla data directory"), "{told}");

    let damaged = dir.path().join("damaged");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&copy)
        .arg(&damaged)
        .status()
        .unwrap();
    assert!(copied.success());
    let catalogue = std::fs::read(damaged.join("catalogue")).unwrap();
    std::fs::write(damaged.join("catalogue"), &catalogue[..catalogue.len() / 2]).unwrap();
    let target = dir.path().join("target");
    let told = refused(&restore(&damaged, &target, &[]));
    assert!(
        told.contains("damaged") && told.contains("catalogue"),
        "{told}"
    );
    let manifest = std::fs::read_to_string(damaged.join("snapshot.json")).unwrap();
    let newer = manifest.replace("\"format\": 1", "\"format\": 2");
    assert_ne!(newer, manifest);
    std::fs::write(damaged.join("snapshot.json"), newer).unwrap();
    let told = refused(&restore(&damaged, &target, &[]));
    assert!(
        told.contains("format 2") && told.contains("use a newer ottla"),
        "{told}"
    );
    assert!(!target.exists());

    let listed = ottla(&[
        "snapshot",
        "list",
        "--json",
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    assert_eq!(text(&listed.stdout).lines().count(), 2);
    assert!(restore(&copy, &target, &[]).status.success());
    assert!(restore(one, &data, &["--replace"]).status.success());
    assert_eq!(verified(&target), (1, -1));
    assert_eq!(verified(&data), (1, -1));
}
