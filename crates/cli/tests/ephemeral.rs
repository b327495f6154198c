//! `serve --ephemeral`: data that goes with its broker.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{Served, text};

fn serve(tmp: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command
        .args(["serve", "--port", "0"])
        .args(args)
        .current_dir(tmp)
        .env("TMPDIR", tmp)
        .env("RUST_LOG", "info")
        .env_remove("OTTLA_EPHEMERAL")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn names(tmp: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(tmp).unwrap();
    entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn the_data_is_gone_when_the_broker_has_stopped() {
    let tmp = tempfile::tempdir().unwrap();
    let mut broker = Served::of(serve(tmp.path(), &["--ephemeral"]));
    broker.wait_for("goes with this broker (--ephemeral)");
    broker.run_with_input(&["produce", "t"], "a\nb\n");
    assert_eq!(
        broker.ok(&["consume", "t", "--offset", "beginning", "--exit-eof"]),
        "a\nb\n"
    );
    let made = names(tmp.path());
    assert!(
        made.len() == 1 && made[0].starts_with("ottla-ephemeral-"),
        "{made:?}"
    );
    // Others may not read what is in it.
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(tmp.path().join(&made[0]))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(broker.stop().0, Some(0));
    assert_eq!(names(tmp.path()), Vec::<String>::new());
}

#[test]
fn what_a_killed_broker_left_goes_with_the_next_start_and_what_one_uses_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let used = Served::of(serve(tmp.path(), &["--ephemeral"]));
    let killed = Served::of(serve(tmp.path(), &["--ephemeral"]));
    assert_eq!(names(tmp.path()).len(), 2);
    killed.kill();
    assert_eq!(names(tmp.path()).len(), 2);
    let mut environment = serve(tmp.path(), &[]);
    environment.env("OTTLA_EPHEMERAL", "1");
    let next = Served::of(environment);
    assert_eq!(names(tmp.path()).len(), 2);
    used.run_with_input(&["produce", "t"], "a\n");
    assert_eq!(used.ok(&["topic", "list", "--json"]).lines().count(), 1);
    assert_eq!(next.stop().0, Some(0));
    assert_eq!(used.stop().0, Some(0));
    assert_eq!(names(tmp.path()), Vec::<String>::new());
}

#[test]
fn a_data_directory_and_an_ephemeral_one_contradict_each_other() {
    let tmp = tempfile::tempdir().unwrap();
    let refused = serve(tmp.path(), &["--ephemeral", "--data-dir", "d"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let told = text(&refused.stderr);
    assert!(
        told.contains("--ephemeral") && told.contains("--data-dir"),
        "{told}"
    );
    let mut nowhere = serve(tmp.path(), &["--ephemeral"]);
    nowhere.env("TMPDIR", tmp.path().join("not-there"));
    let refused = nowhere.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(
        told.contains("not-there") && told.contains("TMPDIR"),
        "{told}"
    );
    assert_eq!(names(tmp.path()), Vec::<String>::new());
}
