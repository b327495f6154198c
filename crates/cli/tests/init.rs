//! Topics and records that a broker is started with.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::Value;
use support::{Served, fails_to_start, refused, serve};

fn partitions(broker: &Served, topic: &str) -> usize {
    let described = broker.ok(&["topic", "describe", topic, "--json"]);
    let described: Value = serde_json::from_str(&described).unwrap();
    described["partitions"].as_array().unwrap().len()
}

fn consumed(broker: &Served, topic: &str) -> String {
    broker.ok(&[
        "consume",
        topic,
        "-o",
        "beginning",
        "-e",
        "-f",
        r"%p %k=%s\n",
    ])
}

#[test]
fn topics_are_there_with_their_settings_when_the_broker_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command
        .args([
            "--topic",
            "a:2",
            "--topic",
            "d:1:cleanup.policy=compact,delete",
        ])
        .env("OTTLA_TOPICS", "b:3,c:6:cleanup.policy=compact")
        .env("KAFKA_CREATE_TOPICS", "e:4:3:compact,f:1:1");
    let broker = Served::of(command);
    for (topic, count) in [("a", 2), ("b", 3), ("c", 6), ("d", 1), ("e", 4), ("f", 1)] {
        assert_eq!(partitions(&broker, topic), count, "{topic}");
    }
    for (topic, policy) in [("c", "compact"), ("d", "compact,delete"), ("e", "compact")] {
        let described = broker.ok(&["topic", "describe", topic, "--json"]);
        let described: Value = serde_json::from_str(&described).unwrap();
        assert_eq!(described["configs"]["cleanup.policy"], policy, "{topic}");
    }
}

#[test]
fn a_dump_of_a_topic_can_be_fed_back_and_is_not_repeated_by_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (init, data) = (dir.path().join("init"), dir.path().join("data"));
    fs::create_dir(&init).unwrap();
    let source = Served::start(&dir.path().join("source"));
    source.ok(&["topic", "create", "orders", "-p", "3"]);
    let sent = "{\"key\":\"k\",\"value\":{\"n\":1},\"headers\":[[\"h\",\"1\"],[\"h\",null]],\"timestamp\":1700000000000}\n\
                {\"key\":\"gone\",\"value\":null,\"partition\":2}\n{\"value\":\"ü\",\"partition\":0}\n";
    assert!(
        source
            .run_with_input(&["produce", "orders", "--input", "json"], sent)
            .status
            .success()
    );
    let json = ["consume", "orders", "-o", "beginning", "-e", "--json"];
    let dump = source.ok(&json);
    assert_eq!(dump.lines().count(), 3);
    fs::write(init.join("orders.jsonl"), &dump).unwrap();
    fs::write(init.join("topics.topics"), "# what there is\norders:3\n").unwrap();

    let args = ["--init-dir", init.to_str().unwrap()];
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for _ in 0..2 {
        let broker = Served::start_with(&data, &args);
        assert_eq!(sorted(&broker.ok(&json)), sorted(&dump));
        assert_eq!(broker.stop().0, Some(0));
    }
    // What its users have added stays, too.
    let broker = Served::start(&data);
    broker.run_with_input(&["produce", "orders", "-p", "0"], "new\n");
    broker.stop();
    let broker = Served::start_with(&data, &args);
    assert_eq!(broker.ok(&json).lines().count(), 4);
}

#[test]
fn lines_are_values_or_keys_and_values() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plain.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(dir.path().join("keyed.tsv"), "foobar\t1\nabc\t2\n").unwrap();
    let mut command = serve(&dir.path().join("data"));
    command
        .env("OTTLA_INIT_DIR", dir.path())
        .env("OTTLA_TOPICS", "plain:2;keyed:5");
    let broker = Served::of(command);
    let plain = consumed(&broker, "plain");
    let mut plain: Vec<_> = plain.lines().collect();
    plain.sort_unstable();
    assert_eq!(plain, ["0 =one", "0 =three", "1 =two"]);
    // Where Kafka's clients look for these keys: its murmur2 modulo 5.
    let seeded = consumed(&broker, "keyed");
    broker.ok(&["topic", "create", "same", "-p", "5"]);
    broker.run_with_input(&["produce", "same", "-K", "\\t"], "foobar\t1\nabc\t2\n");
    assert_eq!(seeded, consumed(&broker, "same"));
    assert_eq!(seeded.lines().count(), 2);
}

