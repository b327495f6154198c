//! kafka-consumer-groups.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use ottla_tests::harness::{Broker, kcat};

use super::{Twins, same_refusal};

/// Records `0`, `1`, ... in the first partition.
pub fn produce(broker: &Broker, topic: &str, count: u32) {
    let lines: String = (0..count).map(|i| format!("{i}\n")).collect();
    let args = ["-P", "-t", topic, "-p", "0"];
    kcat(&broker.bootstrap(), &args, lines.as_bytes()).success();
}

/// Reads so many records as a group, which is left without members.
pub fn consume(broker: &Broker, group: &str, topic: &str, count: u32) {
    let count = count.to_string();
    let reset = "auto.offset.reset=earliest";
    let args = ["-G", group, "-q", "-c", &count, "-X", reset, topic];
    kcat(&broker.bootstrap(), &args, b"").success();
}

/// `ga` with two partitions and `gb`; the group `grp` has read 3 of 5 records of `ga`, and all 2 of `gb`.
fn twins() -> Twins {
    let twins = Twins::start();
    let create = ["--create", "--topic", "ga", "--partitions", "2"];
    twins.same("topics", &create).success();
    twins.prepare(|broker| {
        produce(broker, "ga", 5);
        produce(broker, "gb", 2);
        consume(broker, "grp", "ga", 3);
        consume(broker, "grp", "gb", 2);
    });
    twins
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let twins = twins();
    assert_eq!(
        twins.same("consumer-groups", &["--list"]).success(),
        "grp\n"
    );
    for args in [
        &["--state"][..],
        &["--type"],
        &["--state", "--type"],
        &["--state", "stable,empty"],
        &["--state", "Stable"],
        &["--type", "classic"],
        &["--type=consumer", "--state"],
        &["--timeout", "10000"],
        &["--timeout", "soon"],
    ] {
        twins.same("consumer-groups", &[&["--list"], args].concat());
    }
    twins.same_in_any_order(
        "consumer-groups",
        &["--list", "--type", "consumer, classic"],
    );
}

#[test]
fn a_group_without_members_is_described() {
    let twins = twins();
    for args in [
        &["--group", "grp"][..],
        &["--group", "grp", "--offsets", "--verbose"],
        &["--group", "grp", "--members"],
        &["--group", "grp", "--members", "--verbose"],
        &["--group", "grp", "--state"],
        &["--group", "grp", "--state", "--verbose"],
        &["--group", "nope"],
        &["--group", "nope", "--state"],
        &["--group", "nope", "--group", "grp"],
        &["--all-groups"],
    ] {
        twins.same("consumer-groups", &[&["--describe"], args].concat());
    }
    let said = twins.same("consumer-groups", &["--describe", "--group", "grp"]);
    let rows: Vec<&str> = said.success().lines().skip(2).collect();
    assert_eq!(
        words(rows[0]),
        ["grp", "ga", "0", "3", "5", "2", "-", "-", "-"]
    );
    assert!(said.stderr.contains("has no active members"));
}

/// A member that stays until it is dropped.
struct Member(Child);

