//! Every client command against a broker: what scripts read, and what people are told when something is not there.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Served, ottla, text};

/// Each line as JSON.
fn json(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// A topic `t` of two partitions with five records in partition 0, and a group `g` that has read three of them.
fn filled(broker: &Served) {
    broker.ok(&["topic", "create", "t", "-p", "2"]);
    broker.run_with_input(
        &["produce", "t", "-p", "0", "-K", ":"],
        "a:1\nb:2\nc:3\nd:4\ne:5\n",
    );
    let args = ["consume", "t", "-g", "g", "-o", "beginning", "-c", "3"];
    assert_eq!(broker.ok(&args), "1\n2\n3\n");
}

#[test]
fn what_scripts_read_is_json_a_line_for_each_thing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let created = json(&broker.ok(&["topic", "create", "u", "v", "--json"]));
    assert_eq!(created.len(), 2);
    assert_eq!(created[0]["topic"], "u");
    let topics = json(&broker.ok(&["topic", "list", "--json"]));
    let names: Vec<&str> = topics
        .iter()
        .map(|t| t["topic"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["t", "u", "v"]);
    let topic = &json(&broker.ok(&["topic", "describe", "t", "--json", "--all-configs"]))[0];
    assert_eq!(topic["partitions"][0]["end"], 5);
    assert_eq!(topic["partitions"][1]["end"], 0);
    assert_eq!(topic["configs"]["cleanup.policy"], "delete");
    let groups = json(&broker.ok(&["group", "list", "--json"]));
    assert_eq!(groups[0]["group"], "g");
    let group = &json(&broker.ok(&["group", "describe", "g", "--json"]))[0];
    assert_eq!(group["state"], "Empty");
    assert_eq!(group["offsets"][0]["lag"], 2);
    let records = json(&broker.ok(&["consume", "t", "-e", "--json"]));
    assert_eq!(records.len(), 5);
    assert_eq!(records[4]["key"], "e");
    assert_eq!(records[4]["offset"], 4);
    let args = [
        "group",
        "reset-offsets",
        "g",
        "-t",
        "t:0",
        "--to-earliest",
        "--json",
    ];
    let reset = json(&broker.ok(&args));
    assert_eq!(reset[0]["topic"], "t");
    assert_eq!(broker.stop().0, Some(0));
}

#[test]
fn what_a_command_changed_is_json_too_and_what_failed_is_told_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    let changed = |args: &[&str]| {
        let output = broker.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}");
        assert_eq!(text(&output.stderr), "", "{args:?}");
        json(&text(&output.stdout))
    };
    let checked = changed(&["topic", "create", "t", "-p", "2", "--dry-run"]);
    let dry = json!({"topic": "t", "id": null, "partitions": 2, "created": false});
    assert_eq!(checked, [dry]);
    let created = changed(&["topic", "create", "t", "-p", "2"]);
    assert_eq!(created[0]["created"], true);
    assert_eq!(created[0]["partitions"], 2);
    assert_eq!(created[0]["id"].as_str().unwrap().len(), 36);
    let again = changed(&["topic", "create", "t", "--if-not-exists"]);
    let there = json!({"topic": "t", "id": null, "partitions": null, "created": false});
    assert_eq!(again, [there]);

    let alter = ["topic", "alter", "t", "-c", "retention.ms=9", "-p", "3"];
    let altered = changed(&[&alter[..], &["-d", "segment.ms"]].concat());
    let configs = json!({"retention.ms": "9", "segment.ms": null});
    assert_eq!(
        altered,
        [
            json!({"topic": "t", "configs": configs}),
            json!({"topic": "t", "partitions": 3}),
        ]
    );

    let produce = ["produce", "t", "-p", "1", "--json"];
    for first in [0, 3] {
        let sent = broker.run_with_input(&produce, "a\nb\nc\n");
        assert_eq!(text(&sent.stderr), "");
        let line = json!({"topic": "t", "partition": 1, "offset": first, "records": 3});
        assert_eq!(json(&text(&sent.stdout)), [line]);
    }
    let sent = broker.run_with_input(&[&produce[..], &["--acks", "0"]].concat(), "d\n");
    assert_eq!(json(&text(&sent.stdout))[0]["offset"], Value::Null);

    broker.ok(&["consume", "t", "-g", "g", "-o", "beginning", "-c", "1"]);
    assert_eq!(
        changed(&["group", "delete", "g"]),
        [json!({"group": "g", "deleted": true})]
    );
    let some = broker.run(&["topic", "delete", "t", "nope", "--json"]);
    assert_eq!(some.status.code(), Some(1));
    assert!(text(&some.stderr).contains("deleting topic nope"));
    let deleted = json!({"topic": "t", "deleted": true});
    assert_eq!(json(&text(&some.stdout)), [deleted]);
    let none = json!({"topic": "t", "deleted": false});
    assert_eq!(changed(&["topic", "delete", "t", "--if-exists"]), [none]);
}

