//! `ottla dlq` against a broker: what people and scripts are shown, and what happens to the records.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Served, ottla, text};

fn json(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Five orders, of which group `billing` rejected the first two and nacked the third once.
fn filled(broker: &Served) {
    broker.ok(&["topic", "create", "orders"]);
    broker.run_with_input(
        &["produce", "orders", "-K", ":"],
        "a:tea\nb:coffee\nc:cocoa\nd:milk\ne:water\n",
    );
    // A group with a position.
    broker.ok(&[
        "consume",
        "orders",
        "-g",
        "billing",
        "-o",
        "beginning",
        "-c",
        "5",
    ]);
    let args = [
        "group",
        "reset-offsets",
        "billing",
        "-t",
        "orders",
        "--to-earliest",
        "--execute",
    ];
    broker.ok(&args);
    for (offset, reason) in [("0", "no such customer"), ("1", "time-out")] {
        let args = [
            "dlq", "nack", "billing", "orders", "0", offset, "-r", reason, "--reject",
        ];
        let told = text(&broker.run(&args).stderr);
        assert!(told.contains("Moved orders-0@"), "{told}");
        assert!(told.contains("ottla dlq peek orders"), "{told}");
    }
    let nack = [
        "dlq",
        "nack",
        "billing",
        "orders",
        "0",
        "2",
        "-r",
        "too sweet",
        "--json",
    ];
    let nacked = &json(&broker.ok(&nack))[0];
    assert_eq!(
        (&nacked["moved"], &nacked["attempts"]),
        (&false.into(), &1.into())
    );
}

#[test]
fn people_see_what_is_there_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    let empty = broker.run(&["dlq", "list"]);
    assert!(text(&empty.stderr).contains("ottla dlq suspects"));
    filled(&broker);
    let list = broker.ok(&["dlq", "list"]);
    assert!(list.starts_with("TOPIC   QUEUE       RECORDS"), "{list}");
    assert!(
        list.contains("orders  orders.dlq  2 ") && list.contains("billing:2"),
        "{list}"
    );
    let show = broker.run(&["dlq", "show", "orders"]);
    let shown = text(&show.stdout);
    for part in [
        "Records:  2",
        "billing  2",
        "no such customer",
        "Failing now:",
        "billing  orders-0@2  1 ",
        "too sweet",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(text(&show.stderr).contains("ottla dlq redrive orders --dry-run"));
    let peek = broker.ok(&["dlq", "peek", "orders", "--reason", "TIME"]);
    for part in [
        "0@1  from orders-0@1",
        "group billing, failed once",
        "reason  time-out",
        "key     b",
        "value   coffee",
    ] {
        assert!(peek.contains(part), "{part}: {peek}");
    }
    assert!(!peek.contains("tea"), "{peek}");
    let first = broker.run(&["dlq", "peek", "orders", "-n", "1"]);
    assert_eq!(text(&first.stdout).matches("value").count(), 1);
    assert!(text(&first.stderr).contains("ottla dlq export"));
    let stats = broker.ok(&["dlq", "stats", "orders"]);
    assert!(stats.contains("1        time-out"), "{stats}");
    let suspects = broker.ok(&["dlq", "suspects", "--group", "billing"]);
    assert!(
        suspects.contains("orders-0@2") && suspects.contains("counting"),
        "{suspects}"
    );
}

#[test]
fn scripts_read_json_from_everything() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let of = |args: &[&str]| json(&broker.ok(&[&["dlq"], args, &["--json"]].concat()));
    assert_eq!(of(&["list"])[0]["records"], 2);
    assert_eq!(
        of(&["show", "orders"])[0]["groups_failing"][0]["group"],
        "billing"
    );
    assert_eq!(of(&["stats", "orders"])[0]["groups"]["billing"], 2);
    let peeked = of(&["peek", "orders", "--key", "b"]);
    assert_eq!(peeked[0]["source"]["offset"], 1);
    assert_eq!(of(&["suspects"])[0]["suspects"][0]["attempts"], 1);
    let dry = &of(&["redrive", "orders", "--dry-run"])[0];
    assert_eq!(
        (&dry["records"], &dry["dry_run"]),
        (&2.into(), &true.into())
    );
    let done = &of(&["redrive", "orders", "--partition", "0", "--offset", "0"])[0];
    assert_eq!(
        (&done["state"], &done["moved"]),
        (&"done".into(), &1.into())
    );
    assert_eq!(of(&["redrives"])[0]["id"], done["id"]);
    let exported = json(&broker.ok(&["dlq", "export", "orders"]));
    assert_eq!(exported.len(), 1);
    let config = &of(&["config", "--group", "billing", "--set", "mode=enforce"])[0];
    let mode = config["settings"].as_array().unwrap().iter();
    let mode = mode.clone().find(|setting| setting["name"] == "dlq.mode");
    assert_eq!(mode.unwrap()["source"], "group");
    assert_eq!(of(&["purge", "orders", "--yes"])[0]["records"], 1);
}