impl Member {
    /// Returns once it has read the first record.
    fn join(broker: &Broker, group: &str, topic: &str) -> Member {
        let mut child = Command::new("kcat")
            .args([
                "-b",
                &broker.bootstrap(),
                "-q",
                "-u",
                "-X",
                "client.id=reader",
            ])
            .args(["-X", "auto.offset.reset=earliest"])
            .args(["-X", "enable.auto.commit=false"])
            .args(["-G", group, topic])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kcat can be started");
        let stdout = child.stdout.as_mut().expect("stdout was piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let member = Member(child);
        assert!(read.is_ok_and(|bytes| bytes > 0), "a record arrives");
        member
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_group_with_members_is_described_and_stays_where_it_is() {
    let twins = twins();
    let _members = [&twins.for_original, &twins.for_shim].map(|b| Member::join(b, "live", "ga"));
    for args in [
        &["--describe", "--group", "live"][..],
        &["--describe", "--group", "live", "--verbose"],
        &["--describe", "--group", "live", "--members"],
        &["--describe", "--group", "live", "--members", "--verbose"],
        &["--describe", "--group", "live", "--state"],
        &["--list", "--state", "Stable"],
        &["--delete", "--group", "live"],
        &["--delete-offsets", "--group", "live", "--topic", "ga"],
    ] {
        twins.same("consumer-groups", args);
    }
    let reset = ["--reset-offsets", "--group", "live", "--topic", "ga"];
    let args = [&reset[..], &["--to-latest", "--execute"]].concat();
    let said = twins.same("consumer-groups", &args);
    assert!(said.stdout.contains("the current state is Stable"));
    let said = twins.same(
        "consumer-groups",
        &["--describe", "--group", "live", "--members", "--verbose"],
    );
    assert!(said.success().contains("ga:0,1"), "{said:?}");
}

#[test]
fn offsets_are_reset_in_each_way() {
    let twins = twins();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let plan = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let one_group = plan("one", "ga,0,1\nga,1,0\n");
    let two_groups = plan("two", "grp,ga,0,2\nother,ga,0,4\n");
    let unknown = plan("unknown", "nope,0,1\n");
    let reset = |args: &[&str]| {
        let all = [&["--reset-offsets"], args].concat();
        let mut dry = all.clone();
        dry.push("--dry-run");
        twins.same_in_any_order("consumer-groups", &dry);
        let mut execute = all.clone();
        execute.push("--execute");
        let said = twins.same_in_any_order("consumer-groups", &execute);
        twins.same("consumer-groups", &["--describe", "--group", "grp"]);
        said
    };
    let group = ["--group", "grp"];
    for args in [
        &["--topic", "ga", "--to-earliest"][..],
        &["--topic", "ga:0", "--to-latest"],
        &["--all-topics", "--shift-by", "-2"],
        &["--all-topics", "--shift-by", "-100", "--export"],
        &["--topic", "ga", "--shift-by", "100"],
        &["--topic", "ga:0", "--topic", "gb", "--to-offset", "1"],
        &["--topic", "ga:1", "--to-current"],
        &["--topic", "ga", "--to-datetime", "2020-01-01T00:00:00.000"],
        &[
            "--topic",
            "ga",
            "--to-datetime",
            "2099-01-01T00:00:00.000+01:00",
        ],
        &["--topic", "ga", "--by-duration", "PT1H"],
        &["--topic", "ga:0", "--by-duration", "P1DT1M"],
        &["--from-file", &one_group],
        &["--group", "other", "--from-file", &two_groups],
        &[
            "--group",
            "other",
            "--topic",
            "ga",
            "--to-latest",
            "--export",
        ],
        &["--from-file", &unknown],
        &["--from-file", "/nonexistent/plan"],
        &["--topic", "nope", "--to-latest"],
        &["--topic", "nope:0", "--to-latest"],
        &["--topic", "ga:7", "--to-latest"],
        &["--topic", "ga:x", "--to-latest"],
        &["--topic", "ga", "--to-datetime", "2020-01-01"],
        &["--topic", "ga", "--to-datetime", "2020-01-01T00:00:00"],
        &["--topic", "ga", "--by-duration", "soon"],
        &["--topic", "ga", "--to-offset", "many"],
        &["--to-latest"],
    ] {
        reset(&[&group, args].concat());
    }
    reset(&["--group", "new", "--all-topics", "--to-latest"]);
    reset(&["--group", "new", "--topic", "ga", "--shift-by", "1"]);
    reset(&["--all-groups", "--topic", "ga", "--to-earliest"]);
    reset(&["--all-groups", "--topic", "ga", "--to-latest", "--export"]);
    let said = reset(&["--group", "grp", "--topic", "ga", "--to-offset", "2"]);
    assert!(
        said.success()
            .lines()
            .any(|line| words(line) == ["grp", "ga", "0", "2"]),
        "{said:?}"
    );
    let warned = ["--reset-offsets", "--group", "grp", "--topic", "ga"];
    let warned = [&warned[..], &["--to-latest"]].concat();
    let said = twins.same_in_any_order("consumer-groups", &warned);
    assert!(said.stderr.starts_with("WARN: No action will be performed"));
}

#[test]
fn groups_and_offsets_are_deleted() {
    let twins = twins();
    for args in [
        &["--topic", "ga:0"][..],
        &["--topic", "ga"],
        &["--topic", "ga:7"],
        &["--topic", "ga:x"],
        &["--topic", "nope"],
        &["--topic", "nope", "--topic", "gb"],
    ] {
        let delete = ["--delete-offsets", "--group", "grp"];
        twins.same("consumer-groups", &[&delete, args].concat());
        twins.same_in_any_order("consumer-groups", &["--describe", "--group", "grp"]);
    }
    let of_none = ["--delete-offsets", "--group", "nope", "--topic", "ga"];
    twins.same("consumer-groups", &of_none);
    twins.prepare(|broker| {
        consume(broker, "g2", "ga", 1);
        consume(broker, "g3", "ga", 1);
    });
    twins.same("consumer-groups", &["--delete", "--group", "nope"]);
    let said = twins.same(
        "consumer-groups",
        &["--delete", "--group", "nope", "--group", "g2"],
    );
    assert!(said.stdout.contains("deleted successfully: 'g2'"));
    twins.same("consumer-groups", &["--delete", "--group", "g3"]);
    let said = twins.same_in_any_order("consumer-groups", &["--list"]);
    assert!(!said.success().contains("g2") && !said.success().contains("g3"));
}

#[test]
fn what_does_not_fit_is_refused() {
    same_refusal("consumer-groups", &["--list"]);
    same_refusal("consumer-groups", &[]);
    let server = ["--bootstrap-server", "127.0.0.1:1"];
    for args in [
        &["--foo"][..],
        &["--members"],
        &["--state"],
        &["--list", "--members"],
        &["--list", "--group", "g"],
        &["--list", "--describe", "--group", "g"],
        &["--describe", "--group", "g", "--state", "empty"],
        &["--describe", "--group", "g", "--members", "--state"],
        &["--describe", "--group", "g", "--topic", "t"],
        &["--delete", "--group", "g", "--topic", "t"],
        &[
            "--reset-offsets",
            "--group",
            "g",
            "--all-groups",
            "--dry-run",
        ],
        &["--reset-offsets", "--group", "g", "--dry-run", "--execute"],
        &["--group", "g"],
    ] {
        same_refusal("consumer-groups", &[&server, args].concat());
    }
    // Of these the original names options in an order of its own, which changes from run to run.
    for (args, expected) in [
        (
            &["--describe"][..],
            "Option [describe] takes one of these options: ",
        ),
        (
            &["--delete"],
            "Option [delete] takes one of these options: ",
        ),
        (
            &["--delete-offsets", "--group", "g"],
            "Option [delete-offsets] takes the following options: ",
        ),
        (
            &[
                "--reset-offsets",
                "--topic",
                "t",
                "--to-latest",
                "--dry-run",
            ],
            "Option [reset-offsets] takes one of these options: ",
        ),
        (
            &["--list", "--state", "foo"],
            "Invalid state list 'foo'. Valid states are: ",
        ),
        (
            &["--list", "--type", "foo"],
            "Invalid types list 'foo'. Valid types are: ",
        ),
    ] {
        let args = [&server, args].concat();
        let original = ottla_tests::harness::original("consumer-groups", &args, "");
        for said in [original, super::shim("consumer-groups", &args, "")] {
            assert_eq!(said.code, Some(1), "{args:?}");
            // The original may log beside it.
            let mut lines = said.stderr.lines();
            assert!(
                lines.any(|line| line.starts_with(expected)),
                "{args:?}: {said:?}"
            );
        }
    }
}

#[test]
fn a_regular_expression_is_checked_without_a_broker() {
    for regex in ["a.*", "a[", "a(b", "*a"] {
        let args = ["--validate-regex", regex];
        let expected = ottla_tests::harness::original("consumer-groups", &args, "");
        let said = super::shim("consumer-groups", &args, "");
        assert_eq!(said.success(), expected.success());
    }
}

#[test]
fn a_broker_that_is_not_there_is_given_up_on_after_the_timeout() {
    for args in [
        &["--list"][..],
        &["--list", "--state"],
        &["--describe", "--group", "g"],
        &[
            "--reset-offsets",
            "--group",
            "g",
            "--topic",
            "t",
            "--to-latest",
            "--dry-run",
        ],
        &["--delete", "--group", "g"],
        &["--delete-offsets", "--group", "g", "--topic", "t"],
    ] {
        let server = ["--bootstrap-server", "127.0.0.1:1", "--timeout", "300"];
        let args = [&server, args].concat();
        let expected = ottla_tests::harness::original("consumer-groups", &args, "");
        let said = super::shim("consumer-groups", &args, "");
        assert_eq!(said.stdout, expected.stdout, "{args:?}");
        assert_eq!(said.code, expected.code, "{args:?}");
    }
}
