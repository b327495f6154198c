//! kafka-cluster, kafka-broker-api-versions, kafka-log-dirs, kafka-metadata-quorum, kafka-features and
//! kafka-leader-election.

use ottla_tests::harness::Broker;

use super::{same_refusal, shim, view};

fn broker_with_topics() -> Broker {
    let broker = Broker::start();
    for topic in ["orders", "a.b", "payments"] {
        let server = broker.bootstrap();
        let args = ["--create", "--topic", topic, "--partitions", "3"];
        let args = [&["--bootstrap-server", &server][..], &args].concat();
        shim("topics", &args, "").success();
    }
    broker
}

#[test]
fn the_cluster_tells_of_itself() {
    let broker = Broker::start();
    for args in [
        &["cluster-id", "--bootstrap-server", "SERVER"][..],
        &["list-endpoints", "-b", "SERVER"],
        &["list-endpoints", "-b", "SERVER", "--include-fenced-brokers"],
    ] {
        view::same(&broker, "cluster", args).success();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "client.id=old\n").unwrap();
    let path = file.path().to_str().unwrap();
    let old = ["cluster-id", "-b", "SERVER", "--config", path];
    view::same(&broker, "cluster", &old).success();
    let server = broker.bootstrap();
    // The original logs the exception too, before it tells it: only what it says is the same.
    let unregister = ["unregister", "-b", &server, "--id", "7"];
    let said = view::same_misuse("cluster", &unregister);
    assert!(
        said.contains("Broker ID 7 is not currently registered"),
        "{said}"
    );
    for args in [
        &[][..],
        &["nix"],
        &["cluster-id"],
        &["cluster-id", "-b", "h:1", "--nix"],
        &["unregister", "-b", "h:1"],
    ] {
        assert!(view::same_misuse("cluster", args).contains("kafka-cluster: error: "));
    }
}

#[test]
fn a_brokers_apis_are_shown_with_what_a_client_would_use() {
    let broker = Broker::start();
    let said = view::same(&broker, "broker-api-versions", &[]);
    assert!(said.success().contains("\tFetch(1): "));
    same_refusal("broker-api-versions", &["--command-config", "x"]);
}

#[test]
fn log_directories_are_shown_in_json() {
    let broker = broker_with_topics();
    for args in [
        &["--describe"][..],
        &["--describe", "--topic-list", "orders,a.b"],
        &["--describe", "--topic-list", "nix"],
        &["--describe", "--broker-list", "1"],
    ] {
        view::same(&broker, "log-dirs", args).success();
    }
    let missing = ["--describe", "--broker-list", "7"];
    view::same(&broker, "log-dirs", &missing).failure();
    same_refusal("log-dirs", &["--bootstrap-server", "h:1"]);
}

#[test]
fn the_quorum_is_described() {
    let broker = Broker::start();
    view::same(&broker, "metadata-quorum", &["describe", "--status"]).success();
    for args in [
        &["describe"][..],
        &["describe", "--status", "--replication"],
        &["describe", "--status", "--human-readable"],
    ] {
        view::same(&broker, "metadata-quorum", args).failure();
    }
    // Its timestamps are of the moment: only the header and the widths can be the same.
    let server = broker.bootstrap();
    let args = ["--bootstrap-server", &server, "describe", "--replication"];
    let expected = ottla_tests::harness::original("metadata-quorum", &args, "");
    let said = shim("metadata-quorum", &args, "");
    let shape = |text: &str| -> String {
        let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
        text.chars().map(digit).collect()
    };
    assert_eq!(shape(expected.success()), shape(said.success()));
    view::same_misuse("metadata-quorum", &["describe", "--status"]);
}

#[test]
fn elections_are_held_where_they_are_needed() {
    let broker = broker_with_topics();
    let file = tempfile::NamedTempFile::new().unwrap();
    let of = r#"{"partitions":[{"topic":"orders","partition":0},{"topic":"a.b","partition":2}]}"#;
    std::fs::write(file.path(), of).unwrap();
    let path = file.path().to_str().unwrap();
    let elect = |args: &[&str]| view::same(&broker, "leader-election", args);
    for args in [
        &["--election-type", "preferred", "--all-topic-partitions"][..],
        &[
            "--election-type",
            "PREFERRED",
            "--topic",
            "orders",
            "--partition",
            "0",
        ],
        &["--election-type", "preferred", "--path-to-json-file", path],
    ] {
        elect(args).success();
    }
    for args in [
        &[
            "--election-type",
            "unclean",
            "--topic",
            "orders",
            "--partition",
            "9",
        ][..],
        &["--election-type", "nix", "--all-topic-partitions"],
        &["--election-type", "preferred"],
        &["--election-type", "preferred", "--topic", "orders"],
        &["--all-topic-partitions"],
    ] {
        elect(args).failure();
    }
}

#[test]
fn features_are_described_and_what_cannot_be_changed_is_said() {
    let broker = Broker::start();
    view::same(&broker, "features", &["describe"]).success();
    view::same(&broker, "features", &["describe", "--node-id", "1"]).success();
    for args in [
        &["upgrade", "--feature", "group.version=9"][..],
        &[
            "upgrade",
            "--dry-run",
            "--feature",
            "group.version=9",
            "--feature",
            "nix=1",
        ],
        &["downgrade", "--feature", "metadata.version=7"],
        &["disable", "--feature", "nix"],
        &["upgrade"],
        &["upgrade", "--feature", "nix"],
    ] {
        view::same(&broker, "features", args).failure();
    }
}