#[test]
fn a_redrive_shows_what_it_would_do_does_it_and_may_change_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let values = || broker.ok(&["consume", "orders", "-e", "-o", "beginning", "-f", "%k=%s "]);
    let all = "a=tea b=coffee c=cocoa d=milk e=water ";
    let dry = broker.run(&["dlq", "redrive", "orders", "--dry-run"]);
    assert!(text(&dry.stdout).contains("Would move 2 records from orders.dlq to orders."));
    assert!(text(&dry.stdout).contains("tea"));
    assert!(text(&dry.stderr).contains("leave --dry-run out"));
    assert_eq!(values(), all);
    let args = [
        "dlq", "redrive", "orders", "-p", "0", "-o", "1", "--value", "decaf",
    ];
    let told = text(&broker.run(&args).stderr);
    assert!(told.contains("Moved 1 record to orders."), "{told}");
    assert_eq!(values(), format!("{all}b=decaf "));
    let file = dir.path().join("value");
    std::fs::write(&file, "green tea").unwrap();
    let file = file.to_str().unwrap();
    broker.ok(&[
        "dlq", "redrive", "orders", "-p", "0", "-o", "0", "--edit", file,
    ]);
    assert_eq!(values(), format!("{all}b=decaf a=green tea "));
    let again = broker.run(&["dlq", "redrive", "orders"]);
    assert!(text(&again.stderr).contains("Moved 0 records"), "{again:?}");
    let detached = broker.run(&["dlq", "redrive", "orders", "--detach"]);
    assert!(
        text(&detached.stderr).contains("ottla dlq redrives"),
        "{detached:?}"
    );
}

#[test]
fn a_redrive_is_paused_resumed_and_cancelled_and_ctrl_c_leaves_it_running() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    // Enough letters that one a second takes longer than this test.
    let mut lines = String::new();
    for i in 0..200 {
        lines.push_str(&format!("letter {i}\n"));
    }
    broker.run_with_input(&["produce", "orders.dlq"], &lines);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(["dlq", "redrive", "orders", "--rate", "1"])
        .env("OTTLA_BOOTSTRAP_SERVER", &broker.address)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    // From here on it listens for signals.
    while !told.contains("Ctrl-C") {
        assert_ne!(stderr.read_line(&mut told).unwrap(), 0, "{told}");
    }
    let running = || {
        let all = json(&broker.ok(&["dlq", "redrives", "--json"]));
        all.into_iter().find(|task| task["state"] == "running")
    };
    let id = running().unwrap()["id"].to_string();
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    stderr.read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success(), "{told}");
    assert!(told.contains("goes on without this command"), "{told}");
    assert!(told.contains(&format!("ottla dlq cancel {id}")), "{told}");
    assert!(running().is_some());
    for (verb, says) in [
        ("pause", "ottla dlq resume"),
        ("resume", "goes on"),
        ("cancel", "stays moved"),
    ] {
        let told = text(&broker.run(&["dlq", verb, &id]).stderr);
        assert!(told.contains(says), "{verb}: {told}");
    }
    let table = broker.ok(&["dlq", "redrives"]);
    assert!(table.contains("cancelled"), "{table}");
    let told = broker.fails(&["dlq", "pause", &id]);
    assert!(told.contains("is cancelled"), "{told}");
}

