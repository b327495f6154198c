//! Settings that cannot be: each is told with its name, its value, and what would be right.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs;

use support::{Served, refused};

#[test]
fn a_bad_value_is_told_with_its_name_and_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // Setting, and what the message has beside name and value.
    let cases = [
        ("num.partitions=many", "number"),
        ("num.partitions=0", "at least 1"),
        ("num.partitions=-1", "at least 1"),
        ("num.partitions=99999999999999999999", "number"),
        ("log.cleanup.policy=shred", "delete"),
        ("auto.create.topics.enable=perhaps", "true"),
        ("ottla.durability=tape", "disk"),
        ("socket.request.max.bytes=-5", "at least"),
        ("log.retention.ms=0", "at least 1"),
        (
            "group.min.session.timeout.ms=99999999",
            "group.max.session.timeout.ms",
        ),
        ("advertised.listeners=nonsense", "NAME://host:port"),
        ("advertised.listeners=PLAINTEXT://h:99999", "port"),
        (
            "listener.security.protocol.map=PLAINTEXT",
            "LISTENER:PROTOCOL",
        ),
    ];
    for (setting, right) in cases {
        let (name, value) = setting.split_once('=').unwrap();
        let by_flag = refused(&data, &["--override", setting]);
        let file = dir.path().join("server.properties");
        fs::write(&file, format!("# a comment\n{setting}\n")).unwrap();
        let by_file = refused(&data, &["--config", file.to_str().unwrap()]);
        for told in [by_flag, by_file] {
            for part in [name, value, right] {
                assert!(told.contains(part), "{setting} without {part:?}: {told}");
            }
        }
    }
    assert!(
        !data.exists(),
        "nothing is opened with settings that cannot be"
    );
}

#[test]
fn a_setting_that_is_not_known_is_warned_of_once_and_the_broker_starts() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["-o", "num.partitons=3", "-o", "some.plugin.class=x.Y"];
    let broker = Served::start_with(dir.path(), &args);
    broker.ok(&["topic", "create", "t"]);
    let (code, told) = broker.stop();
    assert_eq!(code, Some(0));
    for name in ["num.partitons", "some.plugin.class"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
        let line = told.lines().find(|line| line.contains(name)).unwrap();
        assert!(
            line.contains("WARN") && line.contains("unknown setting"),
            "{line}"
        );
    }
}

#[test]
fn two_data_directories_or_node_ids_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let told = refused(dir.path(), &["-o", "log.dirs=/a,/b"]);
    assert!(
        told.contains("log.dirs=/a,/b") && told.contains("name one"),
        "{told}"
    );
    let told = refused(dir.path(), &["-o", "node.id=1", "-o", "broker.id=2"]);
    assert!(
        told.contains("broker.id=2") && told.contains("node.id is 1"),
        "{told}"
    );
}
