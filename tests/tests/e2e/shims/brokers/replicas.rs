//! kafka-log-dirs, kafka-leader-election and kafka-reassign-partitions.

use super::super::normal::Order;
use super::{Brokers, IMPATIENT, file, path, timed_out};

/// The number behind each `"size":` left out: the formats on disk are not the same.
fn without_sizes(text: &str) -> String {
    const FIELD: &str = "\"size\":";
    let mut parts = text.split(FIELD);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        out + FIELD + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// Without the default among the synonyms, which Kafka's throttles of replication do not have.
fn without_defaults(text: &str) -> String {
    let line = |line: &str| match line.split_once(", DEFAULT_CONFIG:") {
        Some((kept, _)) => format!("{kept}}}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn log_directories_are_told_alike() {
    let brokers = Brokers::start();
    for args in [
        &["--describe", "--topic-list", "ga,gb"][..],
        &["--describe", "--topic-list", "ga", "--broker-list", "1"],
        &["--describe", "--topic-list", "nope"],
        &["--describe", "--broker-list", "7"],
    ] {
        brokers.compare("log-dirs", args, Order::Kept, without_sizes);
    }
}

#[test]
fn leaders_are_elected_alike() {
    let brokers = Brokers::start();
    let some =
        file(r#"{"partitions":[{"topic":"ga","partition":0},{"topic":"gb","partition":0}]}"#);
    let none = file(r#"{"partitions":[{"topic":"nope","partition":0}]}"#);
    for kind in ["preferred", "unclean", "nonsense"] {
        for args in [
            &["--topic", "ga", "--partition", "1"][..],
            &["--path-to-json-file", path(&some)],
            &["--topic", "ga", "--partition", "9"],
            &["--path-to-json-file", path(&none)],
            &["--all-topic-partitions"],
        ] {
            let args = [&["--election-type", kind], args].concat();
            brokers.same("leader-election", &args);
        }
    }
}

#[test]
fn replicas_are_moved_alike() {
    let brokers = Brokers::start();
    let topics = file(r#"{"topics":[{"topic":"ga"},{"topic":"gb"}],"version":1}"#);
    let here = file(
        r#"{"version":1,"partitions":[{"topic":"ga","partition":0,"replicas":[1]},{"topic":"gb","partition":0,"replicas":[1],"log_dirs":["any"]}]}"#,
    );
    let there = file(r#"{"version":1,"partitions":[{"topic":"ga","partition":0,"replicas":[2]}]}"#);
    let nowhere =
        file(r#"{"version":1,"partitions":[{"topic":"nope","partition":0,"replicas":[1]}]}"#);
    let (topics, here, there, nowhere) = (path(&topics), path(&here), path(&there), path(&nowhere));
    let generate = ["--topics-to-move-json-file", topics, "--generate"];
    let of_here = ["--reassignment-json-file", here];
    for args in [
        &[&generate[..], &["--broker-list", "1"]].concat()[..],
        &[&generate[..], &["--broker-list", "2"]].concat(),
        &[&of_here[..], &["--execute"]].concat(),
        &[&of_here[..], &["--verify"]].concat(),
        &[&of_here[..], &["--execute", "--throttle", "1000"]].concat(),
        &[
            &of_here[..],
            &["--execute", "--additional", "--throttle", "2000"],
        ]
        .concat(),
        &[&of_here[..], &["--verify", "--preserve-throttles"]].concat(),
        &[&of_here[..], &["--verify"]].concat(),
        &["--reassignment-json-file", there, "--execute"],
        &["--reassignment-json-file", nowhere, "--execute"],
        &[&of_here[..], &["--cancel"]].concat(),
        &["--list"],
    ] {
        brokers.same("reassign-partitions", args);
        // The throttles.
        brokers.same_in_any_order("configs", &["--describe", "--entity-type", "topics"]);
        let dynamic = ["--describe", "--broker", "1"];
        brokers.compare("configs", &dynamic, Order::Kept, without_defaults);
    }
}

#[test]
fn replicas_on_a_broker_that_is_missing_are_waited_for_alike() {
    let brokers = Brokers::start();
    let there = file(r#"{"version":1,"partitions":[{"topic":"ga","partition":0,"replicas":[2]}]}"#);
    let settings = file(IMPATIENT);
    let args = [
        "--reassignment-json-file",
        path(&there),
        "--verify",
        "--command-config",
        path(&settings),
    ];
    let said = brokers.compare("reassign-partitions", &args, Order::Kept, timed_out);
    let said = format!("{}{}", said.stdout, said.stderr);
    assert!(said.contains("TimeoutException"), "{said}");
}