#[test]
fn records_are_printed_in_any_form_and_come_back_from_json() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let print = |form: &str| broker.ok(&["consume", "t", "-o", "-2", "-p", "0", "-e", "-f", form]);
    assert_eq!(print(r"%t/%p@%o %k=%s\n"), "t/0@3 d=4\nt/0@4 e=5\n");
    assert_eq!(print(r"%K,%S;%h%%\t"), "1,1;%\t1,1;%\t");
    assert_eq!(print("no newline"), "no newlineno newline");
    let times = print(r"%T\n");
    let first: i64 = times.lines().next().unwrap().parse().unwrap();
    assert!(first > 1_500_000_000_000, "{first}");
    let since = format!("@{first}");
    let read = broker.ok(&["consume", "t", "-o", &since, "-e", "-c", "1"]);
    assert_eq!(read.lines().count(), 1);
    let lines = broker.ok(&["consume", "t", "-e", "--json"]);
    let copied = broker.run_with_input(&["produce", "copy", "--input", "json"], &lines);
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    let copy = broker.ok(&["consume", "copy", "-e", "-f", r"%k=%s\n"]);
    assert_eq!(copy, "a=1\nb=2\nc=3\nd=4\ne=5\n");
}

#[test]
fn a_group_is_moved_to_every_kind_of_place() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let cases: [(&[&str], i64); 8] = [
        (&["--to-earliest"], 0),
        (&["--to-latest"], 5),
        (&["--to-offset", "2"], 2),
        (&["--to-offset", "99"], 5),
        (&["--shift-by", "-1"], 4),
        (&["--shift-by", "-99"], 0),
        (&["--to-datetime", "2001-01-01T00:00:00Z"], 0),
        (&["--by-duration", "1h"], 0),
    ];
    for (place, expected) in cases {
        let args = [
            &["group", "reset-offsets", "g", "-t", "t:0", "--execute"],
            place,
        ]
        .concat();
        broker.ok(&args);
        let group = &json(&broker.ok(&["group", "describe", "g", "--json"]))[0];
        assert_eq!(group["offsets"][0]["committed"], expected, "{place:?}");
    }
}

#[test]
fn what_is_not_there_is_told_with_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    filled(&broker);
    let list_topics = "ottla topic list";
    let list_groups = "ottla group list";
    let cases: [(&[&str], &str, &str); 13] = [
        (&["topic", "describe", "nope"], "topic nope", list_topics),
        (&["topic", "delete", "nope"], "topic nope", list_topics),
        (
            &["topic", "alter", "nope", "-p", "3"],
            "topic nope",
            list_topics,
        ),
        (&["topic", "alter", "t"], "nothing to change", "--config"),
        (
            &["topic", "alter", "t", "-p", "1"],
            "INVALID_PARTITIONS",
            "2 partition(s)",
        ),
        (
            &["topic", "alter", "t", "-c", "nope=1"],
            "nope",
            "--all-configs",
        ),
        (
            &["topic", "create", "t"],
            "TOPIC_ALREADY_EXISTS",
            "--if-not-exists",
        ),
        (&["consume", "nope", "-e"], "topic nope", list_topics),
        (
            &["consume", "t", "-e", "-p", "9"],
            "no partition 9",
            "it has 2",
        ),
        (
            &["consume", "t", "-e", "-p", "0", "-o", "77"],
            "OFFSET_OUT_OF_RANGE",
            "--offset",
        ),
        (&["group", "describe", "nope"], "group nope", list_groups),
        (&["group", "delete", "nope"], "group nope", list_groups),
        (
            &["group", "reset-offsets", "g", "-t", "nope", "--to-latest"],
            "topic nope",
            list_topics,
        ),
    ];
    for (args, what, next) in cases {
        let told = broker.fails(args);
        assert!(told.contains(what), "{args:?}: {told}");
        assert!(told.contains(next), "{args:?}: {told}");
        assert!(told.starts_with("ottla: "), "{args:?}: {told}");
    }
    let bad = broker.run_with_input(&["produce", "t", "-i", "json"], "{\"value\":1}\n{bad\n");
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("line 2 of the input"));
    // Deleting what is named twice deletes it once.
    broker.ok(&["group", "delete", "g", "g"]);
    broker.ok(&["topic", "delete", "t", "t"]);
    let empty = broker.run(&["topic", "list"]);
    assert!(text(&empty.stderr).contains("ottla topic create"));
}

#[test]
fn alone_it_shows_its_help_and_it_knows_its_version() {
    for args in [&[][..], &["topic"], &["group"], &["dlq"]] {
        let shown = ottla(args);
        assert_eq!(shown.status.code(), Some(2), "{args:?}");
        assert!(text(&shown.stderr).contains("Usage: ottla"), "{args:?}");
    }
    let version = ottla(&["--version"]);
    let expected = format!("ottla {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected);
    for command in [
        "serve",
        "topic",
        "produce",
        "consume",
        "group",
        "dlq",
        "check",
        "completions",
    ] {
        let help = ottla(&[command, "--help"]);
        assert!(help.status.success(), "{command}");
        assert!(text(&help.stdout).contains(&format!("Usage: ottla {command}")));
    }
}

#[test]
fn bash_completes_commands_flags_and_values() {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: there is no bash");
        return;
    }
    let script = text(&ottla(&["completions", "bash"]).stdout);
    let complete = |words: &str| {
        let count = words.split(' ').count();
        let previous = words.rsplit(' ').next().unwrap();
        let ask = format!(
            "{script}\nCOMP_WORDS=({words} \"\"); COMP_CWORD={count}; _ottla ottla \"\" {previous}; echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &ask])
            .output()
            .unwrap();
        text(&output.stdout)
    };
    assert!(complete("ottla").contains("serve"));
    assert!(complete("ottla").contains("check"));
    assert!(complete("ottla topic").contains("describe"));
    assert!(complete("ottla group reset-offsets").contains("--to-earliest"));
    assert!(complete("ottla dlq").contains("redrive"));
    assert!(complete("ottla dlq redrive").contains("--for-group"));
    assert!(complete("ottla produce --compression").contains("zstd"));
}