#[test]
fn a_purge_asks_first_and_an_export_is_a_file_of_lines() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let told = broker.fails(&["dlq", "purge", "orders"]);
    assert!(told.contains("deletes 2 records from orders.dlq"), "{told}");
    assert!(
        told.contains("--yes") && told.contains("--dry-run"),
        "{told}"
    );
    let dry = broker.ok(&["dlq", "purge", "orders", "--dry-run", "--reason", "time"]);
    assert!(
        dry.starts_with("Would delete 1 record from orders.dlq."),
        "{dry}"
    );
    let file = dir.path().join("letters.ndjson");
    let told = broker.run(&[
        "dlq",
        "export",
        "orders",
        "--output",
        file.to_str().unwrap(),
    ]);
    assert!(text(&told.stderr).contains("Wrote 2 records"), "{told:?}");
    assert_eq!(json(&std::fs::read_to_string(&file).unwrap()).len(), 2);
    let told = broker.run(&["dlq", "purge", "orders", "--yes", "--group", "billing"]);
    assert!(text(&told.stderr).contains("Deleted 2 records"), "{told:?}");
    let told = broker.run(&["dlq", "purge", "orders"]);
    assert!(text(&told.stderr).contains("nothing to delete"), "{told:?}");
    assert!(broker.run(&["dlq", "peek", "orders"]).stdout.is_empty());
}

#[test]
fn settings_are_shown_with_who_says_so_and_changed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "orders"]);
    let row = |args: &[&str], name: &str| {
        let table = broker.ok(&[&["dlq", "config"], args].concat());
        let found = table
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{table}"));
        found
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row(&[], "dlq.mode"), "detect default");
    assert_eq!(
        row(&["--set", "dlq.max.attempts=7"], "dlq.max.attempts"),
        "7 broker"
    );
    assert_eq!(
        row(
            &["-t", "orders", "--set", "max.attempts=3"],
            "dlq.max.attempts"
        ),
        "3 topic"
    );
    assert_eq!(
        row(&["-g", "g", "--set", "mode=enforce"], "dlq.mode"),
        "enforce group"
    );
    assert_eq!(
        row(&["-g", "g", "-t", "orders"], "dlq.max.attempts"),
        "3 topic"
    );
    assert_eq!(
        row(
            &["-t", "orders", "--unset", "max.attempts"],
            "dlq.max.attempts"
        ),
        "7 broker"
    );
    for (args, what) in [
        (&["--set", "mode=perhaps"][..], "enforce"),
        (&["--set", "colour=red"], "dlq.colour"),
        (&["-t", "nothing"], "ottla topic list"),
        (
            &["-t", "orders", "-g", "g", "--set", "mode=off"],
            "one of them",
        ),
        (&["--set", "mode=off", "--unset", "mode"], "twice"),
    ] {
        let told = broker.fails(&[&["dlq", "config"], args].concat());
        assert!(told.contains(what), "{args:?}: {told}");
    }
}

#[test]
fn what_is_not_there_and_what_is_no_ottla_broker_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "orders"]);
    for (args, what) in [
        (&["show", "orders"][..], "created with the first one"),
        (&["peek", "nothing"], "no topic nothing"),
        (&["redrive", "nothing"], "no topic nothing"),
        (&["cancel", "99"], "99"),
        (&["nack", "nobody", "orders", "0", "0"], "ottla group list"),
        (
            &["nack", "nobody", "nothing", "0", "0"],
            "ottla topic describe",
        ),
    ] {
        let told = broker.fails(&[&["dlq"], args].concat());
        assert!(
            told.starts_with("ottla: ") && told.contains(what),
            "{args:?}: {told}"
        );
    }
    // Off: the connection is closed without a word.
    let other = tempfile::tempdir().unwrap();
    let off = Served::start_with(other.path(), &["--http-port", "off"]);
    let told = off.fails(&["dlq", "list"]);
    assert!(
        told.contains("http.port") && told.contains(&off.address),
        "{told}"
    );
    // Another server of HTTP.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        assert_ne!(stream.read(&mut head).unwrap(), 0);
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
        stream.write_all(answer).unwrap();
    });
    let told = ottla(&["dlq", "list", "-b", &address]);
    server.join().unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(
        text(&told.stderr).contains("This needs an Ottla broker"),
        "{told:?}"
    );
    // Nobody.
    let told = ottla(&["dlq", "list", "-b", &address]);
    assert!(text(&told.stderr).contains("ottla serve"), "{told:?}");
}

#[test]
fn the_http_port_is_told_and_a_taken_default_is_no_reason_not_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Served::start_with(dir.path(), &["--http-port", "0"]);
    let line = broker.wait_for("/healthz");
    assert!(
        line.trim_start().starts_with("http ") && line.contains("http://127.0.0.1:"),
        "{line}"
    );
    let port = line
        .split("127.0.0.1:")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let other = tempfile::tempdir().unwrap();
    let told = support::refused(other.path(), &["--http-port", port]);
    assert!(
        told.contains(port) && told.contains("--http-port"),
        "{told}"
    );
}