#[test]
fn a_topic_that_is_there_is_left_alone_and_a_difference_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    Served::start_with(dir.path(), &["--topic", "t:2"]).stop();
    let broker = Served::start_with(dir.path(), &["--topic", "t:5:retention.ms=7"]);
    assert_eq!(partitions(&broker, "t"), 2);
    let (_, told) = broker.stop();
    let warning = told.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(
        warning.contains("--topic asks for 5 partitions of topic t, which has 2"),
        "{warning}"
    );
}

#[test]
fn nothing_is_made_if_anything_of_it_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let (init, data) = (dir.path().join("init"), dir.path().join("data"));
    type Files = &'static [(&'static str, &'static str)];
    // Files, and what is told.
    let cases: [(Files, &[&str]); 9] = [
        (
            &[("t.topics", "good:1\nbad:x\n")],
            &["t.topics:2", "\"x\"", "partitions"],
        ),
        (&[("t.topics", "bad/name:1\n")], &["t.topics:1", "bad/name"]),
        (
            &[("t.topics", "t:1:retention.sm=1\n")],
            &["t.topics:1", "retention.sm"],
        ),
        (
            &[("t.topics", "t:1:retention.ms=soon\n")],
            &["t.topics:1", "retention.ms", "soon"],
        ),
        (&[("t.topics", "t:1\nt:2\n")], &["t.topics:2", "t.topics:1"]),
        (&[("t.jsonl", "{}\n{\"value\":\n")], &["t.jsonl:2", "JSON"]),
        (
            &[("t.jsonl", "{\"partition\":3}\n"), ("t.topics", "t:2")],
            &["t.jsonl:1", "t:4"],
        ),
        (
            &[("t.txt", "a\n"), ("t.topics", "t:1:cleanup.policy=compact")],
            &["t.txt:1", "key"],
        ),
        (
            &[("t.jsonl", "{}\n{\"timestamp\":99999999999999}\n")],
            &["t.jsonl:2", "timestamp"],
        ),
    ];
    for (files, words) in cases {
        fs::create_dir(&init).unwrap();
        for (name, text) in files {
            fs::write(init.join(name), text).unwrap();
        }
        let told = refused(
            &data,
            &["--topic", "good:1", "--init-dir", init.to_str().unwrap()],
        );
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {told}");
        }
        fs::remove_dir_all(&init).unwrap();
    }
    let told = refused(&data, &["--init-dir", init.to_str().unwrap()]);
    assert!(told.contains(init.to_str().unwrap()), "{told}");
    let told = fails_to_start(serve(&data).env("OTTLA_TOPICS", "good:1,bad:x"));
    assert!(
        told.contains("OTTLA_TOPICS") && told.contains("bad:x"),
        "{told}"
    );
    let broker = Served::start(&data);
    assert_eq!(broker.ok(&["topic", "list"]), "");
}

#[test]
fn a_broker_that_is_killed_among_the_first_records_has_all_of_them_when_it_is_back() {
    const RECORDS: usize = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let init = dir.path().join("init");
    fs::create_dir(&init).unwrap();
    let lines: String = (0..RECORDS).map(|n| format!("record {n}\n")).collect();
    fs::write(init.join("t.txt"), lines).unwrap();
    fs::write(init.join("u.txt"), "one\n").unwrap();
    let args = ["--init-dir", init.to_str().unwrap()];
    for round in 0..3 {
        let data = dir.path().join(format!("data{round}"));
        let mut child = serve(&data).args(args).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        let writing = said
            .map_while(Result::ok)
            .find(|line| line.contains("writing its first records"));
        assert!(writing.is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        let broker = Served::start_with(&data, &args);
        assert_eq!(consumed(&broker, "t").lines().count(), RECORDS);
        assert_eq!(consumed(&broker, "u").lines().count(), 1);
    }
}
