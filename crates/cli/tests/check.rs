//! `ottla check` on directories that are sound, damaged, in use, not there.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Served, ottla, text};

/// Writes two topics and stops.
fn filled(dir: &Path) {
    let broker = Served::start(dir);
    broker.ok(&["topic", "create", "orders", "-p", "2"]);
    for line in 0..20 {
        let sent = broker.run_with_input(&["produce", "orders", "-p", "0"], &format!("{line}\n"));
        assert!(sent.status.success(), "{}", text(&sent.stderr));
    }
    broker.ok(&["topic", "create", "empty"]);
    assert_eq!(broker.stop().0, Some(0));
}

fn check(dir: &Path) -> (Option<i32>, Value) {
    let output = ottla(&["check", "--json", "--data-dir", dir.to_str().unwrap()]);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    (output.status.code(), report)
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("topics/orders-0/00000000000000000000.log")
}

#[test]
fn a_sound_directory_passes_and_serves_on() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (code, report) = check(dir.path());
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["ok"], true);
    assert_eq!(report["topics"], 2);
    assert_eq!(report["partitions"], 3);
    assert_eq!(report["batches"], 20);
    let output = ottla(&["check", "--data-dir", dir.path().to_str().unwrap()]);
    assert!(text(&output.stdout).ends_with("all is well.\n"));
    let broker = Served::start(dir.path());
    let read = broker.ok(&["consume", "orders", "-e"]);
    assert_eq!(read.lines().count(), 20);
}

#[test]
fn a_directory_that_a_broker_left_by_sigkill_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.run_with_input(&["produce", "orders"], "1\n2\n3\n");
    broker.kill();
    let (code, report) = check(dir.path());
    assert_eq!(code, Some(0), "{report}");
    assert_ne!(report["batches"], 0);
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is_in_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let sound = fs::read(segment(dir.path())).unwrap();
    // The first batch: base offset, length, magic, CRC, attributes, delta, timestamp, count, record.
    for at in [7, 11, 16, 17, 22, 26, 30, 60, 65, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x10;
        fs::write(segment(dir.path()), damaged).unwrap();
        let (code, report) = check(dir.path());
        assert_eq!(code, Some(1), "byte {at}: {report}");
        assert_eq!(report["ok"], false);
        let problem = &report["problems"][0];
        assert_eq!(problem["topic"], "orders", "byte {at}");
        assert_eq!(problem["partition"], 0, "byte {at}");
    }
    let output = ottla(&["check", "--data-dir", dir.path().to_str().unwrap()]);
    assert!(text(&output.stdout).contains("one problem"));
    fs::write(segment(dir.path()), sound).unwrap();
    assert_eq!(check(dir.path()).0, Some(0));
}

#[test]
fn a_segment_that_is_cut_or_gone_is_found() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let sound = fs::read(segment(dir.path())).unwrap();
    fs::write(segment(dir.path()), &sound[..sound.len() / 2]).unwrap();
    assert_eq!(check(dir.path()).0, Some(1));
    fs::remove_file(segment(dir.path())).unwrap();
    assert_eq!(check(dir.path()).0, Some(1));
}

#[test]
fn a_directory_in_use_is_refused_with_the_process_that_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let _broker = Served::start(dir.path());
    let output = ottla(&["check", "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("in use by another broker (process "),
        "{told}"
    );
}

#[test]
fn where_there_is_no_data_directory_none_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("data");
    for path in [missing.as_path(), dir.path()] {
        let output = ottla(&["check", "--data-dir", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains("is not an Ottla data directory"), "{told}");
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
