//! kafka-get-offsets and kafka-delete-records.

use ottla_tests::harness::{Broker, kcat};

use super::{Twins, same_refusal, view};

fn fill(broker: &Broker) {
    for (topic, partitions) in [("orders", "3"), ("payments", "1")] {
        let server = broker.bootstrap();
        let args = ["--create", "--topic", topic, "--partitions", partitions];
        let args = [&["--bootstrap-server", &server][..], &args].concat();
        super::shim("topics", &args, "").success();
    }
    let producing = ["-P", "-t", "orders", "-p", "1"];
    kcat(&broker.bootstrap(), &producing, b"1\n2\n3\n4\n5\n").success();
}

#[test]
fn offsets_are_shown_as_the_filters_say() {
    let broker = Broker::start();
    let offsets = |args: &[&str]| view::same(&broker, "get-offsets", args);
    offsets(&[]).failure();
    fill(&broker);
    let all = offsets(&[]);
    assert_eq!(
        all.success(),
        "orders:0:0\norders:1:5\norders:2:0\npayments:0:0\n"
    );
    for args in [
        &["--topic", "orders"][..],
        &["--topic", "orders", "--partitions", "1,2,9"],
        &["--topic-partitions", "orders:1-,pay.*:0"],
        &["--topic-partitions", ":-1"],
        &["--exclude-internal-topics"],
        &["--time", "earliest"],
        &["--time", "-1"],
        &["--time", "max-timestamp"],
        &["--time", "earliest-local"],
        &["--time", "-5"],
        &["--time", "1"],
        &["--time", "99999999999999"],
    ] {
        offsets(args).success();
    }
    for args in [
        &["--topic", "nix"][..],
        &["--topic", "orders", "--partitions", "one"],
        &["--topic", "orders", "--topic-partitions", "orders"],
        &["--topic-partitions", "orders:x"],
        &["--time", "yesterday"],
        &["--nix"],
    ] {
        offsets(args).failure();
    }
}

#[test]
fn a_broker_with_a_port_must_be_named() {
    same_refusal("get-offsets", &["--topic", "a"]);
    same_refusal("get-offsets", &["--bootstrap-server", "localhost"]);
    same_refusal("delete-records", &["--bootstrap-server", "localhost:1"]);
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let twins = Twins::start();
    twins.prepare(fill);
    let file = tempfile::NamedTempFile::new().unwrap();
    let delete = |json: &str| {
        std::fs::write(file.path(), json).unwrap();
        let path = file.path().to_str().unwrap();
        twins.same("delete-records", &["--offset-json-file", path])
    };
    let of = |offset| {
        format!(
            r#"{{"partitions":[{{"topic":"orders","partition":1,"offset":{offset}}}],"version":1}}"#
        )
    };
    assert_eq!(
        delete(&of(2)).success().lines().last(),
        Some("partition: orders-1\tlow_watermark: 2")
    );
    // An error of a partition is told, and is no failure.
    delete(&of(9)).success();
    delete(&of(-1)).success();
    let starts = twins.same("get-offsets", &["--time", "earliest", "--topic", "orders"]);
    assert!(starts.success().contains("orders:1:5\n"));
    for wrong in [
        r#"{"partitions":[{"topic":"orders","partition":"1","offset":1}]}"#,
        r#"{"version":1}"#,
        r#"{"version":2,"partitions":[]}"#,
    ] {
        delete(wrong).failure();
    }
}
