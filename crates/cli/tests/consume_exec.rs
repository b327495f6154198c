//! `ottla consume --exec`: a command for each record, which fails on some of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use support::wire::committed;
use support::{Served, ottla, text};

const BEGINNING: [&str; 6] = ["consume", "orders", "-g", "kitchen", "-o", "beginning"];

fn filled(broker: &Served) {
    broker.ok(&["topic", "create", "orders"]);
    let orders = "1:tea\n2:coffee\n3:cocoa\n";
    broker.run_with_input(&["produce", "orders", "-K", ":"], orders);
}

#[test]
fn a_record_that_keeps_failing_is_moved_and_the_others_are_processed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let command =
        "read -r drink; [ $drink != coffee ] || { echo no beans >&2; exit 1; }; echo $drink";
    let done = broker.run(&[&BEGINNING[..], &["-c", "2", "--exec", command]].concat());
    assert!(done.status.success(), "{done:?}");
    assert_eq!(text(&done.stdout), "tea\ncocoa\n");
    let failed = "no beans\norders-0@1 failed: no beans\n".repeat(5);
    let moved = "orders-0@1 was moved to the dead letter queue\n";
    assert_eq!(text(&done.stderr), format!("{failed}{moved}"));
    let peek = broker.ok(&["dlq", "peek", "orders"]);
    for part in ["failed 5 times", "reason  no beans", "value   coffee"] {
        assert!(peek.contains(part), "{part}: {peek}");
    }
    broker.run(&["dlq", "redrive", "orders"]);
    let fixed = [
        "consume", "orders", "-g", "kitchen", "-c", "1", "--exec", "cat",
    ];
    assert_eq!(broker.ok(&fixed), "coffee");
}

#[test]
fn a_command_is_told_which_record_it_has_and_need_not_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let long_and_without_key = "x".repeat(500_000);
    let sent = broker.run_with_input(&["produce", "orders"], &long_and_without_key);
    assert!(sent.status.success(), "{sent:?}");
    let command =
        "echo $OTTLA_TOPIC-$OTTLA_PARTITION@$OTTLA_OFFSET ${OTTLA_KEY-null} ${#OTTLA_TIMESTAMP}";
    let told = broker.ok(&[&BEGINNING[..], &["-e", "--exec", command]].concat());
    assert_eq!(
        told,
        "orders-0@0 1 13\norders-0@1 2 13\norders-0@2 3 13\norders-0@3 null 13\n"
    );
    let told = ottla(&["consume", "orders", "--exec", "cat"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(text(&told.stderr).contains("--group"), "{told:?}");
}

#[tokio::test]
async fn without_words_the_exit_status_is_the_reason_and_a_record_that_works_later_stays() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let file = dir.path().join("tried");
    let command = format!(
        "[ -e {0} ] || {{ touch {0}; exit 3; }}; cat",
        file.display()
    );
    let done = broker.run(&[&BEGINNING[..], &["-c", "2", "--exec", &command]].concat());
    assert_eq!(text(&done.stdout), "teacoffee");
    assert_eq!(text(&done.stderr), "orders-0@0 failed: exit status 3\n");
    let mut connection = broker.connect().await;
    assert_eq!(committed(&mut connection, "kitchen", "orders").await, 2);
    assert_eq!(broker.run(&["dlq", "peek", "orders"]).stdout, b"");
}

#[tokio::test]
async fn at_ctrl_c_the_command_ends_first_and_its_record_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let fifo = dir.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let command = format!("echo began >&2; cat {}", fifo.display());
    let mut child = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(BEGINNING)
        .args(["--exec", &command])
        .env("OTTLA_BOOTSTRAP_SERVER", &broker.address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut wait_for = |word: &str| {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "before {word}");
        }
    };
    wait_for("began");
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.unwrap().success());
    wait_for("Stopping");
    std::fs::write(&fifo, "served").unwrap();
    let mut printed = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(printed, "served");
    let mut connection = broker.connect().await;
    assert_eq!(committed(&mut connection, "kitchen", "orders").await, 1);
}

#[tokio::test]
async fn a_closed_pipe_behind_the_command_is_no_failure_of_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let ended = broker.run(&[&BEGINNING[..], &["--exec", "kill -PIPE $$"]].concat());
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("SIGPIPE"), "{ended:?}");
    let mut connection = broker.connect().await;
    assert_eq!(committed(&mut connection, "kitchen", "orders").await, -1);
}
