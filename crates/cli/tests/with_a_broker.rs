//! The command against the broker that it starts itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::process::Command;

use support::{Served, refused, text};

#[test]
fn records_come_back_as_they_were_sent_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "orders", "--partitions", "2"]);
    let lines = "a:1\nb:\nplain\n";
    let args = [
        "produce", "orders", "-K", ":", "-Z", "-H", "h=x", "-p", "1", "-z", "zstd",
    ];
    let sent = broker.run_with_input(&args, lines);
    assert_eq!(text(&sent.stderr), "Sent 3 records to orders.\n");
    let consume = ["consume", "orders", "-e", "-f", r"%t %p %o %k=%s %h %S\n"];
    let expected = "orders 1 0 a=1 h=x 1\norders 1 1 b= h=x -1\norders 1 2 =plain h=x 5\n";
    assert_eq!(broker.ok(&consume), expected);

    let (code, told) = broker.stop();
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("SIGTERM") && told.contains("Stopped."),
        "{told}"
    );
    let broker = Served::start(dir.path());
    assert_eq!(broker.ok(&consume), expected);
    assert_eq!(
        broker.ok(&["consume", "orders", "-o", "-1", "-p", "1", "-e"]),
        "plain\n"
    );
}

#[test]
fn a_group_goes_on_where_it_stopped_and_can_be_moved() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "t", "-p", "1"]);
    broker.run_with_input(&["produce", "t"], "1\n2\n3\n");
    let consume = ["consume", "t", "--group", "g", "-o", "beginning"];
    assert_eq!(broker.ok(&[&consume[..], &["-c", "2"]].concat()), "1\n2\n");
    assert_eq!(broker.ok(&[&consume[..], &["-e"]].concat()), "3\n");
    let group = broker.ok(&["group", "describe", "g", "--json"]);
    assert!(
        group.contains(r#""committed":3,"end":3,"lag":0"#),
        "{group}"
    );

    let reset = [
        "group",
        "reset-offsets",
        "g",
        "--all-topics",
        "--shift-by",
        "-1",
    ];
    assert!(broker.ok(&reset).contains("t      0          3     2"));
    assert_eq!(
        broker.ok(&[&consume[..], &["-e"]].concat()),
        "",
        "a dry run moves nothing"
    );
    broker.ok(&[&reset[..], &["--execute"]].concat());
    assert_eq!(broker.ok(&[&consume[..], &["-e"]].concat()), "3\n");
    broker.ok(&["group", "delete", "g"]);
    assert_eq!(broker.ok(&["group", "list"]), "");
}

#[test]
fn topics_are_created_altered_listed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    broker.ok(&["topic", "create", "t", "-p", "2", "-c", "retention.ms=1000"]);
    assert_eq!(broker.run(&["topic", "create", "t"]).status.code(), Some(1));
    broker.ok(&["topic", "create", "t", "--if-not-exists"]);
    broker.ok(&[
        "topic",
        "alter",
        "t",
        "-p",
        "3",
        "-c",
        "segment.ms=5000",
        "-d",
        "retention.ms",
    ]);
    let described = broker.ok(&["topic", "describe", "t", "--json"]);
    assert!(
        described.contains(r#""configs":{"segment.ms":"5000"}"#),
        "{described}"
    );
    assert!(
        broker
            .ok(&["topic", "list"])
            .contains("t      3           1")
    );
    broker.ok(&["topic", "delete", "t"]);
    assert_eq!(broker.ok(&["topic", "list"]), "");
}

#[test]
fn a_data_directory_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let _broker = Served::start(dir.path());
    let told = refused::<&str>(dir.path(), &[]);
    assert!(told.contains(dir.path().to_str().unwrap()), "{told}");
    assert!(told.contains("in use by another broker"), "{told}");
}

#[test]
fn what_the_banner_says_to_try_can_be_copied_into_a_shell() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Served::start(dir.path());
    for expected in ["", "hello\n"] {
        // After "Try it:", two commands.
        let command = broker.wait_for(" greetings");
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), expected, "{command}");
    }
}
